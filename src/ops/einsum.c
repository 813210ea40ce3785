/* Einsum and Det.
 *
 * Order of the floating-point operations: each output element of Einsum is one fma chain from 0
 * over the indices that are summed, in the order in which they first appear in the equation, the
 * last one fastest; a term is the rounded product of all operands but the last, times the last.
 * Integers wrap. Det is computed in float64 in every precision: elimination with the largest pivot
 * of the column, then the product of the pivots from the first on. */
#include <math.h>
#include <string.h>

#include "ops/real.h"
#include "ops/row.h"
#include "ops/split.h"

/* A label is a letter (0 to 51) or an axis of the ellipsis, counted from its last. */
enum { LETTERS = 52, MAX_LABELS = LETTERS + MAX_RANK };

struct einsum {
    int n_in;
    int (*label)[MAX_RANK]; /* [n_in][rank] */
    int *rank;
    int out[MAX_LABELS], n_out, sum[MAX_LABELS], n_sum;
    int64_t size[MAX_LABELS]; /* DIM_UNKNOWN or a symbol when not known */
    bool seen[MAX_LABELS];
    int order[MAX_LABELS], n_seen; /* labels as they first appear */
    int uses[MAX_LABELS];
    int64_t (*step)[MAX_LABELS]; /* [n_in][label], in elements */
    int64_t n_terms;
};

static int label_of(char ch) {
    return ch >= 'A' && ch <= 'Z' ? ch - 'A' : ch >= 'a' && ch <= 'z' ? ch - 'a' + 26 : -1;
}

static enum status meet(struct einsum *s, int label, int64_t size, struct err *e) {
    s->uses[label]++;
    if (!s->seen[label]) {
        s->seen[label] = true;
        s->order[s->n_seen++] = label;
        s->size[label] = size;
        return OK;
    }
    int64_t have = s->size[label];
    if (have == size || size == 1)
        return OK;
    if (have == 1 || (have < 0 && size >= 0)) {
        s->size[label] = size;
        return OK;
    }
    FAIL_IF(size >= 0, e, STATUS_CORRUPT,
            "Einsum: an index has %lld elements in one operand and %lld in another",
            (long long)have, (long long)size);
    return OK;
}

/* One operand's term up to the comma or arrow; *p stands behind it. */
static enum status read_term(struct einsum *s, int i, const struct fact *f, const char **p,
                             int *ellipsis, struct err *e) {
    int letters = 0, dots = 0;
    for (const char *q = *p; *q && *q != ',' && strncmp(q, "->", 2) != 0; q++) {
        if (*q == '.' && strncmp(q, "...", 3) == 0) {
            dots++;
            q += 2;
        } else if (*q != ' ') {
            FAIL_IF(label_of(*q) < 0, e, STATUS_CORRUPT, "Einsum: '%c' in the equation is no index",
                    *q);
            letters++;
        }
    }
    int hidden = f->rank - letters;
    FAIL_IF(dots > 1 || hidden < 0 || (!dots && hidden), e, STATUS_CORRUPT,
            "Einsum: operand %d has rank %d, its term %d indices", i, f->rank, letters);
    int axis = 0;
    for (; **p && **p != ',' && strncmp(*p, "->", 2) != 0; (*p)++) {
        if (**p == ' ')
            continue;
        int count = 1, label = label_of(**p);
        if (**p == '.') {
            *p += 2;
            count = hidden;
            label = LETTERS + hidden - 1;
            if (hidden > *ellipsis)
                *ellipsis = hidden;
        }
        for (int k = 0; k < count; k++, axis++) {
            s->label[i][axis] = label - k;
            TRY(meet(s, label - k, f->dim[axis], e));
        }
    }
    s->rank[i] = axis;
    return OK;
}

static enum status read_output(struct einsum *s, const char *p, int ellipsis, struct err *e) {
    bool listed[MAX_LABELS] = { false };
    if (!p) { /* the ellipsis, then what appears once */
        for (int k = ellipsis - 1; k >= 0; k--)
            s->out[s->n_out++] = LETTERS + k;
        for (int l = 0; l < LETTERS; l++)
            if (s->uses[l] == 1)
                s->out[s->n_out++] = l;
    }
    for (; p && *p; p++) {
        if (*p == ' ')
            continue;
        bool dots = strncmp(p, "...", 3) == 0;
        int first = dots ? LETTERS + ellipsis - 1 : label_of(*p), count = dots ? ellipsis : 1;
        FAIL_IF(!dots && (first < 0 || !s->seen[first]), e, STATUS_CORRUPT,
                "Einsum: output index '%c' is in no operand", *p);
        if (dots)
            p += 2;
        for (int k = 0; k < count; k++) {
            FAIL_IF(listed[first - k], e, STATUS_CORRUPT,
                    "Einsum: an index appears twice in the output");
            listed[first - k] = true;
            s->out[s->n_out++] = first - k;
        }
    }
    FAIL_IF(s->n_out > MAX_RANK, e, STATUS_UNSUPPORTED, "Einsum: an output of rank %d", s->n_out);
    for (int i = 0; i < s->n_out; i++)
        listed[s->out[i]] = true;
    for (int i = 0; i < s->n_seen; i++)
        if (!listed[s->order[i]])
            s->sum[s->n_sum++] = s->order[i];
    return OK;
}

static enum status parse(const struct node *n, struct arena *a, const struct fact *in, int n_in,
                         struct einsum *s, struct err *e) {
    const char *p = attr_str(n, "equation");
    int ellipsis = 0;
    *s = (struct einsum) { .n_in = n_in };
    s->label = arena_array(a, (size_t)n_in, sizeof *s->label);
    s->rank = NEW_ARRAY(a, n_in, int);
    s->step = arena_array(a, (size_t)n_in, sizeof *s->step);
    for (int i = 0; i < n_in; i++) {
        TRY(read_term(s, i, &in[i], &p, &ellipsis, e));
        FAIL_IF((*p == ',') != (i < n_in - 1), e, STATUS_CORRUPT,
                "Einsum: the equation is not for %d operands", n_in);
        p += *p == ',';
    }
    return read_output(s, *p ? p + 2 : NULL, ellipsis, e);
}

static enum status shape_einsum(struct shape_ctx *c) {
    struct einsum s;
    enum dtype t = c->in[0].dtype;
    c->out[0].dtype = t;
    SHAPE_FAIL_IF(t != DT_NONE && !dtype_is_float(t) && !dtype_is_int(t), c,
                  "Einsum does not take %s tensors", dtype_name(t));
    for (int i = 0; i < c->n_in; i++) {
        SHAPE_FAIL_IF(c->in[i].absent, c, "operand %d of Einsum is missing", i);
        TRY(need_same_dtype(c, 0, i));
        if (c->in[i].rank < 0)
            return OK;
    }
    TRY(parse(c->node, c->arena, c->in, c->n_in, &s, c->err));
    c->out[0].rank = s.n_out;
    for (int i = 0; i < s.n_out; i++)
        c->out[0].dim[i] = s.size[s.out[i]];
    return OK;
}

/* Offsets of output element o's first term. */
static void einsum_start(const struct einsum *s, int64_t o, int64_t *at) {
    memset(at, 0, (size_t)s->n_in * sizeof *at);
    for (int k = s->n_out - 1; k >= 0; k--) {
        int label = s->out[k];
        int64_t index = o % s->size[label];
        o /= s->size[label];
        for (int i = 0; i < s->n_in; i++)
            at[i] += index * s->step[i][label];
    }
}

static void einsum_next(const struct einsum *s, int64_t *index, int64_t *at) {
    for (int k = s->n_sum - 1; k >= 0; k--) {
        int label = s->sum[k];
        bool wraps = ++index[k] == s->size[label];
        for (int i = 0; i < s->n_in; i++)
            at[i] += wraps ? -(s->size[label] - 1) * s->step[i][label] : s->step[i][label];
        if (!wraps)
            return;
        index[k] = 0;
    }
}

struct einsum_job {
    const struct einsum *s;
    const void **in;
    void *y;
    int64_t *at; /* offsets, a row a task */
};

#define EACH_REAL "ops/einsum.inc"
#include "ops/each_real.inc"

static void einsum_int(struct op_ctx *c, const struct einsum *s, int64_t *at) {
    int64_t n = tensor_count(c->out[0]);
    for (int64_t o = 0; o < n; o++) {
        int64_t index[MAX_LABELS] = { 0 };
        uint64_t acc = 0;
        einsum_start(s, o, at);
        for (int64_t k = 0; k < s->n_terms; k++) {
            uint64_t product = 1;
            for (int i = 0; i < s->n_in; i++)
                product *= (uint64_t)tensor_i64(c->in[i], at[i]);
            acc += product;
            einsum_next(s, index, at);
        }
        tensor_set_i64(c->out[0], o, (int64_t)acc);
    }
}

/* The equation with every size known, steps and the number of terms. */
static enum status einsum_plan(const struct node *n, struct arena *a,
                               const struct tensor *const *in, int n_in, struct einsum *s,
                               struct err *e) {
    struct fact *f = NEW_ARRAY(a, n_in, struct fact);
    int64_t sums[MAX_LABELS];
    for (int i = 0; i < n_in; i++) {
        f[i].rank = in[i]->rank;
        memcpy(f[i].dim, in[i]->dim, sizeof f[i].dim);
    }
    TRY(parse(n, a, f, n_in, s, e));
    for (int i = 0; i < s->n_sum; i++)
        sums[i] = s->size[s->sum[i]];
    FAIL_IF(!dims_count(sums, s->n_sum, &s->n_terms), e, STATUS_UNSUPPORTED,
            "Einsum: too many terms");
    for (int i = 0; i < n_in; i++) {
        int64_t step = 1;
        for (int axis = s->rank[i] - 1; axis >= 0; axis--) {
            if (f[i].dim[axis] != 1) /* a repeated label steps along the diagonal */
                s->step[i][s->label[i][axis]] += step;
            step *= f[i].dim[axis];
        }
    }
    return OK;
}

static enum status einsum(struct op_ctx *c) {
    struct einsum s;
    TRY(einsum_plan(c->node, c->scratch, c->in, c->n_in, &s, c->err));
    struct einsum_job j = { .s = &s,
                            .in = NEW_ARRAY(c->scratch, s.n_in, const void *),
                            .y = c->out[0]->data };
    for (int i = 0; i < s.n_in; i++)
        j.in[i] = c->in[i]->data;
    int64_t n = tensor_count(c->out[0]);
    j.at = NEW_ARRAY(c->scratch, (int64_t)split_tasks(c, n, s.n_terms * s.n_in) * s.n_in, int64_t);
    if (c->in[0]->store == DT_F64)
        split_run(c, n, s.n_terms * s.n_in, einsum_part_d, &j);
    else if (c->in[0]->store == DT_F32)
        split_run(c, n, s.n_terms * s.n_in, einsum_part_f, &j);
    else
        einsum_int(c, &s, j.at);
    return OK;
}

/* Every term gives each operand the product of the others. */
static enum status einsum_grad(struct grad_ctx *c) {
    struct einsum s;
    if (!c->grad_out[0])
        return OK;
    TRY(einsum_plan(c->node, c->scratch, c->in, c->n_in, &s, c->err));
    int64_t n = tensor_count(c->out[0]), *at = NEW_ARRAY(c->scratch, s.n_in, int64_t);
    for (int64_t o = 0; o < n; o++) {
        int64_t index[MAX_LABELS] = { 0 };
        einsum_start(&s, o, at);
        for (int64_t k = 0; k < s.n_terms; k++) {
            for (int i = 0; i < s.n_in; i++) {
                double product = ((const double *)c->grad_out[0]->data)[o];
                for (int other = 0; other < s.n_in; other++)
                    product *= other == i ? 1 : ((const double *)c->in[other]->data)[at[other]];
                if (c->grad_in[i])
                    ((double *)c->grad_in[i]->data)[at[i]] += product;
            }
            einsum_next(&s, index, at);
        }
    }
    return OK;
}

static enum status shape_det(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    TRY(need_float(c, 0));
    c->out[0].dtype = x->dtype;
    if (x->rank < 0)
        return OK;
    int64_t a = x->rank > 1 ? x->dim[x->rank - 2] : 0, b = x->rank > 1 ? x->dim[x->rank - 1] : 1;
    SHAPE_FAIL_IF(x->rank < 2 || (a >= 0 && b >= 0 && a != b), c, "Det needs square matrices");
    out_shape(c, 0, x->dtype, x->rank - 2, x->dim);
    return OK;
}

/* Destroys m, n x n. */
static double determinant(double *m, int64_t n) {
    double d = 1;
    for (int64_t k = 0; k < n; k++) {
        int64_t p = k;
        for (int64_t r = k + 1; r < n; r++)
            if (fabs(m[r * n + k]) > fabs(m[p * n + k]))
                p = r;
        for (int64_t i = k; p != k && i < n; i++) {
            double v = m[k * n + i];
            m[k * n + i] = m[p * n + i];
            m[p * n + i] = v;
        }
        d *= p == k ? m[k * n + k] : -m[k * n + k];
        if (m[k * n + k] == 0)
            return d;
        for (int64_t r = k + 1; r < n; r++) {
            double f = m[r * n + k] / m[k * n + k];
            for (int64_t i = k + 1; i < n; i++)
                m[r * n + i] = fma_d(-f, m[k * n + i], m[r * n + i]);
        }
    }
    return d;
}

static enum status det(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    int64_t n = x->dim[x->rank - 1], count = tensor_count(c->out[0]);
    double *m = arena_array(c->scratch, (size_t)(n ? n : 1), (size_t)(n ? n : 1) * sizeof *m);
    for (int64_t b = 0; b < count; b++) {
        for (int64_t i = 0; i < n * n; i++)
            m[i] = tensor_f64(x, b * n * n + i);
        tensor_set_f64(c->out[0], b, determinant(m, n));
    }
    return OK;
}

/* By cofactors: the slope in an element is the determinant with its row and column replaced by a
 * unit vector's. */
static enum status det_grad(struct grad_ctx *c) {
    const struct tensor *x = c->in[0];
    int64_t n = x->dim[x->rank - 1], count = tensor_count(c->out[0]);
    if (!c->grad_out[0] || !c->grad_in[0])
        return OK;
    double *m = NEW_ARRAY(c->scratch, n * n + 1, double);
    for (int64_t e = 0; e < count * n * n; e++) {
        const double *from = (const double *)x->data + e / (n * n) * n * n;
        int64_t row = e / n % n, column = e % n;
        for (int64_t i = 0; i < n * n; i++)
            m[i] = i / n == row ? (i % n == column ? 1 : 0) : from[i];
        ((double *)c->grad_in[0]->data)[e] +=
            ((const double *)c->grad_out[0]->data)[e / (n * n)] * determinant(m, n);
    }
    return OK;
}

static enum status shape_inverse(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    TRY(need_float(c, 0));
    if (x->rank >= 0) {
        int64_t a = x->rank > 1 ? x->dim[x->rank - 2] : 0,
                b = x->rank > 1 ? x->dim[x->rank - 1] : 1;
        SHAPE_FAIL_IF(x->rank < 2 || (a >= 0 && b >= 0 && a != b), c,
                      "Inverse needs square matrices");
    }
    return shape_same(c);
}

/* m, n rows of 2n elements, whose right half is the unit matrix, until the left half is: Gauss and
 * Jordan, the largest element of a column as pivot. False when m has no inverse. */
static bool eliminate(double *m, int64_t n) {
    int64_t w = 2 * n;
    for (int64_t k = 0; k < n; k++) {
        int64_t p = k;
        for (int64_t r = k + 1; r < n; r++)
            p = fabs(m[r * w + k]) > fabs(m[p * w + k]) ? r : p;
        double pivot = m[p * w + k];
        if (pivot == 0)
            return false;
        for (int64_t i = 0; i < w; i++) {
            double v = m[p * w + i];
            m[p * w + i] = m[k * w + i];
            m[k * w + i] = v / pivot;
        }
        for (int64_t r = 0; r < n; r++) {
            double f = m[r * w + k];
            for (int64_t i = 0; r != k && i < w; i++)
                m[r * w + i] = fma_d(-f, m[k * w + i], m[r * w + i]);
        }
    }
    return true;
}

static enum status inverse(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    int64_t n = x->dim[x->rank - 1], count = n ? tensor_count(x) / (n * n) : 0;
    double *m = NEW_ARRAY(c->scratch, 2 * n * n + 1, double);
    for (int64_t b = 0; b < count; b++) {
        for (int64_t i = 0; i < n * n; i++) {
            m[i / n * 2 * n + i % n] = tensor_f64(x, b * n * n + i);
            m[i / n * 2 * n + n + i % n] = i / n == i % n;
        }
        FAIL_IF(!eliminate(m, n), c->err, STATUS_CORRUPT, "matrix %lld has no inverse",
                (long long)b);
        for (int64_t i = 0; i < n * n; i++)
            tensor_set_f64(c->out[0], b * n * n + i, m[i / n * 2 * n + n + i % n]);
    }
    return OK;
}

/* - Y^T G Y^T */
static enum status inverse_grad(struct grad_ctx *c) {
    const struct tensor *y = c->out[0];
    int64_t n = y->dim[y->rank - 1], count = n ? tensor_count(y) / (n * n) : 0;
    if (!c->grad_out[0] || !c->grad_in[0])
        return OK;
    for (int64_t e = 0; e < count * n * n; e++) {
        const double *v = (const double *)y->data + e / (n * n) * n * n,
                     *g = (const double *)c->grad_out[0]->data + e / (n * n) * n * n;
        int64_t row = e / n % n, column = e % n;
        double sum = 0;
        for (int64_t i = 0; i < n * n; i++)
            sum = fma_d(v[i / n * n + row] * g[i], v[column * n + i % n], sum);
        ((double *)c->grad_in[0]->data)[e] -= sum;
    }
    return OK;
}

static const struct attr_def einsum_attrs[] = { NEEDED("equation", STRING), { 0 } };

const struct op ops_einsum[] = {
    { ONNX("Einsum", 12, 1, -1), .attrs = einsum_attrs, .shape = shape_einsum, .eval = einsum,
      .grad = einsum_grad },
    { ONNX("Det", 22, 1, 1), .shape = shape_det, .eval = det, .grad = det_grad },
    { MICROSOFT("Inverse", 1, 1), .shape = shape_inverse, .eval = inverse, .grad = inverse_grad },
    { 0 },
};
