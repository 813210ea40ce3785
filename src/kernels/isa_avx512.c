/* AVX-512; compiled with its own flags (cmake/kernels.cmake), called only where the machine has it.
 */
#if defined(__AVX512F__)
#define ISA_NAME "avx512"
#define SLEEF_f(name, ulp) Sleef_finz_##name##f16_##ulp##avx512f
#define SLEEF_d(name, ulp) Sleef_finz_##name##d8_##ulp##avx512f
#define SLEEF_PICK(name, ulp, suffix) SLEEF_##suffix(name, ulp)
#define SLEEF_VECTOR(name, ulp, suffix) SLEEF_PICK(name, ulp, suffix)
#include "kernels/isa_row.inc"

const struct isa *const isa_avx512_row = &row;
#else
#include "kernels/isa.h"

const struct isa *const isa_avx512_row = 0;
#endif
