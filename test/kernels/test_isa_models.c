/* Real models give the same bits at every value on every instruction set, without and with threads,
 * and by the reference kernels alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/exec.h"
#include "formats/format.h"
#include "kernels/isa.h"
#include "tensor/tensor.h"

static const char *const models[] = {
    "models/FYH620__lenet-mnist-openvino/lenet.onnx",
    "models/Linzaer__Ultra-Light-Fast-Generic-Face-Detector-1MB/models/onnx/version-slim-320.onnx",
    ("models/Linzaer__Ultra-Light-Fast-Generic-Face-Detector-1MB/tflite/pretrained/"
     "version-slim-320_without_postprocessing.tflite"),
    "pairs/torch-lenet5/lenet5_dynamo.onnx",
    "pairs/torch-resnet20/resnet20_legacy.onnx",
};

struct digest {
    uint64_t sum;
    int values;
};

static void tap(void *arg, const struct value *v, const struct tensor *t) {
    struct digest *d = arg;
    (void)v;
    if (t->kind != KIND_TENSOR || t->store == DT_STRING)
        return;
    d->sum = hash_mix(d->sum ^ hash_bytes(t->data, tensor_bytes(t), (uint64_t)d->values));
    d->values++;
}

static struct digest run(struct model *m, enum precision precision, int threads, bool reference) {
    struct digest d = { 0 };
    struct err e;
    struct exec *x = NULL;
    struct pool *pool = pool_new(threads);
    struct exec_options o = {
        .precision = precision, .pool = pool, .reference_only = reference, .tap = tap, .arg = &d
    };
    struct tensor *in[8] = { 0 };
    assert_int_equal(exec_new(&x, m, &o, &e), OK);
    assert_true(m->graph->n_inputs <= 8);
    for (int i = 0; i < m->graph->n_inputs; i++) {
        const struct value *v = m->graph->inputs[i];
        int64_t dim[MAX_RANK];
        for (int k = 0; k < v->rank; k++)
            dim[k] = v->dim[k] < 0 ? 1 : v->dim[k];
        if (v->constant)
            continue;
        assert_int_equal(tensor_new(&in[i], v->dtype, v->dtype, v->rank, dim, &e), OK);
        for (int64_t k = 0; k < tensor_count(in[i]); k++)
            tensor_set_f64(in[i], k, (double)(hash_mix((uint64_t)k) >> 40) / (1 << 23) - 1);
    }
    struct exec_env *env = exec_env_new(x);
    enum status s = exec_run(x, NULL, (const struct tensor *const *)in, env, &e);
    if (s != OK)
        fprintf(stderr, "%s: %s\n", e.where, e.what);
    assert_int_equal(s, OK);
    exec_env_free(env);
    exec_free(x);
    for (int i = 0; i < 8; i++)
        tensor_free(in[i]);
    pool_free(pool);
    return d;
}

static void test_model(const char *path) {
    struct model *m;
    struct err e;
    assert_int_equal(model_read(path, &m, &e), OK);
    for (int p = PREC_F64; p <= PREC_F32; p++) {
        struct digest want = run(m, (enum precision)p, 1, true);
        assert_true(want.values > 0);
        for (int k = 0; isa_at(k); k++) {
            isa_force(isa_at(k));
            for (int threads = 1; threads <= 2; threads++) {
                struct digest have = run(m, (enum precision)p, threads, false);
                if (have.sum != want.sum)
                    fprintf(stderr, "%s differs: %s, %d threads\n", path, isa_at(k)->name, threads);
                assert_int_equal(have.values, want.values);
                assert_true(have.sum == want.sum);
            }
        }
        isa_force(NULL);
    }
    model_free(m);
}

static void test_models(void **state) {
    (void)state;
    const char *corpus = getenv("CALQUE_CORPUS");
    int found = 0;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", corpus ? corpus : "../shared", models[i]);
        FILE *f = fopen(path, "rb");
        if (!f) {
            fprintf(stderr, "not there: %s\n", models[i]);
            continue;
        }
        fclose(f);
        test_model(path);
        found++;
    }
    if (!found)
        skip();
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_models) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
