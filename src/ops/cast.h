/* Conversion of single values between element types, as Cast defines it. */
#ifndef OPS_CAST_H
#define OPS_CAST_H

#include "ops/op.h"

/* v on the grid of float type t. `saturate` and `mode` concern float8 only. */
double cast_to_float(enum dtype t, double v, bool saturate, enum round_mode mode);
/* The low bits of v as type t reads them (two's complement). */
int64_t cast_to_int(enum dtype t, int64_t v);
/* The shortest decimal text that reads back as v of type t (float16, bfloat16, float32 or float64),
 * as Python writes it. */
enum { FLOAT_TEXT = 48 };
void float_text(enum dtype t, double v, char text[FLOAT_TEXT]);

#endif
