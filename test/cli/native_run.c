/* `calque run --precision native` on small quantized models, against the stored answers of their
 * formats' own runtimes.
 *
 *     native_run CALQUE */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/format.h"
#include "npz/npz.h"

static const struct row {
    const char *folder, *name, *suffix;
    double bound;      /* of the difference from the stored answer */
    bool native_alone; /* f64, which does not quantize in between, is farther off */
} rows[] = {
    { "test/data/tflite_integers", "CONV_2D_int8_0", "tflite", 0, false },
    { "test/data/tflite_integers", "FULLY_CONNECTED_hybrid", "tflite", 0, true },
    { "test/data/tflite_integers", "UNIDIRECTIONAL_SEQUENCE_LSTM_int8", "tflite", 0, true },
    { "test/data/onnx_integers", "conv_u8_s8_channels_qop", "onnx", 0.0203, false },
    { "test/data/onnx_integers", "network_qdq", "onnx", 0.0123, false },
};

struct files {
    char in[80], out[80];
};

/* The stored inputs under the names that the model gives them. */
static enum status write_inputs(const struct row *r, const char *path, struct arena *a,
                                struct err *e) {
    char file[256], key[16];
    struct model *m = NULL;
    struct named_tensors in = { 0 };
    struct named_tensor items[8];
    snprintf(file, sizeof file, "%s/%s.%s", r->folder, r->name, r->suffix);
    TRY(model_read(file, &m, e));
    snprintf(file, sizeof file, "%s/%s_in.npz", r->folder, r->name);
    enum status s = npz_read(file, a, &in, e);
    for (int i = 0; s == OK && i < in.n && i < 8; i++) {
        snprintf(key, sizeof key, "%d", i);
        items[i] = (struct named_tensor) { m->graph->inputs[i]->name, named_tensor_find(&in, key) };
    }
    if (s == OK)
        s = npz_write(path, items, in.n, true, e);
    named_tensors_free(&in);
    model_free(m);
    return s;
}

/* The largest difference of the only output; HUGE_VAL where the program failed or gave another
 * shape. */
static double difference(const char *calque, const struct row *r, const struct files *f,
                         const char *precision, struct arena *a) {
    char command[1024], file[256];
    struct named_tensors have = { 0 }, want = { 0 };
    struct err e = { 0 };
    double worst = HUGE_VAL;
    snprintf(command, sizeof command,
             "\"%s\" run %s/%s.%s --inputs %s --precision %s -o %s >/dev/null", calque, r->folder,
             r->name, r->suffix, f->in, precision, f->out);
    snprintf(file, sizeof file, "%s/%s_out.npz", r->folder, r->name);
    if (system(command) == 0 && npz_read(f->out, a, &have, &e) == OK &&
        npz_read(file, a, &want, &e) == OK && have.n == 1 && want.n == 1) {
        const struct tensor *x = have.items[0].tensor, *y = want.items[0].tensor;
        bool fits = dims_equal(x->dim, x->rank, y->dim, y->rank);
        worst = fits ? 0 : HUGE_VAL;
        for (int64_t i = 0; fits && i < tensor_count(y); i++)
            worst = fmax(worst, fabs(tensor_f64(x, i) - tensor_f64(y, i)));
    }
    named_tensors_free(&have);
    named_tensors_free(&want);
    return worst;
}

static bool check(const char *calque, const struct row *r, const struct files *f) {
    struct arena *a = arena_new();
    struct err e = { 0 };
    bool good = write_inputs(r, f->in, a, &e) == OK;
    if (!good)
        printf("%s: %s\n", r->name, e.what);
    double native = good ? difference(calque, r, f, "native", a) : HUGE_VAL,
           reals = good && r->native_alone ? difference(calque, r, f, "f64", a) : HUGE_VAL;
    if (good && (!(native <= r->bound) || !(reals > r->bound))) {
        printf("%s: off by %g, in f64 by %g, %g is allowed\n", r->name, native, reals, r->bound);
        good = false;
    }
    arena_free(a);
    return good;
}

int main(int argc, char **argv) {
    char folder[] = "/tmp/calque_native_run_XXXXXX";
    int n = sizeof rows / sizeof *rows, failed = 0;
    struct files f;
    if (argc < 2 || !mkdtemp(folder))
        return 2;
    snprintf(f.in, sizeof f.in, "%s/in.npz", folder);
    snprintf(f.out, sizeof f.out, "%s/out.npz", folder);
    for (int i = 0; i < n; i++)
        failed += !check(argv[1], &rows[i], &f);
    remove(f.in);
    remove(f.out);
    remove(folder);
    printf("cases: %d passed, %d failed, 0 skipped\n", n - failed, failed);
    return failed != 0;
}
