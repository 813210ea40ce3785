/* AVX2; compiled with its own flags (cmake/kernels.cmake), called only where the machine has it. */
#if defined(__AVX2__) && defined(__FMA__)
#define ISA_NAME "avx2"
#include "kernels/isa_row.inc"

const struct isa *const isa_avx2_row = &row;
#else
#include "kernels/isa.h"

const struct isa *const isa_avx2_row = 0;
#endif
