#include "kernels/gemm.h"

#include <string.h>

#include "kernels/buffers.h"
#include "ops/real.h"

#define REAL float
#define SUFFIX f
#include "kernels/gemm.inc"
#undef REAL
#undef SUFFIX
#define REAL double
#define SUFFIX d
#include "kernels/gemm.inc"
#undef REAL
#undef SUFFIX
