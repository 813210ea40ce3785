/* QuantizeLinear, DequantizeLinear and the fixed-point Quantize: fast against reference. */
#include "kernels/kernel_test.h"

static const enum dtype types[] = { DT_I8, DT_U8, DT_I16, DT_U16, DT_I32, DT_I4, DT_U4 };

/* Integers over the whole range of the type, at input i. */
static void integers(struct bench *b, int i, enum dtype t, int rank, const int64_t *dim,
                     bool constant) {
    struct tensor *x = bench_input(b, i, dtype_row(t)->widened, rank, dim, ORDINARY, constant);
    int bits = dtype_row(t)->bits;
    int64_t low = dtype_is_unsigned(t) ? 0 : -(INT64_C(1) << (bits - 1));
    for (int64_t k = 0; k < tensor_count(x); k++)
        tensor_set_i64(x, k, random_in(&b->random, low, low + (INT64_C(1) << bits) - 1));
    x->dtype = t;
}

struct parameters {
    int rank, scale_rank;
    int64_t dim[4], scale_dim[4];
};

/* Per tensor, per axis or in blocks; sets the attributes. */
static struct parameters shape_of(struct bench *b) {
    struct random *r = &b->random;
    struct parameters p = { .rank = (int)random_in(r, 0, 4) };
    int64_t how = random_in(r, 0, 2);
    for (int i = 0; i < p.rank; i++)
        p.dim[i] = random_chance(r, 3) ? 0 : random_in(r, 1, random_chance(r, 10) ? 90 : 9);
    if (p.rank && random_chance(r, 4))
        p.dim[0] = random_in(r, 2000, 20000) / (p.rank > 1 ? 64 : 1);
    if (how == 0 || p.rank == 0)
        return p;
    int axis = (int)random_in(r, 0, p.rank - 1);
    node_set_int(b->node, "axis", axis - (random_chance(r, 50) ? p.rank : 0));
    if (how == 1) {
        p.scale_rank = 1;
        p.scale_dim[0] = p.dim[axis];
        return p;
    }
    int64_t block = random_in(r, 1, 4);
    node_set_int(b->node, "block_size", block);
    p.scale_rank = p.rank;
    memcpy(p.scale_dim, p.dim, sizeof p.dim);
    p.scale_dim[axis] = (p.dim[axis] + block - 1) / block;
    return p;
}

static void scales(struct bench *b, enum dtype t, const struct parameters *p) {
    struct random *r = &b->random;
    struct tensor *x = bench_input(b, 1, t, p->scale_rank, p->scale_dim, ORDINARY, true);
    for (int64_t k = 0; k < tensor_count(x); k++)
        tensor_set_f64(x, k,
                       random_chance(r, 3) ? random_value(r, SPECIAL, t)
                                           : (double)random_in(r, 1, 2000) / 30000);
}

static void quantize_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 60) ? DT_F32 : DT_F64, to = types[random_in(r, 0, 6)];
    bench_begin(b, random_chance(r, 10) ? "com.microsoft" : "", "QuantizeLinear", 3, 1);
    struct parameters p = shape_of(b);
    bench_input(b, 0, t, p.rank, p.dim, (enum values)random_in(r, 0, VALUES - 1), false);
    scales(b, t, &p);
    if (to != DT_U8 || random_chance(r, 70))
        integers(b, 2, to, p.scale_rank, p.scale_dim, true);
    bench_compare(b, bench_precision(t));
}

static void dequantize_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 60) ? DT_F32 : DT_F64, from = types[random_in(r, 0, 6)];
    bench_begin(b, random_chance(r, 10) ? "com.microsoft" : "", "DequantizeLinear", 3, 1);
    struct parameters p = shape_of(b);
    integers(b, 0, from, p.rank, p.dim, false);
    scales(b, t, &p);
    if (random_chance(r, 70))
        integers(b, 2, from, p.scale_rank, p.scale_dim, true);
    bench_compare(b, bench_precision(t));
}

/* Inputs: the reals; no scale and zero point of theirs; those of the output. */
static void fixed_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype to = types[random_in(r, 0, 2)];
    int rank = (int)random_in(r, 0, 3);
    int64_t dim[3], one = 1;
    for (int i = 0; i < rank; i++)
        dim[i] = random_chance(r, 3) ? 0 : random_in(r, 1, random_chance(r, 10) ? 200 : 12);
    bench_begin(b, "fixed", "Quantize", 5, 1);
    struct tensor *x =
        bench_input(b, 0, DT_F32, rank, dim, (enum values)random_in(r, 0, VALUES - 1), false);
    struct tensor *scale = bench_input(b, 3, DT_F32, 1, &one, ORDINARY, true);
    tensor_set_f64(scale, 0, (double)random_in(r, 1, 500) / 4096);
    for (int64_t i = 0; i < tensor_count(x); i++) /* ties */
        if (random_chance(r, 20))
            tensor_set_f64(x, i, tensor_f64(scale, 0) * (double)random_in(r, -300, 300) / 2);
    integers(b, 4, to, 1, &one, true);
    bench_compare(b, PREC_NATIVE);
}

BENCH_TEST(test_quantize, quantize_case, 50, 900)
BENCH_TEST(test_dequantize, dequantize_case, 51, 900)
BENCH_TEST(test_fixed, fixed_case, 52, 500)

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_quantize),
                                        cmocka_unit_test(test_dequantize),
                                        cmocka_unit_test(test_fixed) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
