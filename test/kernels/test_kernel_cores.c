/* Reductions, Resize and attention: fast against reference. */
#include "kernels/kernel_test.h"

static void reduce_case(struct bench *b) {
    static const char *const ops[] = {
#define REDUCE(name, since, start, step, join, finish, slope) #name,
#include "ops/reduce.def"
#undef REDUCE
    };
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 45) ? DT_F32 : random_chance(r, 90) ? DT_F64 : DT_I32;
    int rank = (int)random_in(r, 0, 4);
    int64_t dim[4], axes[4], count = 0;
    for (int i = 0; i < rank; i++) {
        dim[i] = random_chance(r, 3) ? 0 : random_in(r, 1, random_chance(r, 10) ? 80 : 12);
        if (random_chance(r, 50))
            axes[count++] = i - (random_chance(r, 50) ? rank : 0);
    }
    if (rank && random_chance(r, 4))
        dim[rank - 1] = random_in(r, 2000, 5000); /* more than one task in a run */
    enum values kind = (enum values)random_in(r, 0, VALUES - 1);
    bench_begin(b, "", ops[random_in(r, 0, REDUCTIONS - 1)], 2, 1);
    node_set_int(b->node, "keepdims", random_in(r, 0, 1));
    node_set_int(b->node, "noop_with_empty_axes", random_in(r, 0, 1));
    bench_input(b, 0, t, rank, dim, kind, false);
    if (count || random_chance(r, 50))
        bench_list(b, 1, axes, count);
    bench_compare(b, bench_precision(t));
}

static void resize_case(struct bench *b) {
    static const char *const coordinates[] = { "half_pixel",         "half_pixel_symmetric",
                                               "pytorch_half_pixel", "align_corners",
                                               "asymmetric",         "tf_crop_and_resize" };
    static const char *const modes[] = { "linear", "cubic", "nearest" };
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 45) ? DT_F32 : random_chance(r, 80) ? DT_F64 : DT_U8;
    int rank = (int)random_in(r, 1, 4);
    int64_t dim[4], to[4], mode = random_in(r, 0, random_chance(r, 80) ? 1 : 2);
    for (int i = 0; i < rank; i++) {
        dim[i] = random_in(r, 1, random_chance(r, 20) ? 40 : 9);
        to[i] = random_chance(r, 50) ? dim[i] : random_in(r, 1, 20);
    }
    enum values kind = (enum values)random_in(r, 0, VALUES - 1);
    int64_t which = random_in(r, 0, 5), roi_size = 2 * rank;
    bench_begin(b, "", "Resize", 4, 1);
    node_set_string(b->node, "mode", modes[mode]);
    node_set_string(b->node, "coordinate_transformation_mode", coordinates[which]);
    node_set_int(b->node, "exclude_outside", mode == 1 && random_chance(r, 30));
    node_set_int(b->node, "antialias", mode < 2 && random_chance(r, 30));
    bench_input(b, 0, t, rank, dim, kind, false);
    if (which == 5) {
        struct tensor *roi = bench_input(b, 1, DT_F32, 1, &roi_size, ORDINARY, true);
        for (int i = 0; i < rank; i++) {
            tensor_set_f64(roi, i, 0.1);
            tensor_set_f64(roi, rank + i, 1.2);
        }
    }
    bench_list(b, 3, to, rank);
    bench_compare(b, bench_precision(t));
}

struct head_sizes {
    int64_t batch, heads, groups, queries, keys, size, value;
};

static struct head_sizes heads(struct random *r) {
    struct head_sizes s = { .batch = random_in(r, 1, 2), .groups = random_in(r, 1, 3) };
    s.heads = s.groups * random_in(r, 1, 3);
    s.queries = random_in(r, 1, random_chance(r, 10) ? 70 : 12);
    s.keys = random_in(r, 1, random_chance(r, 10) ? 60 : 20);
    s.size = random_in(r, 1, 20);
    s.value = random_in(r, 1, 20);
    return s;
}

static void onnx_attention_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 50) ? DT_F32 : DT_F64;
    enum values kind = random_chance(r, 60) ? ORDINARY : random_chance(r, 50) ? TINY : SPECIAL;
    struct head_sizes s = heads(r);
    bool flat = random_chance(r, 50), past = random_chance(r, 20), boolean = random_chance(r, 50);
    int64_t before = past ? random_in(r, 1, 5) : 0;
    bench_begin(b, "", "Attention", 6, random_chance(r, 30) ? 4 : past ? 3 : 1);
    node_set_int(b->node, "is_causal", random_chance(r, 30));
    node_set_int(b->node, "qk_matmul_output_mode", random_in(r, 0, 3));
    if (random_chance(r, 30))
        node_set_float(b->node, "softcap", 2.5);
    if (random_chance(r, 30))
        node_set_float(b->node, "scale", 0.3);
    if (flat) {
        node_set_int(b->node, "q_num_heads", s.heads);
        node_set_int(b->node, "kv_num_heads", s.groups);
        bench_input(b, 0, t, 3, (int64_t[]) { s.batch, s.queries, s.heads * s.size }, kind, false);
        bench_input(b, 1, t, 3, (int64_t[]) { s.batch, s.keys, s.groups * s.size }, kind, false);
        bench_input(b, 2, t, 3, (int64_t[]) { s.batch, s.keys, s.groups * s.value }, kind, false);
    } else {
        bench_input(b, 0, t, 4, (int64_t[]) { s.batch, s.heads, s.queries, s.size }, kind, false);
        bench_input(b, 1, t, 4, (int64_t[]) { s.batch, s.groups, s.keys, s.size }, kind, false);
        bench_input(b, 2, t, 4, (int64_t[]) { s.batch, s.groups, s.keys, s.value }, kind, false);
    }
    if (random_chance(r, 50)) {
        int64_t mask[4] = { s.batch, s.heads, s.queries, s.keys + before };
        int rank = (int)random_in(r, 2, 4);
        for (int i = 0; i < 3; i++)
            if (random_chance(r, 30))
                mask[i] = 1;
        struct tensor *m =
            bench_input(b, 3, boolean ? DT_BOOL : t, rank, mask + 4 - rank, kind, false);
        for (int64_t i = 0; i < tensor_count(m); i++)
            if (boolean)
                tensor_set_i64(m, i, random_chance(r, 60));
            else if (random_chance(r, 20))
                tensor_set_f64(m, i, -INFINITY);
    }
    if (past) {
        bench_input(b, 4, t, 4, (int64_t[]) { s.batch, s.groups, before, s.size }, kind, false);
        bench_input(b, 5, t, 4, (int64_t[]) { s.batch, s.groups, before, s.value }, kind, false);
    }
    bench_compare(b, bench_precision(t));
}

/* ONNX Runtime's: Attention with its projection, MultiHeadAttention, GroupQueryAttention. */
static void contrib_attention_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 50) ? DT_F32 : DT_F64;
    enum values kind = random_chance(r, 70) ? ORDINARY : random_chance(r, 50) ? TINY : SPECIAL;
    struct head_sizes s = heads(r);
    int64_t width = s.heads * s.size, in = random_in(r, 1, 20), all = 3 * width;
    int which = (int)random_in(r, 0, 1);
    bench_begin(b, "com.microsoft", which ? "MultiHeadAttention" : "Attention", which ? 4 : 3, 1);
    node_set_int(b->node, "num_heads", s.heads);
    node_set_int(b->node, "unidirectional", random_chance(r, 40));
    if (which) {
        bench_input(b, 0, t, 3, (int64_t[]) { s.batch, s.queries, width }, kind, false);
        bench_input(b, 1, t, 3, (int64_t[]) { s.batch, s.keys, width }, kind, false);
        bench_input(b, 2, t, 3, (int64_t[]) { s.batch, s.keys, s.heads * s.value }, kind, false);
    } else {
        bench_input(b, 0, t, 3, (int64_t[]) { s.batch, s.queries, in }, kind, false);
        bench_input(b, 1, t, 2, (int64_t[]) { in, all }, kind, true);
        bench_input(b, 2, t, 1, &all, kind, true);
    }
    bench_compare(b, bench_precision(t));
}

BENCH_TEST(test_reduce, reduce_case, 20, 4000)
BENCH_TEST(test_resize, resize_case, 21, 800)
BENCH_TEST(test_onnx_attention, onnx_attention_case, 22, 600)
BENCH_TEST(test_contrib_attention, contrib_attention_case, 23, 700)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reduce),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_onnx_attention),
        cmocka_unit_test(test_contrib_attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
