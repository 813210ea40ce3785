/* Patches written to TensorFlow Lite files: what is read back computes what the patched model
 * computed, and the bytes that no edit concerns are the file's own. Files of the corpus are used;
 * skipped by name without it. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mapfile.h"
#include "exec/exec.h"
#include "formats/format.h"
#include "ir/patch.h"

static char out_path[64];

static const char *corpus_file(const char *name, char *path, size_t size) {
    const char *corpus = getenv("CALQUE_CORPUS");
    snprintf(path, size, "%s/%s", corpus ? corpus : "../shared", name);
    return access(path, R_OK) == 0 ? path : NULL;
}

static struct model *open_model(const char *name) {
    char path[1024];
    struct model *m = NULL;
    struct err e = { 0 };
    if (!corpus_file(name, path, sizeof path)) {
        print_message("the corpus is absent: %s\n", path);
        skip();
    }
    if (model_read(path, &m, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    return m;
}

/* Outputs of the model on a ramp of inputs. */
static void run(struct model *m, struct tensor **out) {
    struct exec_options o = { .precision = PREC_F64 };
    struct exec *x;
    struct err e = { 0 };
    assert_int_equal(exec_new(&x, m, &o, &e), OK);
    struct exec_env *env = exec_env_new(x);
    struct tensor *in[16] = { NULL };
    for (int i = 0; i < m->graph->n_inputs; i++) {
        const struct value *v = m->graph->inputs[i];
        int64_t dim[MAX_RANK];
        for (int k = 0; k < v->rank; k++)
            dim[k] = v->dim[k] < 0 ? 1 : v->dim[k];
        assert_int_equal(tensor_new(&in[i], v->dtype, v->dtype, v->rank, dim, &e), OK);
        for (int64_t k = 0; k < tensor_count(in[i]); k++)
            tensor_set_f64(in[i], k,
                           dtype_is_float(v->dtype) ? (double)((k * 37 + 11) % 101) / 50 - 1
                                                    : (double)((k * 37) % 101));
    }
    if (exec_run(x, NULL, (const struct tensor *const *)in, env, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    for (int i = 0; i < m->graph->n_outputs; i++)
        out[i] = tensor_alias(env->at[m->graph->outputs[i]->id]);
    for (int i = 0; i < m->graph->n_inputs; i++)
        tensor_free(in[i]);
    exec_env_free(env);
    exec_free(x);
}

static void write_to(const struct model *m, const struct patch *p) {
    struct err e = { 0 };
    const struct format *f;
    const struct patch *list[] = { p };
    assert_int_equal(format_detect(&m->files[0], &f, &e), OK);
    if (f->write_patched(m, list, 1, out_path, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
}

/* Applies, runs, takes back, writes, reads, runs: the outputs must be equal bit for bit and keep
 * their names. */
static struct model *round_trip(struct model *m, struct patch *p) {
    struct tensor *want[16] = { NULL }, *have[16] = { NULL };
    struct err e = { 0 };
    struct model *back;
    if (patch_apply(p, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    run(m, want);
    patch_undo(p);
    write_to(m, p);
    if (model_read(out_path, &back, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    run(back, have);
    assert_int_equal(back->graph->n_outputs, m->graph->n_outputs);
    for (int i = 0; i < m->graph->n_outputs; i++) {
        assert_string_equal(m->graph->outputs[i]->name, back->graph->outputs[i]->name);
        assert_int_equal(tensor_count(want[i]), tensor_count(have[i]));
        assert_memory_equal(want[i]->data, have[i]->data, tensor_bytes(want[i]));
        tensor_free(want[i]);
        tensor_free(have[i]);
    }
    return back;
}

static struct node *find_node(struct model *m, const char *op, const char *origin) {
    for (int i = 0; i < m->graph->n_nodes; i++)
        if (node_is(m->graph->nodes[i], op) &&
            (!origin || strcmp(m->graph->nodes[i]->origin.op, origin) == 0))
            return m->graph->nodes[i];
    fail_msg("no node %s", op);
    return NULL;
}

static size_t bytes_changed(const struct model *a, const struct model *b) {
    size_t n = 0;
    assert_int_equal(a->files[0].size, b->files[0].size);
    for (size_t i = 0; i < a->files[0].size; i++)
        n += a->files[0].data[i] != b->files[0].data[i];
    return n;
}

static void done(struct model *m, struct model *back) {
    model_free(m);
    model_free(back);
    remove(out_path);
}

static const char LENET[] = "pairs/torch-lenet5/lenet5_onnx2tf.tflite",
                  RESNET[] = "pairs/keras-resnet20/resnet20_f32.tflite",
                  QUANTIZED[] = "pairs/keras-mobilenetv2/mobilenetv2_int8.tflite";

static void no_edit_is_the_same_file(void **state) {
    (void)state;
    struct model *m = open_model(LENET), *back;
    struct err e;
    write_to(m, patch_new(m, "nothing"));
    assert_int_equal(model_read(out_path, &back, &e), OK);
    assert_int_equal(bytes_changed(m, back), 0);
    done(m, back);
}

static void constant_of_one_size_is_overwritten(void **state) {
    (void)state;
    struct model *m = open_model(LENET);
    struct node *conv = find_node(m, "Conv", NULL);
    struct tensor *t = arena_copy(m->arena, conv->in[1]->constant, sizeof *t);
    t->data = arena_copy(m->arena, t->data, tensor_bytes(t));
    tensor_set_f64(t, 3, 0.625);
    struct patch *p = patch_new(m, "weight");
    patch_set_constant(p, conv->in[1], t);
    struct model *back = round_trip(m, p);
    size_t n = bytes_changed(m, back);
    assert_in_range(n, 1, 4);
    done(m, back);
}

static void attribute_is_overwritten(void **state) {
    (void)state;
    struct model *m = open_model(RESNET);
    struct node *conv = find_node(m, "Conv", "CONV_2D");
    struct patch *p = patch_new(m, "dilation");
    static const int64_t two[] = { 2, 2 };
    patch_set_ints(p, conv, "dilations", two, 2);
    struct err e;
    struct model *back = NULL;
    write_to(m, p);
    assert_int_equal(model_read(out_path, &back, &e), OK);
    const struct attr *a = node_attr(back->graph->nodes[conv->id], "dilations");
    assert_int_equal(a->ints[0] * 10 + a->ints[1], 22);
    done(m, back);
}

static void explicit_pads_become_an_operator(void **state) {
    (void)state;
    struct model *m = open_model(LENET);
    struct node *conv = find_node(m, "Conv", NULL);
    static const int64_t pads[] = { 4, 1, 0, 3 };
    struct patch *p = patch_new(m, "pads");
    /* The layers behind want the old size: cut it out again. */
    patch_remove_attr(p, conv, "auto_pad");
    patch_set_ints(p, conv, "pads", pads, 4);
    int64_t begin[] = { 0, 0 }, axes[] = { 1, 2 }, end[2];
    for (int i = 0; i < 2; i++)
        end[i] = conv->out[0]->dim[i + 1];
    struct value *in[] = { conv->out[0],
                           patch_constant(p, m->graph, "begin", tensor_vec_i64(m->arena, begin, 2)),
                           patch_constant(p, m->graph, "end", tensor_vec_i64(m->arena, end, 2)),
                           patch_constant(p, m->graph, "axes", tensor_vec_i64(m->arena, axes, 2)) };
    struct node *cut =
        patch_node(p, m->graph, m->graph->nodes[conv->id + 1], "Slice", "", in, 4, 1);
    patch_replace_uses(p, conv->out[0], cut->out[0]);
    done(m, round_trip(m, p));
}

static void fused_activation_is_taken_away(void **state) {
    (void)state;
    struct model *m = open_model(RESNET);
    struct node *clip = find_node(m, "Relu", "CONV_2D");
    struct patch *p = patch_new(m, "no activation");
    patch_replace_uses(p, clip->out[0], clip->in[0]);
    patch_remove_node(p, clip);
    struct model *back = round_trip(m, p);
    assert_int_equal(bytes_changed(m, back), 1);
    done(m, back);
}

static void fused_activation_of_a_quantized_operator(void **state) {
    (void)state;
    struct model *m = open_model(QUANTIZED);
    struct node *act = NULL;
    for (int i = 0; i < m->graph->n_nodes && !act; i++)
        if (node_is(m->graph->nodes[i], "Clip") || node_is(m->graph->nodes[i], "Relu"))
            act = m->graph->nodes[i];
    assert_non_null(act);
    struct patch *p = patch_new(m, "no activation");
    patch_replace_uses(p, act->out[0], act->in[0]);
    patch_remove_node(p, act);
    done(m, round_trip(m, p));
}

static void swapped_inputs(void **state) {
    (void)state;
    struct model *m = open_model(RESNET);
    struct node *add = find_node(m, "Add", NULL);
    struct patch *p = patch_new(m, "subtract the other way round");
    struct value *a = add->in[0], *b = add->in[1];
    patch_set_op(p, add, "Sub", "");
    patch_set_input(p, add, 0, b);
    patch_set_input(p, add, 1, a);
    done(m, round_trip(m, p));
}

static void added_output_operator_keeps_the_name(void **state) {
    (void)state;
    struct model *m = open_model(LENET);
    struct value *out = m->graph->outputs[0];
    struct patch *p = patch_new(m, "scaled output");
    struct value *in[] = { out,
                           patch_constant(p, m->graph, "factor", tensor_scalar_f32(m->arena, -2)) };
    struct node *mul = patch_node(p, m->graph, NULL, "Mul", "", in, 2, 1);
    patch_set_output(p, m->graph, 0, mul->out[0]);
    done(m, round_trip(m, p));
}

static void shared_buffer_gets_a_copy(void **state) {
    (void)state;
    struct model *m = open_model("pairs/edge-shared_conv/shared_conv_litert.tflite");
    struct node *conv = find_node(m, "Conv", NULL);
    struct tensor *t = arena_copy(m->arena, conv->in[1]->constant, sizeof *t);
    t->data = arena_copy(m->arena, t->data, tensor_bytes(t));
    tensor_set_f64(t, 0, 3);
    struct patch *p = patch_new(m, "one of two");
    struct value *own = patch_constant(p, m->graph, "own", t);
    patch_set_input(p, conv, 1, own);
    done(m, round_trip(m, p));
}

/* The inside of a convolution, before its activation, is read too: the activation becomes an
 * operator of its own. */
static void inner_value_gets_a_tensor(void **state) {
    (void)state;
    struct model *m = open_model(RESNET);
    struct node *relu = find_node(m, "Relu", "CONV_2D"), *conv = relu->in[0]->producer;
    struct node *reader = m->graph->nodes[relu->id + 1];
    assert_ptr_equal(reader->in[0], relu->out[0]);
    struct patch *p = patch_new(m, "inner");
    struct value *inner[] = { conv->out[0] };
    struct node *abs = patch_node(p, m->graph, reader, "Abs", "", inner, 1, 1);
    abs->out[0]->dtype = DT_F32;
    struct value *both[] = { relu->out[0], abs->out[0] };
    struct node *sum = patch_node(p, m->graph, reader, "Add", "", both, 2, 1);
    sum->out[0]->dtype = DT_F32;
    patch_set_input(p, reader, 0, sum->out[0]);
    done(m, round_trip(m, p));
}

/* The same inside a quantized operator, where it would need a scale. */
static void inner_value_of_a_quantized_operator_is_refused(void **state) {
    (void)state;
    struct model *m = open_model(QUANTIZED);
    struct node *conv = find_node(m, "Conv", NULL);
    struct node *after = m->graph->nodes[conv->id + 1];
    struct node *reader = NULL;
    for (int i = after->id + 1; i < m->graph->n_nodes && !reader; i++)
        if (node_is(m->graph->nodes[i], "Conv"))
            reader = m->graph->nodes[i];
    assert_non_null(reader);
    struct patch *p = patch_new(m, "inner");
    struct value *inner[] = { conv->out[0] };
    struct node *abs = patch_node(p, m->graph, reader, "Abs", "", inner, 1, 1);
    abs->out[0]->dtype = DT_F32;
    patch_set_input(p, reader, 0, abs->out[0]);
    const struct format *f;
    const struct patch *list[] = { p };
    struct err e = { 0 };
    assert_int_equal(format_detect(&m->files[0], &f, &e), OK);
    assert_int_equal(f->write_patched(m, list, 1, out_path, &e), STATUS_UNSUPPORTED);
    assert_int_not_equal(access(out_path, F_OK), 0);
    model_free(m);
}

static void what_cannot_be_written_is_named(void **state) {
    (void)state;
    struct model *m = open_model(LENET);
    struct patch *p = patch_new(m, "erf");
    struct node *conv = find_node(m, "Conv", NULL);
    struct value *in[] = { conv->out[0] };
    struct node *erf = patch_node(p, m->graph, m->graph->nodes[conv->id + 1], "Erf", "", in, 1, 1);
    patch_replace_uses(p, conv->out[0], erf->out[0]);
    const struct format *f;
    const struct patch *list[] = { p };
    struct err e = { 0 };
    assert_int_equal(format_detect(&m->files[0], &f, &e), OK);
    assert_int_equal(f->write_patched(m, list, 1, out_path, &e), STATUS_UNSUPPORTED);
    assert_non_null(strstr(e.what, "Erf"));
    assert_int_not_equal(access(out_path, F_OK), 0);
    model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_edit_is_the_same_file),
        cmocka_unit_test(constant_of_one_size_is_overwritten),
        cmocka_unit_test(attribute_is_overwritten),
        cmocka_unit_test(explicit_pads_become_an_operator),
        cmocka_unit_test(fused_activation_is_taken_away),
        cmocka_unit_test(fused_activation_of_a_quantized_operator),
        cmocka_unit_test(swapped_inputs),
        cmocka_unit_test(added_output_operator_keeps_the_name),
        cmocka_unit_test(shared_buffer_gets_a_copy),
        cmocka_unit_test(inner_value_gets_a_tensor),
        cmocka_unit_test(inner_value_of_a_quantized_operator_is_refused),
        cmocka_unit_test(what_cannot_be_written_is_named),
    };
    snprintf(out_path, sizeof out_path, "/tmp/calque_tflite_write_%d.tflite", (int)getpid());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
