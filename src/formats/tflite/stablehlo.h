/* Inside map_stablehlo*.c: what the readers of StableHLO's operators share. */
#ifndef FORMATS_TFLITE_STABLEHLO_H
#define FORMATS_TFLITE_STABLEHLO_H

#include "formats/tflite/tflite.h"

/* A list of int64 in the options. */
struct long_list {
    int64_t v[2 * MAX_RANK + 1];
    int n;
};

enum status hlo_long_list(struct op_reader *x, int slot, const char *name, struct long_list *out);
/* The same where every element is an axis of a tensor of `rank` axes, none twice. */
enum status hlo_axes(struct op_reader *x, int slot, const char *name, int rank,
                     struct long_list *out);
/* Fails unless the list has n elements. */
enum status hlo_need_count(const struct op_reader *x, const struct long_list *l, const char *name,
                           int n);
bool hlo_contains(const struct long_list *l, int64_t v);
/* v with its axes in another order, or v. */
struct value *hlo_transposed(struct op_reader *x, struct value *v, const int64_t *perm, int n);
/* From starts to ends, values of `rank` integers. */
struct value *hlo_sliced(struct op_reader *x, struct value *v, struct value *starts,
                         struct value *ends, const int64_t *steps, int rank);
/* Gives the operator's only output, computed from real numbers. */
enum status hlo_give(struct op_reader *x, struct value *v);

#endif
