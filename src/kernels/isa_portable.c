/* Plain C: __builtin_fma is the machine's instruction where the target has it, else the C library's
 * exact one. */
#define VEC_PORTABLE
#define ISA_NAME "portable"
#include "kernels/isa_row.inc"

const struct isa *const isa_portable_row = &row;
