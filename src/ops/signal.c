/* Fourier transforms, spectrogram weights and windows: computed in float64 in every precision.
 *
 * Order of the floating-point operations: a transform of n = p * m points, p the smallest prime
 * factor, is p transforms of the m points with the same remainder; each output is then the sum over
 * the remainders, ascending from 0, of the twiddle exp(-+2 pi i k r / n) times the part's output:
 * re = fma(-ti, xi, fma(tr, xr, re)), im = fma(ti, xr, fma(tr, xi, im)). The inverse is divided by
 * n at the end. */
#include <string.h>

#include "ops/mathfn.h"
#include "ops/move.h"
#include "ops/real.h"
#include "ops/row.h"
#include "ops/split.h"

enum { MAX_LENGTH = 1 << 24 }; /* of a transform: a gigabyte of room */

static const double PI = 3.14159265358979323846;

/* --- the transform --- */

struct fourier {
    int64_t n;
    const double *turn; /* cos and sin of 2 pi k / n, k < n */
    bool inverse;
};

static const double *turns(struct arena *a, int64_t n) {
    double *t = NEW_ARRAY(a, 2 * n + 1, double);
    for (int64_t k = 0; k < n; k++) {
        double angle = 2 * PI * ((double)k / (double)n);
        t[2 * k] = cos_d(angle);
        t[2 * k + 1] = sin_d(angle);
    }
    return t;
}

static int64_t smallest_factor(int64_t n) {
    for (int64_t p = 2; p * p <= n; p++)
        if (n % p == 0)
            return p;
    return n;
}

/* y[0..n) of x[0], x[step], ...; complex pairs. `room` holds 2n reals. Depth: at most 62 prime
 * factors. */
static void transform(const struct fourier *f, const double *x, int64_t step, int64_t n, double *y,
                      double *room) {
    if (n == 1) {
        y[0] = x[0];
        y[1] = x[1];
        return;
    }
    int64_t p = smallest_factor(n), m = n / p;
    for (int64_t r = 0; r < p; r++)
        transform(f, x + 2 * r * step, step * p, m, room + 2 * r * m, y + 2 * r * m);
    for (int64_t k = 0; k < n; k++) {
        double re = 0, im = 0;
        for (int64_t r = 0; r < p; r++) {
            int64_t at = k * r % n * (f->n / n);
            const double *part = room + 2 * (r * m + k % m);
            double c = f->turn[2 * at], s = f->inverse ? f->turn[2 * at + 1] : -f->turn[2 * at + 1];
            re = fma_d(-s, part[1], fma_d(c, part[0], re));
            im = fma_d(s, part[0], fma_d(c, part[1], im));
        }
        y[2 * k] = re;
        y[2 * k + 1] = im;
    }
}

/* The transform of `x` (n complex numbers) into `y`; room as above. */
static void fourier_run(const struct fourier *f, const double *x, double *y, double *room) {
    transform(f, x, 1, f->n, y, room);
    for (int64_t i = 0; f->inverse && i < 2 * f->n; i++)
        y[i] = y[i] / (double)f->n;
}

/* --- DFT --- */

struct dft_plan {
    int axis;
    int64_t length;               /* -1: not known yet */
    bool inverse, onesided, real; /* real: the input has no imaginary part */
};

static enum status dft_plan(const struct node *n, const struct fact *x, const struct tensor *length,
                            const struct tensor *axis, struct dft_plan *p, struct err *e) {
    int64_t at = axis ? tensor_i64(axis, 0) : -2, last = x->dim[x->rank - 1];
    FAIL_IF(at < -x->rank || at == -1 || at >= x->rank - 1, e, STATUS_CORRUPT,
            "axis %lld of DFT is outside the signal's", (long long)at);
    p->axis = (int)(at < 0 ? at + x->rank : at);
    p->inverse = attr_int(n, "inverse") != 0;
    p->onesided = attr_int(n, "onesided") != 0;
    FAIL_IF(last >= 0 && last != 1 && last != 2, e, STATUS_CORRUPT,
            "the last axis of DFT's input has %lld elements, not 1 or 2", (long long)last);
    p->real = last == 1;
    FAIL_IF(p->onesided && last >= 0 && p->real == p->inverse, e, STATUS_CORRUPT,
            "DFT: onesided needs a %s input", p->inverse ? "complex" : "real");
    int64_t size = x->dim[p->axis];
    if (length)
        p->length = tensor_i64(length, 0);
    else
        p->length = size < 0 ? -1 : p->onesided && p->inverse ? 2 * (size - 1) : size;
    FAIL_IF((length || size >= 0) && (p->length < 1 || p->length > MAX_LENGTH), e, STATUS_CORRUPT,
            "DFT of length %lld", (long long)p->length);
    return OK;
}

/* A scalar input's contents, NULL when left out; false when they are not known. */
static enum status scalar_input(struct shape_ctx *c, int i, bool *known,
                                const struct tensor **out) {
    *out = fact_given(c, i) ? c->in[i].value : NULL;
    *known = !fact_given(c, i) || *out;
    SHAPE_FAIL_IF(*out && ((*out)->kind != KIND_TENSOR || tensor_count(*out) != 1 ||
                           (*out)->store == DT_STRING),
                  c, "input %d of %s must be one number", i, c->node->op);
    return OK;
}

static enum status shape_dft(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    const struct tensor *length, *axis;
    bool length_known, axis_known;
    struct dft_plan p;
    TRY(need_float(c, 0));
    TRY(scalar_input(c, 1, &length_known, &length));
    TRY(scalar_input(c, 2, &axis_known, &axis));
    c->out[0].dtype = x->dtype;
    if (x->rank < 0)
        return OK;
    SHAPE_FAIL_IF(x->rank < 2, c, "DFT of a tensor of rank %d", x->rank);
    if (!axis_known) {
        fact_set_unknown(&c->out[0], x->dtype, x->rank);
        return OK;
    }
    TRY(dft_plan(c->node, x, length, axis, &p, c->err));
    out_shape(c, 0, x->dtype, x->rank, x->dim);
    c->out[0].dim[p.axis] = !length_known || p.length < 0 ? DIM_UNKNOWN
                            : p.onesided && !p.inverse    ? p.length / 2 + 1
                                                          : p.length;
    c->out[0].dim[x->rank - 1] = p.onesided && p.inverse ? 1 : 2;
    return OK;
}

struct dft_job {
    struct dft_plan p;
    struct fourier f;
    const struct tensor *x;
    struct tensor *y;
    int64_t inner; /* positions after the axis, without the complex one */
    double *room;  /* 6 n reals a task */
};

static void dft_part(void *arg, struct part part) {
    const struct dft_job *j = arg;
    int64_t n = j->f.n, size = j->x->dim[j->p.axis], out = j->y->dim[j->p.axis],
            width = j->p.real ? 1 : 2;
    double *x = j->room + part.task * 6 * n, *y = x + 2 * n, *room = y + 2 * n;
    int64_t half = j->p.onesided && j->p.inverse ? n / 2 + 1 : n, used = size < half ? size : half;
    for (int64_t u = part.begin; u < part.end; u++) {
        int64_t outer = u / j->inner, inner = u % j->inner;
        memset(x, 0, (size_t)(2 * n) * sizeof *x);
        for (int64_t i = 0; i < used; i++) {
            int64_t at = ((outer * size + i) * j->inner + inner) * width;
            x[2 * i] = tensor_f64(j->x, at);
            x[2 * i + 1] = j->p.real ? 0 : tensor_f64(j->x, at + 1);
        }
        for (int64_t i = 1; half < n && i < (n + 1) / 2;
             i++) { /* the half left out is the conjugate */
            x[2 * (n - i)] = x[2 * i];
            x[2 * (n - i) + 1] = -x[2 * i + 1];
        }
        fourier_run(&j->f, x, y, room);
        for (int64_t i = 0; i < out; i++) {
            int64_t at = (outer * out + i) * j->inner + inner;
            if (j->p.onesided && j->p.inverse) {
                tensor_set_f64(j->y, at, y[2 * i]);
                continue;
            }
            tensor_set_f64(j->y, 2 * at, y[2 * i]);
            tensor_set_f64(j->y, 2 * at + 1, y[2 * i + 1]);
        }
    }
}

/* The transposed transform: every output's gradient times the twiddle it was made with; a one-sided
 * spectrum's elements count for their conjugates as well. */
static enum status dft_grad(struct grad_ctx *c) {
    const struct tensor *x = c->in[0], *y = c->out[0];
    struct fact f = { .rank = x->rank };
    struct dft_plan p;
    if (!c->grad_out[0] || !c->grad_in[0])
        return OK;
    memcpy(f.dim, x->dim, sizeof f.dim);
    TRY(dft_plan(c->node, &f, c->n_in > 1 ? c->in[1] : NULL, c->n_in > 2 ? c->in[2] : NULL, &p,
                 c->err));
    int64_t n = p.length, size = x->dim[p.axis], out = y->dim[p.axis],
            inner = dims_product(x->dim, p.axis + 1, x->rank - 1);
    int64_t width = p.real ? 1 : 2, y_width = y->dim[y->rank - 1],
            lines = dims_product(x->dim, 0, p.axis) * inner;
    bool irfft = p.onesided && p.inverse;
    int64_t half = irfft ? n / 2 + 1 : n, used = size < half ? size : half;
    struct fourier back = { n, turns(c->scratch, n), !p.inverse };
    double *g = NEW_ARRAY(c->scratch, 6 * n, double), *r = g + 2 * n,
           scale = p.inverse ? 1 / (double)n : (double)n;
    for (int64_t u = 0; u < lines; u++) {
        memset(g, 0, (size_t)(2 * n) * sizeof *g);
        for (int64_t i = 0; i < out; i++)
            for (int64_t k = 0; k < y_width; k++)
                g[2 * i + k] =
                    ((const double *)c->grad_out[0]
                         ->data)[((u / inner * out + i) * inner + u % inner) * y_width + k];
        fourier_run(&back, g, r, r + 2 * n);
        for (int64_t i = 0; i < used; i++)
            for (int64_t k = 0; k < width; k++) {
                double twice = irfft && i > 0 && 2 * i < n ? 2 : 1;
                ((double *)c->grad_in[0]
                     ->data)[((u / inner * size + i) * inner + u % inner) * width + k] +=
                    scale * twice * r[2 * i + k];
            }
    }
    return OK;
}

static enum status dft(struct op_ctx *c) {
    struct dft_job j = { .x = c->in[0], .y = c->out[0] };
    struct fact x = { .rank = j.x->rank };
    memcpy(x.dim, j.x->dim, sizeof x.dim);
    TRY(dft_plan(c->node, &x, input_given(c, 1) ? c->in[1] : NULL,
                 input_given(c, 2) ? c->in[2] : NULL, &j.p, c->err));
    j.f = (struct fourier) { j.p.length, turns(c->scratch, j.p.length), j.p.inverse };
    j.inner = dims_product(j.x->dim, j.p.axis + 1, j.x->rank - 1);
    int64_t n = dims_product(j.x->dim, 0, j.p.axis) * j.inner, cost = j.p.length * 32;
    j.room = NEW_ARRAY(c->scratch, (int64_t)split_tasks(c, n, cost) * 6 * j.p.length, double);
    split_run(c, n, cost, dft_part, &j);
    return OK;
}

/* --- STFT --- */

/* The specification has signals of rank 3; exporters write real ones without the last axis, and
 * ONNX Runtime takes them. */
static int64_t parts_of(const struct tensor *signal) {
    return signal->rank == 3 ? signal->dim[2] : 1;
}

static enum status shape_stft(struct shape_ctx *c) {
    const struct fact *x = &c->in[0], *w = c->n_in > 2 ? &c->in[2] : NULL;
    const struct tensor *step, *length;
    bool step_known, length_known;
    int64_t frame = DIM_UNKNOWN, dim[4];
    TRY(need_float(c, 0));
    TRY(need_float(c, 2));
    if (x->rank != 2)
        TRY(need_shape(c, 0, 3, NULL));
    TRY(scalar_input(c, 1, &step_known, &step));
    TRY(scalar_input(c, 3, &length_known, &length));
    bool onesided = attr_int(c->node, "onesided") != 0;
    if (x->rank == 3) {
        SHAPE_FAIL_IF(x->dim[2] >= 0 && x->dim[2] != 1 && x->dim[2] != 2, c,
                      "the last axis of STFT's signal has %lld elements, not 1 or 2",
                      (long long)x->dim[2]);
        SHAPE_FAIL_IF(onesided && x->dim[2] == 2, c, "STFT: onesided needs a real signal");
    }
    if (length)
        frame = tensor_i64(length, 0);
    else if (length_known && w && !w->absent)
        frame = w->rank == 1 ? w->dim[0] : DIM_UNKNOWN;
    else if (length_known && x->rank >= 2)
        frame = x->dim[1];
    SHAPE_FAIL_IF(length && (frame < 1 || frame > MAX_LENGTH), c, "frame_length of STFT is %lld",
                  (long long)frame);
    TRY(need_vector(c, 2, frame));
    SHAPE_FAIL_IF(step && tensor_i64(step, 0) < 1, c, "frame_step of STFT is %lld",
                  (long long)tensor_i64(step, 0));
    dim[0] = x->rank >= 2 ? x->dim[0] : DIM_UNKNOWN;
    dim[1] = DIM_UNKNOWN;
    if (x->rank >= 2 && x->dim[1] >= 0 && frame >= 0 && step) {
        SHAPE_FAIL_IF(x->dim[1] < frame || frame < 1, c, "STFT: frames of %lld in a signal of %lld",
                      (long long)frame, (long long)x->dim[1]);
        dim[1] = (x->dim[1] - frame) / tensor_i64(step, 0) + 1;
    }
    dim[2] = frame < 0 ? DIM_UNKNOWN : onesided ? frame / 2 + 1 : frame;
    dim[3] = 2;
    out_shape(c, 0, x->dtype, 4, dim);
    return OK;
}

struct stft_job {
    struct fourier f;
    const struct tensor *x, *window;
    struct tensor *y;
    int64_t step;
    double *room;
};

static void stft_part(void *arg, struct part part) {
    const struct stft_job *j = arg;
    int64_t n = j->f.n, frames = j->y->dim[1], bins = j->y->dim[2], width = parts_of(j->x);
    double *x = j->room + part.task * 6 * n, *y = x + 2 * n, *room = y + 2 * n;
    for (int64_t u = part.begin; u < part.end; u++) {
        int64_t from = u / frames * j->x->dim[1] + u % frames * j->step;
        for (int64_t i = 0; i < n; i++) {
            double w = j->window ? tensor_f64(j->window, i) : 1;
            x[2 * i] = tensor_f64(j->x, (from + i) * width) * w;
            x[2 * i + 1] = width == 2 ? tensor_f64(j->x, (from + i) * width + 1) * w : 0;
        }
        fourier_run(&j->f, x, y, room);
        for (int64_t i = 0; i < 2 * bins; i++)
            tensor_set_f64(j->y, u * 2 * bins + i, y[i]);
    }
}

static enum status stft(struct op_ctx *c) {
    struct stft_job j = { .x = c->in[0], .y = c->out[0], .step = tensor_i64(c->in[1], 0) };
    j.window = input_given(c, 2) ? c->in[2] : NULL;
    FAIL_IF(j.x->dim[1] > MAX_LENGTH, c->err, STATUS_UNSUPPORTED, "STFT of %lld samples",
            (long long)j.x->dim[1]);
    int64_t n = input_given(c, 3) ? tensor_i64(c->in[3], 0)
                : j.window        ? j.window->dim[0]
                                  : j.x->dim[1];
    j.f = (struct fourier) { n, turns(c->scratch, n), false };
    int64_t frames = j.y->dim[0] * j.y->dim[1];
    j.room = NEW_ARRAY(c->scratch, (int64_t)split_tasks(c, frames, n * 32) * 6 * n, double);
    split_run(c, frames, n * 32, stft_part, &j);
    return OK;
}

static enum status stft_grad(struct grad_ctx *c) {
    const struct tensor *x = c->in[0], *y = c->out[0], *window = c->n_in > 2 ? c->in[2] : NULL;
    if (!c->grad_out[0])
        return OK;
    int64_t n = c->n_in > 3 && c->in[3] ? tensor_i64(c->in[3], 0)
                : window                ? window->dim[0]
                                        : x->dim[1];
    int64_t frames = y->dim[1], bins = y->dim[2], width = parts_of(x),
            step = tensor_i64(c->in[1], 0);
    struct fourier back = { n, turns(c->scratch, n), true };
    double *g = NEW_ARRAY(c->scratch, 6 * n, double), *r = g + 2 * n;
    double *gx = c->grad_in[0] ? c->grad_in[0]->data : NULL,
           *gw = window && c->grad_in[2] ? c->grad_in[2]->data : NULL;
    for (int64_t u = 0; u < y->dim[0] * frames; u++) {
        int64_t from = u / frames * x->dim[1] + u % frames * step;
        memset(g, 0, (size_t)(2 * n) * sizeof *g);
        memcpy(g, (const double *)c->grad_out[0]->data + u * 2 * bins,
               (size_t)(2 * bins) * sizeof *g);
        fourier_run(&back, g, r, r + 2 * n);
        for (int64_t i = 0; i < n * width; i++) {
            double v = (double)n * r[2 * (i / width) + i % width],
                   w = window ? tensor_f64(window, i / width) : 1;
            if (gx)
                gx[from * width + i] += v * w;
            if (gw)
                gw[i / width] += v * tensor_f64(x, from * width + i);
        }
    }
    return OK;
}

/* --- MelWeightMatrix --- */

static enum status shape_mel(struct shape_ctx *c) {
    const struct tensor *t[5];
    bool known[5];
    int64_t dim[2] = { DIM_UNKNOWN, DIM_UNKNOWN };
    for (int i = 0; i < 5; i++)
        TRY(scalar_input(c, i, &known[i], &t[i]));
    for (int i = 0; i < 3; i++)
        SHAPE_FAIL_IF(t[i] && (tensor_i64(t[i], 0) < 1 || tensor_i64(t[i], 0) > INT64_C(1) << 31),
                      c, "input %d of MelWeightMatrix is %lld", i, (long long)tensor_i64(t[i], 0));
    if (t[1])
        dim[0] = tensor_i64(t[1], 0) / 2 + 1;
    if (t[0])
        dim[1] = tensor_i64(t[0], 0);
    enum dtype to = attr_dtype(c->node, "output_datatype", DT_F32);
    SHAPE_FAIL_IF(to == DT_NONE || to == DT_STRING, c,
                  "output_datatype of MelWeightMatrix is no number type");
    out_shape(c, 0, to, 2, dim);
    return OK;
}

/* mel(f) = 2595 * log10(1 + f / 700). */
static double mel_of(double hertz) {
    return 2595 * log1p_d(hertz / 700) / log_d(10);
}

static enum status mel_weights(struct op_ctx *c) {
    struct tensor *y = c->out[0];
    int64_t bands = y->dim[1], bins = y->dim[0], length = tensor_i64(c->in[1], 0);
    double rate = tensor_f64(c->in[2], 0), low = mel_of(tensor_f64(c->in[3], 0)),
           high = mel_of(tensor_f64(c->in[4], 0));
    double step = (high - low) / (double)(bands + 2);
    int64_t *edge = NEW_ARRAY(c->scratch, bands + 2, int64_t);
    for (int64_t i = 0; i < bands + 2; i++) {
        double hertz = 700 * expm1_d(((double)i * step + low) / 2595 * log_d(10));
        double bin = floor((double)(length + 1) * hertz / rate);
        FAIL_IF(!(bin >= 0 && bin < (double)bins), c->err, STATUS_CORRUPT,
                "MelWeightMatrix: %g hertz is outside the %lld bins", hertz, (long long)bins);
        edge[i] = (int64_t)bin;
    }
    for (int64_t i = 0; i < bands; i++) {
        int64_t left = edge[i], peak = edge[i + 1], right = edge[i + 2];
        for (int64_t k = left; k <= peak; k++)
            tensor_set_f64(y, k * bands + i,
                           peak == left ? 1 : (double)(k - left) / (double)(peak - left));
        for (int64_t k = peak; k < right; k++)
            tensor_set_f64(y, k * bands + i, (double)(right - k) / (double)(right - peak));
    }
    return OK;
}

/* --- windows --- */

static enum status shape_window(struct shape_ctx *c) {
    const struct tensor *size;
    bool known;
    TRY(scalar_input(c, 0, &known, &size));
    int64_t n = size ? tensor_i64(size, 0) : DIM_UNKNOWN;
    SHAPE_FAIL_IF(size && n < 0, c, "%s of %lld elements", c->node->op, (long long)n);
    enum dtype to = attr_dtype(c->node, "output_datatype", DT_F32);
    SHAPE_FAIL_IF(to == DT_NONE || to == DT_STRING, c, "output_datatype of %s is no number type",
                  c->node->op);
    out_shape(c, 0, to, 1, &n);
    return OK;
}

/* a - b cos(2 pi n / N) + d cos(4 pi n / N); N is the size, or one less for a symmetric window
 * (whose single element is then 0 / 0: not a number). */
static enum status cosine_window(struct op_ctx *c, double a, double b, double d) {
    struct tensor *y = c->out[0];
    int64_t n = y->dim[0], period = attr_int(c->node, "periodic") ? n : n - 1;
    for (int64_t i = 0; i < n; i++) {
        double angle = 2 * PI * (double)i / (double)period;
        tensor_set_f64(y, i, a - b * cos_d(angle) + d * cos_d(2 * angle));
    }
    return OK;
}

static enum status hann(struct op_ctx *c) {
    return cosine_window(c, 0.5, 0.5, 0);
}
static enum status hamming(struct op_ctx *c) {
    return cosine_window(c, 25.0 / 46, 1 - 25.0 / 46, 0);
}
static enum status blackman(struct op_ctx *c) {
    return cosine_window(c, 0.42, 0.5, 0.08);
}

static const struct attr_def dft_attrs[] = { INT("inverse", 0), INT("onesided", 0), { 0 } };
static const struct attr_def stft_attrs[] = { INT("onesided", 1), { 0 } };
static const struct attr_def mel_attrs[] = { INT("output_datatype", 1), { 0 } };
static const struct attr_def window_attrs[] = { INT("output_datatype", 1),
                                                INT("periodic", 1),
                                                { 0 } };

const struct op ops_signal[] = {
    { ONNX("DFT", 20, 1, 3), .whole = 6, .attrs = dft_attrs, .shape = shape_dft, .eval = dft,
      .grad = dft_grad },
    { ONNX("STFT", 17, 2, 4), .whole = 10, .attrs = stft_attrs, .shape = shape_stft, .eval = stft,
      .grad = stft_grad },
    { ONNX("MelWeightMatrix", 17, 5, 5), .whole = 7, .flags = OP_NO_GRADIENT, .attrs = mel_attrs,
      .shape = shape_mel, .eval = mel_weights },
    { ONNX("HannWindow", 17, 1, 1), .whole = 1, .flags = OP_NO_GRADIENT, .attrs = window_attrs,
      .shape = shape_window, .eval = hann },
    { ONNX("HammingWindow", 17, 1, 1), .whole = 1, .flags = OP_NO_GRADIENT, .attrs = window_attrs,
      .shape = shape_window, .eval = hamming },
    { ONNX("BlackmanWindow", 17, 1, 1), .whole = 1, .flags = OP_NO_GRADIENT, .attrs = window_attrs,
      .shape = shape_window, .eval = blackman },
    { 0 },
};
