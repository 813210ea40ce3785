#include "kernels/isa.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const struct isa *_Atomic chosen;

static bool has_avx2(void) {
#if defined(__x86_64__)
    return isa_avx2_row && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

static bool has_avx512(void) {
#if defined(__x86_64__)
    return isa_avx512_row && has_avx2() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw");
#else
    return false;
#endif
}

const struct isa *isa_at(int k) {
    const struct isa *all[] = { isa_portable_row, isa_neon_row, has_avx2() ? isa_avx2_row : NULL,
                                has_avx512() ? isa_avx512_row : NULL };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] && k-- == 0)
            return all[i];
    return NULL;
}

static const struct isa *choose(void) {
    const char *wanted = getenv("CALQUE_ISA");
    const struct isa *best = NULL;
    for (int k = 0; isa_at(k); k++) {
        best = isa_at(k);
        if (wanted && strcmp(wanted, best->name) == 0)
            break;
    }
    return best;
}

void isa_force(const struct isa *isa) {
    atomic_store(&chosen, isa);
}

const struct isa *isa_best(void) {
    const struct isa *isa = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (!isa) { /* whoever comes first; all find the same */
        isa = choose();
        atomic_store(&chosen, isa);
    }
    return isa;
}
