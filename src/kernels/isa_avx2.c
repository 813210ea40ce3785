/* AVX2; compiled with its own flags (cmake/kernels.cmake), called only where the machine has it. */
#if defined(__AVX2__) && defined(__FMA__)
#define ISA_NAME "avx2"
#define SLEEF_f(name, ulp) Sleef_finz_##name##f8_##ulp##avx2
#define SLEEF_d(name, ulp) Sleef_finz_##name##d4_##ulp##avx2
#define SLEEF_PICK(name, ulp, suffix) SLEEF_##suffix(name, ulp)
#define SLEEF_VECTOR(name, ulp, suffix) SLEEF_PICK(name, ulp, suffix)
#include "kernels/isa_row.inc"

const struct isa *const isa_avx2_row = &row;
#else
#include "kernels/isa.h"

const struct isa *const isa_avx2_row = 0;
#endif
