/* Inputs made from element numbers: tools/oracle/made.py makes the same. */
#ifndef TEST_EXEC_MADE_H
#define TEST_EXEC_MADE_H

#include "base/map.h"
#include "tensor/tensor.h"

/* Floats in [-1, 1); the whole range of 8 and 16 bits; small numbers of other types. */
static inline void made_fill(struct tensor *t, uint64_t number) {
    for (int64_t k = 0; k < tensor_count(t); k++) {
        uint64_t bits = hash_mix((uint64_t)k + (number << 32));
        if (dtype_is_float(t->dtype))
            tensor_set_f64(t, k, (double)(bits >> 40) / (1 << 23) - 1);
        else if (t->dtype == DT_I8 || t->dtype == DT_U8)
            tensor_set_i64(t, k, t->dtype == DT_I8 ? (int8_t)(bits >> 56) : (int64_t)(bits >> 56));
        else if (t->dtype == DT_I16)
            tensor_set_i64(t, k, (int16_t)(bits >> 48));
        else
            tensor_set_i64(t, k, (int64_t)(bits % (t->dtype == DT_BOOL ? 2 : 3)));
    }
}

/* The value's type and dims; free dimensions are 1. */
static inline enum status made_input(struct tensor **t, enum dtype dtype, int rank,
                                     const int64_t *declared, uint64_t number, struct err *e) {
    int64_t dim[MAX_RANK];
    for (int k = 0; k < rank; k++)
        dim[k] = declared[k] < 0 ? 1 : declared[k];
    TRY(tensor_new(t, dtype, dtype, rank, dim, e));
    made_fill(*t, number);
    return OK;
}

#endif
