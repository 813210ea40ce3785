/* AVX-512; compiled with its own flags (cmake/kernels.cmake), called only where the machine has it.
 */
#if defined(__AVX512F__)
#define ISA_NAME "avx512"
#include "kernels/isa_row.inc"

const struct isa *const isa_avx512_row = &row;
#else
#include "kernels/isa.h"

const struct isa *const isa_avx512_row = 0;
#endif
