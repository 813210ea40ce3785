#include "compare/ranges.h"

#include <math.h>
#include <string.h>

#include "ops/op.h"

static double mean_of(const struct tensor *t) {
    int64_t n = tensor_count(t);
    double s = 0;
    for (int64_t i = 0; i < n; i++)
        s += tensor_f64(t, i);
    return n ? s / (double)n : 0;
}

static const struct tensor *real_constant(const struct value *v) {
    if (!v || !v->constant || v->constant->kind != KIND_TENSOR ||
        !dtype_is_float(v->constant->dtype))
        return NULL;
    return v->constant;
}

static const struct node *only_reader(const struct uses *u, const struct value *v, int *input) {
    if (u->n[v->id] < 1)
        return NULL;
    *input = u->of[v->id][0].input;
    return u->of[v->id][0].node;
}

static bool passes_through(const struct node *n) {
    static const char *const ops[] = { "Identity",  "Cast", "Transpose", "Reshape", "Squeeze",
                                       "Unsqueeze", "Pad",  "Flatten",   "Slice" };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (node_is(n, ops[i]))
            return true;
    return false;
}

bool quantizer_bounds(const struct node *n, int input, double *low, double *high, double *step) {
    if (!node_is(n, "QuantizeLinear") || input != 0 || !real_constant(n->in[1]))
        return false;
    const struct value *zero = n->n_in > 2 ? n->in[2] : NULL;
    enum dtype stored = zero ? zero->dtype : DT_U8;
    if (!dtype_is_int(stored) || dtype_row(stored)->bits > 16 || (zero && !zero->constant))
        return false;
    double scale = fabs(mean_of(n->in[1]->constant)), z = zero ? tensor_f64(zero->constant, 0) : 0;
    int64_t least, most;
    dtype_int_bounds(stored, &least, &most);
    *low = scale * ((double)least - z);
    *high = scale * ((double)most - z);
    *step = scale;
    return *high > *low;
}

/* The affine map y = (x - mean) / deviation that the first nodes apply. */
static void learn_affine(const struct uses *u, const struct value *v, struct input_range *r) {
    double offset = 0, gain = 1; /* y = gain * x + offset */
    for (int step = 0; step < 8; step++) {
        int input;
        double low, high, width;
        const struct node *n = only_reader(u, v, &input);
        if (!n || n->n_out < 1 || !n->out[0])
            break;
        const struct tensor *c = n->n_in == 2 ? real_constant(n->in[1 - input]) : NULL;
        double k = c ? mean_of(c) : 0;
        if (node_is(n, "BatchNormalization") && input == 0 && n->n_in >= 5 &&
            real_constant(n->in[3]) && real_constant(n->in[4])) {
            double sd = sqrt(fabs(mean_of(n->in[4]->constant)) + 1e-12);
            offset = (offset - mean_of(n->in[3]->constant)) / sd;
            gain /= sd;
            break;
        }
        if (c && node_is(n, "Sub")) {
            offset = input == 0 ? offset - k : k - offset;
            gain = input == 0 ? gain : -gain;
        } else if (c && node_is(n, "Add")) {
            offset += k;
        } else if (c && node_is(n, "Mul") && k != 0) {
            offset *= k;
            gain *= k;
        } else if (c && node_is(n, "Div") && input == 0 && k != 0) {
            offset /= k;
            gain /= k;
        } else if (quantizer_bounds(n, input, &low, &high, &width) && gain != 0) {
            r->low = fmin((low - offset) / gain, (high - offset) / gain);
            r->high = fmax((low - offset) / gain, (high - offset) / gain);
            r->mean = (r->low + r->high) / 2;
            r->deviation = (r->high - r->low) / 5;
            return;
        } else if (!passes_through(n)) {
            break;
        }
        v = n->out[0];
    }
    if (gain != 0 && fabs(gain) < 1e12 && fabs(gain) > 1e-12) {
        r->mean = -offset / gain;
        r->deviation = 1 / fabs(gain);
    }
}

static int64_t dim_of(const struct value *v, int axis) {
    if (v && v->constant && axis < v->constant->rank)
        return v->constant->dim[axis];
    return v && axis < v->rank ? v->dim[axis] : -1;
}

static bool is_scalar(const struct tensor *t, double low, double high) {
    if (!t || tensor_count(t) != 1)
        return false;
    double x = tensor_f64(t, 0);
    return x >= low && x <= high;
}

/* 1 - v, scaled to a number that no score outweighs: v says which elements count. */
static bool is_mask(const struct uses *u, const struct node *n, int input) {
    if (!node_is(n, "Sub") || input != 1 || !n->in[0] || !is_scalar(n->in[0]->constant, 1, 1) ||
        !n->out[0] || u->n[n->out[0]->id] < 1)
        return false;
    const struct node *m = u->of[n->out[0]->id][0].node;
    const struct value *by =
        node_is(m, "Mul") && m->n_in == 2 ? m->in[m->in[0] == n->out[0] ? 1 : 0] : NULL;
    return by && is_scalar(by->constant, -HUGE_VAL, -1e3);
}

/* The inclusive bounds that reader n puts on integers at its input; false: none. */
static bool integer_bounds(const struct node *n, int input, const struct value *v, int64_t *low,
                           int64_t *high) {
    *low = 0;
    if (node_is(n, "Gather") && input == 1) {
        const struct attr *axis = node_attr(n, "axis");
        int64_t k = axis ? axis->i : 0, rank = n->in[0]->rank;
        int64_t d = dim_of(n->in[0], (int)(k < 0 ? k + rank : k));
        *high = d > 0 ? d - 1 : 1;
        return true;
    }
    if ((node_is(n, "GatherElements") || node_is(n, "ScatterElements")) && input == 1) {
        const struct attr *axis = node_attr(n, "axis");
        int64_t k = axis ? axis->i : 0, rank = n->in[0]->rank;
        int64_t d = dim_of(n->in[0], (int)(k < 0 ? k + rank : k));
        *high = d > 0 ? d - 1 : 1;
        return true;
    }
    if ((node_is(n, "GatherND") || node_is(n, "ScatterND")) && input == 1) {
        int64_t d = dim_of(n->in[0], 0);
        for (int k = 1; k < n->in[0]->rank; k++)
            d = dim_of(n->in[0], k) < d ? dim_of(n->in[0], k) : d;
        *high = d > 0 ? d - 1 : 1;
        return true;
    }
    if ((node_is(n, "LSTM") || node_is(n, "GRU") || node_is(n, "RNN")) && input == 4) {
        int64_t steps = dim_of(n->in[0], 0);
        *low = 1;
        *high = steps > 0 ? steps : 1;
        return true;
    }
    if (node_is(n, "OneHot") && input == 0) {
        *high = n->in[1]->constant ? tensor_i64(n->in[1]->constant, 0) - 1 : 3;
        return true;
    }
    if (node_is(n, "ReverseSequence") && input == 1) {
        *low = 1;
        *high = 2;
        return true;
    }
    if (node_is(n, "Where") && input == 0) {
        *high = 1;
        return true;
    }
    (void)v;
    return false;
}

/* A division by a constant shows only with dividends of its size. */
static double divisor(const struct uses *u, const struct value *v) {
    for (int i = 0; i < u->n[v->id]; i++) {
        const struct node *n = u->of[v->id][i].node;
        const struct tensor *c =
            node_is(n, "Div") && u->of[v->id][i].input == 0 && n->in[1] ? n->in[1]->constant : NULL;
        if (c && tensor_count(c) == 1 && fabs(tensor_f64(c, 0)) > 1 &&
            fabs(tensor_f64(c, 0)) < 0x1p50)
            return fabs(tensor_f64(c, 0));
    }
    return 1;
}

static bool find_bounds(const struct uses *u, const struct value *v, int depth, int64_t *low,
                        int64_t *high) {
    bool found = false;
    for (int i = 0; i < u->n[v->id]; i++) {
        const struct node *n = u->of[v->id][i].node;
        int64_t l, h;
        bool has = integer_bounds(n, u->of[v->id][i].input, v, &l, &h);
        if (!has && is_mask(u, n, u->of[v->id][i].input)) {
            has = true;
            l = 0;
            h = 1;
        }
        if (!has && depth < 6 &&
            (passes_through(n) || node_is(n, "Concat") || node_is(n, "Equal") ||
             node_is(n, "Clip")) &&
            n->out[0])
            has = find_bounds(u, n->out[0], depth + 1, &l, &h);
        if (!has)
            continue;
        *low = found && *low > l ? *low : l;
        *high = found && *high < h ? *high : h;
        found = true;
    }
    return found;
}

bool input_range_quantized(const struct model *m, int input, struct input_range *r,
                           struct arena *a) {
    const struct value *v = m->graph->inputs[input];
    struct input_range own = { .low = 1, .high = 0 };
    if (!dtype_is_float(v->dtype))
        return false;
    learn_affine(uses_build(m, a), v, &own);
    if (own.low > own.high)
        return false;
    *r = own;
    return true;
}

struct input_range input_range_of(const struct model *m, int input, int64_t (*dims)[MAX_RANK],
                                  int variant, struct arena *a) {
    const struct value *v = m->graph->inputs[input];
    struct input_range r = { .mean = 0, .deviation = 1, .low = 1, .high = 0 };
    struct uses *u = uses_build(m, a);
    (void)dims;
    if (dtype_is_float(v->dtype)) {
        learn_affine(u, v, &r);
        return r;
    }
    int64_t low, high;
    if (v->dtype == DT_BOOL) {
        r.low = 0;
        r.high = 1;
    } else if (find_bounds(u, v, 0, &low, &high)) {
        r.low = (double)low;
        r.high = (double)high;
    } else if (v->dtype == DT_U8 || v->dtype == DT_I8) {
        r.low = v->dtype == DT_U8 ? 0 : -128;
        r.high = v->dtype == DT_U8 ? 255 : 127;
    } else {
        r.wide = variant == 0 && v->dtype == DT_I64;
        r.low = variant == 0 && !dtype_is_unsigned(v->dtype) ? -20 : 0;
        r.high = variant == 2 ? 1 : variant == 1 ? 3 : 20;
        if (variant == 0 && v->dtype == DT_I64) {
            double by = divisor(u, v);
            r.low *= by;
            r.high *= by;
        }
    }
    return r;
}
