/* Times oneDNN as calque-bench times calque: reads one command a line, answers one line.
 *
 *     conv IMAGES CHANNELS HEIGHT WIDTH OUTPUTS KERNEL_H KERNEL_W STRIDE PAD_H PAD_W GROUPS
 *     product M N K
 *                   prepares it in float32, each operand in the layout that oneDNN likes best: "ok"
 * or "error" run           runs once: milliseconds
 *
 * Threads are OpenMP's: OMP_NUM_THREADS. */
#define _DEFAULT_SOURCE
#include <dnnl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OPERANDS = 3 }; /* source, weights, destination */

struct subject {
    dnnl_primitive_t primitive;
    dnnl_memory_t memory[OPERANDS];
    void *data[OPERANDS];
};

static dnnl_engine_t engine;
static dnnl_stream_t stream;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void subject_close(struct subject *s) {
    for (int i = 0; i < OPERANDS; i++) {
        if (s->memory[i])
            dnnl_memory_destroy(s->memory[i]);
        free(s->data[i]);
    }
    if (s->primitive)
        dnnl_primitive_destroy(s->primitive);
    memset(s, 0, sizeof *s);
}

/* The primitive of a description, and operands of the sizes that it asks for, all ones. */
static bool prepare(struct subject *s, const void *description) {
    static const dnnl_query_t queries[OPERANDS] = { dnnl_query_src_md, dnnl_query_weights_md,
                                                    dnnl_query_dst_md };
    dnnl_primitive_desc_t pd;
    if (dnnl_primitive_desc_create(&pd, description, NULL, engine, NULL) != dnnl_success)
        return false;
    bool done = dnnl_primitive_create(&s->primitive, pd) == dnnl_success;
    for (int i = 0; done && i < OPERANDS; i++) {
        const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, queries[i], 0);
        size_t size = dnnl_memory_desc_get_size(md);
        s->data[i] = aligned_alloc(64, (size + 63) / 64 * 64);
        done =
            s->data[i] && dnnl_memory_create(&s->memory[i], md, engine, s->data[i]) == dnnl_success;
        for (size_t k = 0; done && k < size / sizeof(float); k++)
            ((float *)s->data[i])[k] = 1;
    }
    dnnl_primitive_desc_destroy(pd);
    return done;
}

static void any_layout(dnnl_memory_desc_t *md, int rank, const dnnl_dims_t dim) {
    dnnl_memory_desc_init_by_tag(md, rank, dim, dnnl_f32, dnnl_format_tag_any);
}

static bool convolution(struct subject *s, const long *v) {
    const long images = v[0], channels = v[1], outputs = v[4], stride = v[7], groups = v[10];
    const dnnl_dims_t x = { images, channels, v[2], v[3] };
    const dnnl_dims_t dense = { outputs, channels, v[5], v[6] };
    const dnnl_dims_t grouped = { groups, outputs / groups, channels / groups, v[5], v[6] };
    const dnnl_dims_t y = { images, outputs, (v[2] + 2 * v[8] - v[5]) / stride + 1,
                            (v[3] + 2 * v[9] - v[6]) / stride + 1 };
    const dnnl_dims_t strides = { stride, stride }, pads = { v[8], v[9] };
    dnnl_memory_desc_t xd, wd, yd;
    dnnl_convolution_desc_t d;
    any_layout(&xd, 4, x);
    any_layout(&wd, groups > 1 ? 5 : 4, groups > 1 ? grouped : dense);
    any_layout(&yd, 4, y);
    return dnnl_convolution_forward_desc_init(&d, dnnl_forward_inference, dnnl_convolution_direct,
                                              &xd, &wd, NULL, &yd, strides, pads,
                                              pads) == dnnl_success &&
           prepare(s, &d);
}

static bool product(struct subject *s, const long *v) {
    const dnnl_dims_t a = { v[0], v[2] }, b = { v[2], v[1] }, c = { v[0], v[1] };
    dnnl_memory_desc_t ad, bd, cd;
    dnnl_matmul_desc_t d;
    any_layout(&ad, 2, a);
    any_layout(&bd, 2, b);
    any_layout(&cd, 2, c);
    return dnnl_matmul_desc_init(&d, &ad, &bd, NULL, &cd) == dnnl_success && prepare(s, &d);
}

static bool run_once(const struct subject *s, double *ms) {
    const dnnl_exec_arg_t arguments[OPERANDS] = { { DNNL_ARG_SRC, s->memory[0] },
                                                  { DNNL_ARG_WEIGHTS, s->memory[1] },
                                                  { DNNL_ARG_DST, s->memory[2] } };
    double t0 = now();
    bool done = s->primitive &&
                dnnl_primitive_execute(s->primitive, stream, OPERANDS, arguments) == dnnl_success &&
                dnnl_stream_wait(stream) == dnnl_success;
    *ms = 1e3 * (now() - t0);
    return done;
}

static void command(struct subject *s, const char *line) {
    long v[11];
    double ms = 0;
    bool conv = sscanf(line, "conv %ld %ld %ld %ld %ld %ld %ld %ld %ld %ld %ld", &v[0], &v[1],
                       &v[2], &v[3], &v[4], &v[5], &v[6], &v[7], &v[8], &v[9], &v[10]) == 11;
    if (conv || sscanf(line, "product %ld %ld %ld", &v[0], &v[1], &v[2]) == 3) {
        subject_close(s);
        printf((conv ? convolution(s, v) : product(s, v)) ? "ok\n"
                                                          : "error oneDNN does not know it\n");
    } else if (strncmp(line, "run", 3) == 0 && run_once(s, &ms)) {
        printf("%.4f\n", ms);
    } else {
        printf("error unknown command\n");
    }
    fflush(stdout);
}

int main(void) {
    struct subject s = { 0 };
    char line[512];
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) != dnnl_success)
        return 1;
    while (fgets(line, sizeof line, stdin))
        command(&s, line);
    subject_close(&s);
    dnnl_stream_destroy(stream);
    dnnl_engine_destroy(engine);
    return 0;
}
