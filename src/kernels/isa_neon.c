/* NEON; compiled with its own flags (cmake/kernels.cmake), called only where the machine has it. */
#if defined(__aarch64__)
#define ISA_NAME "neon"
#include "kernels/isa_row.inc"

const struct isa *const isa_neon_row = &row;
#else
#include "kernels/isa.h"

const struct isa *const isa_neon_row = 0;
#endif
