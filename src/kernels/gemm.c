#include "kernels/gemm.h"

#include <string.h>

#include "kernels/buffers.h"
#include "ops/real.h"

#define EACH_REAL "kernels/gemm.inc"
#include "ops/each_real.inc"
