/* Matrix products.
 *
 * Order of the floating-point operations: each output is one fma chain over the inner index,
 * ascending. MatMul starts from 0. Gemm with alpha = beta = 1 starts from C (0 without one); with
 * any other alpha or beta it starts from 0 and alpha * chain + beta * C follows, each operation
 * rounded. Integers wrap. */
#include "ops/matmul.h"

#include <string.h>

#include "ops/real.h"
#include "ops/row.h"
#include "ops/split.h"

#define EACH_REAL "ops/matmul.inc"
#include "ops/each_real.inc"

/* What FusedMatMul does to an operand before the product: the first axis comes behind the others
 * but the last (turned), then the last two change places (swapped). Vectors stay. */
struct turns {
    bool turned, swapped;
};

static struct turns turns_of(const struct node *n, bool right, int rank) {
    struct turns t = { false, false };
    if (strcmp(n->op, "FusedMatMul") != 0 || rank < 2)
        return t;
    t.turned = rank > 2 && attr_int(n, right ? "transBatchB" : "transBatchA") != 0;
    t.swapped = attr_int(n, right ? "transB" : "transA") != 0;
    return t;
}

static struct fact transposed(const struct node *n, bool right, const struct fact *f) {
    struct fact t = *f;
    struct turns turns = turns_of(n, right, f->rank);
    if (turns.turned) {
        memmove(t.dim, f->dim + 1, (size_t)(f->rank - 2) * sizeof *t.dim);
        t.dim[t.rank - 2] = f->dim[0];
    }
    if (turns.swapped) {
        int64_t last = t.dim[t.rank - 1];
        t.dim[t.rank - 1] = t.dim[t.rank - 2];
        t.dim[t.rank - 2] = last;
    }
    return t;
}

/* How many elements apart an operand's neighbours lie: down a column, along a row, from one matrix
 * to the next. f: the operand as stored. */
struct steps {
    int64_t row, column, batch;
};

static struct steps steps_of(const struct node *n, bool right, const struct fact *f) {
    struct turns turns = turns_of(n, right, f->rank);
    int64_t last = f->dim[f->rank - 1];
    struct steps s = { last, 1, f->rank > 1 ? last * f->dim[f->rank - 2] : last };
    if (turns.turned) {
        for (int i = 1; i < f->rank - 1; i++)
            s.row *= f->dim[i];
        s.batch = last;
    }
    if (turns.swapped)
        s = (struct steps) { s.column, s.row, s.batch };
    return s;
}

/* A fact as a matrix stack: rank >= 2, with the axis added that a vector lacks. */
static struct fact as_matrices(const struct fact *f, bool right) {
    struct fact m = *f;
    if (f->rank != 1)
        return m;
    m.rank = 2;
    m.dim[0] = right ? f->dim[0] : 1;
    m.dim[1] = right ? 1 : f->dim[0];
    return m;
}

/* The shape of matmul(a, b); either may have unknown dims but not an unknown rank. `full` keeps the
 * axes that vectors were given. */
static enum status matmul_shape(struct shape_ctx *c, const struct fact *a, const struct fact *b,
                                struct fact *out, struct fact *full) {
    SHAPE_FAIL_IF(a->rank == 0 || b->rank == 0, c, "%s does not take scalars", c->node->op);
    struct fact ma = as_matrices(a, false), mb = as_matrices(b, true), la = ma, lb = mb;
    int64_t ka = ma.dim[ma.rank - 1], kb = mb.dim[mb.rank - 2];
    SHAPE_FAIL_IF(ka >= 0 && kb >= 0 && ka != kb, c,
                  "the matrices of %s do not fit: %lld columns, %lld rows", c->node->op,
                  (long long)ka, (long long)kb);
    la.rank -= 2;
    lb.rank -= 2;
    TRY(shape_broadcast(c, &la, &lb, full));
    full->dim[full->rank++] = ma.dim[ma.rank - 2];
    full->dim[full->rank++] = mb.dim[mb.rank - 1];
    *out = *full;
    if (b->rank == 1)
        out->rank--;
    if (a->rank ==
        1) { /* the row axis is the last but one, or the last after the column axis went */
        if (b->rank > 1)
            out->dim[out->rank - 2] = out->dim[out->rank - 1];
        out->rank--;
    }
    return OK;
}

static enum status shape_matmul(struct shape_ctx *c) {
    struct fact full = { 0 }, y = { 0 };
    TRY(need_same_dtype(c, 0, 1));
    c->out[0].dtype = c->in[0].dtype;
    enum dtype t = c->in[0].dtype;
    SHAPE_FAIL_IF(t != DT_NONE && !dtype_is_float(t) && !dtype_is_int(t), c,
                  "%s does not multiply %s tensors", c->node->op, dtype_name(t));
    if (c->in[0].rank < 0 || c->in[1].rank < 0)
        return OK;
    SHAPE_FAIL_IF(c->in[0].rank + 1 > MAX_RANK || c->in[1].rank + 1 > MAX_RANK, c,
                  "%s of rank %d is too large", c->node->op, c->in[0].rank);
    struct fact a = transposed(c->node, false, &c->in[0]), b = transposed(c->node, true, &c->in[1]);
    TRY(matmul_shape(c, &a, &b, &y, &full));
    out_shape(c, 0, t, y.rank, y.dim);
    return OK;
}

/* Offsets of each batch's matrix of an operand with leading dims `dim` [rank] under the broadcast
 * shape. */
static int64_t *batch_offsets(struct arena *arena, int out_rank, const int64_t *out_dim, int rank,
                              const int64_t *dim, int64_t size) {
    int64_t n = 1, stride[MAX_RANK], at[MAX_RANK] = { 0 };
    for (int i = 0; i < out_rank; i++)
        n *= out_dim[i];
    int64_t s = size;
    for (int i = out_rank - 1; i >= 0; i--) {
        int own = i - (out_rank - rank);
        stride[i] = own < 0 || dim[own] == 1 ? 0 : s;
        s *= own < 0 ? 1 : dim[own];
    }
    int64_t *offset = NEW_ARRAY(arena, n + 1, int64_t), here = 0;
    for (int64_t b = 0; b < n; b++) {
        offset[b] = here;
        for (int i = out_rank - 1; i >= 0; i--) {
            here += stride[i];
            if (++at[i] < out_dim[i])
                break;
            here -= stride[i] * out_dim[i];
            at[i] = 0;
        }
    }
    return offset;
}

static void fact_from(struct fact *f, const struct tensor *t) {
    *f = (struct fact) { .dtype = t->dtype, .rank = t->rank };
    memcpy(f->dim, t->dim, sizeof f->dim);
}

enum status matmul_plan(const struct node *n, const struct tensor *a, const struct tensor *b,
                        struct arena *arena, struct matmul_plan *p, struct err *e) {
    struct shape_ctx c = { .node = n, .err = e };
    struct fact fa, fb, y = { 0 }, full = { 0 };
    fact_from(&fa, a);
    fact_from(&fb, b);
    struct fact stored_a = as_matrices(&fa, false), stored_b = as_matrices(&fb, true);
    fa = transposed(n, false, &fa);
    fb = transposed(n, true, &fb);
    TRY(matmul_shape(&c, &fa, &fb, &y, &full));
    *p = (struct matmul_plan) { .n_batch = 1, .rank = y.rank };
    memcpy(p->y_dim, y.dim, sizeof p->y_dim);
    struct fact ma = as_matrices(&fa, false), mb = as_matrices(&fb, true);
    p->rows = full.dim[full.rank - 2];
    p->columns = full.dim[full.rank - 1];
    p->inner = ma.dim[ma.rank - 1];
    struct steps step_a = steps_of(n, false, &stored_a), step_b = steps_of(n, true, &stored_b);
    p->a_row = step_a.row;
    p->a_inner = step_a.column;
    p->b_inner = step_b.row;
    p->b_column = step_b.column;
    int lead = full.rank - 2;
    for (int i = 0; i < lead; i++)
        p->n_batch *= full.dim[i];
    p->a_batch = batch_offsets(arena, lead, full.dim, ma.rank - 2, ma.dim, step_a.batch);
    p->b_batch = batch_offsets(arena, lead, full.dim, mb.rank - 2, mb.dim, step_b.batch);
    return OK;
}

/* An integer product modulo 2^64; storing wraps it to the element's width. */
static void matmul_int(struct op_ctx *c, const struct matmul_plan *p) {
    for (int64_t r = 0; r < p->n_batch * p->rows; r++)
        for (int64_t col = 0; col < p->columns; col++) {
            uint64_t acc = 0;
            int64_t a = p->a_batch[r / p->rows] + r % p->rows * p->a_row,
                    b = p->b_batch[r / p->rows] + col * p->b_column;
            for (int64_t k = 0; k < p->inner; k++)
                acc += (uint64_t)tensor_i64(c->in[0], a + k * p->a_inner) *
                       (uint64_t)tensor_i64(c->in[1], b + k * p->b_inner);
            tensor_set_i64(c->out[0], r * p->columns + col, (int64_t)acc);
        }
}

static enum status matmul(struct op_ctx *c) {
    struct matmul_plan p;
    TRY(matmul_plan(c->node, c->in[0], c->in[1], c->scratch, &p, c->err));
    if (c->in[0]->store == DT_F64) {
        struct matmul_job_d j = {
            .p = &p, .a = c->in[0]->data, .b = c->in[1]->data, .y = c->out[0]->data
        };
        matmul_run_d(c, &j);
    } else if (c->in[0]->store == DT_F32) {
        struct matmul_job_f j = {
            .p = &p, .a = c->in[0]->data, .b = c->in[1]->data, .y = c->out[0]->data
        };
        matmul_run_f(c, &j);
    } else {
        matmul_int(c, &p);
    }
    return OK;
}

/* alpha * (the chain from 0). */
static enum status fused_matmul(struct op_ctx *c) {
    struct tensor *y = c->out[0];
    double alpha = attr_float(c->node, "alpha");
    TRY(matmul(c));
    int64_t n = tensor_count(y);
    for (int64_t i = 0; alpha != 1 && i < n; i++) {
        if (y->store == DT_F32)
            ((float *)y->data)[i] *= (float)alpha;
        else
            tensor_set_f64(y, i, tensor_f64(y, i) * alpha);
    }
    return OK;
}

static enum status shape_gemm(struct shape_ctx *c) {
    int64_t dim[2] = { DIM_UNKNOWN, DIM_UNKNOWN };
    int ta = attr_int(c->node, "transA") != 0, tb = attr_int(c->node, "transB") != 0;
    const struct fact *a = &c->in[0], *b = &c->in[1];
    enum dtype t = a->dtype;
    SHAPE_FAIL_IF(t != DT_NONE && !dtype_is_float(t) && !dtype_is_int(t), c,
                  "%s does not multiply %s tensors", c->node->op, dtype_name(t));
    TRY(need_same_dtype(c, 0, 1));
    TRY(need_same_dtype(c, 0, 2));
    TRY(need_shape(c, 0, 2, NULL));
    TRY(need_shape(c, 1, 2, NULL));
    if (a->rank == 2)
        dim[0] = a->dim[ta];
    if (b->rank == 2)
        dim[1] = b->dim[!tb];
    if (a->rank == 2 && b->rank == 2) {
        int64_t ka = a->dim[!ta], kb = b->dim[tb];
        SHAPE_FAIL_IF(ka >= 0 && kb >= 0 && ka != kb, c,
                      "the matrices of %s do not fit: %lld columns, %lld rows", c->node->op,
                      (long long)ka, (long long)kb);
    }
    if (fact_given(c, 2) && fact_known(&c->in[2])) {
        const struct fact *f = &c->in[2];
        bool fits = f->rank <= 2;
        for (int i = 0; fits && i < f->rank; i++) {
            int64_t want = dim[2 - f->rank + i];
            fits = f->dim[i] == 1 || want < 0 || f->dim[i] == want;
        }
        SHAPE_FAIL_IF(!fits, c, "C of %s does not broadcast to the product's shape", c->node->op);
    }
    out_shape(c, 0, t, 2, dim);
    return OK;
}

enum status gemm_plan(const struct node *n, const struct tensor *a, const struct tensor *b,
                      struct arena *arena, struct matmul_plan *p, struct err *e) {
    int ta = attr_int(n, "transA") != 0, tb = attr_int(n, "transB") != 0;
    FAIL_IF(a->rank != 2 || b->rank != 2 || a->dim[!ta] != b->dim[tb], e, STATUS_CORRUPT,
            "the matrices of %s do not fit", n->op);
    *p = (struct matmul_plan) {
        .n_batch = 1, .rows = a->dim[ta], .columns = b->dim[!tb], .inner = a->dim[!ta], .rank = 2
    };
    p->a_batch = p->b_batch = NEW_ARRAY(arena, 1, int64_t);
    p->a_row = ta ? 1 : p->inner;
    p->a_inner = ta ? p->rows : 1;
    p->b_inner = tb ? 1 : p->columns;
    p->b_column = tb ? p->inner : 1;
    p->y_dim[0] = p->rows;
    p->y_dim[1] = p->columns;
    return OK;
}

/* Integer Gemm: exact for alpha = beta = 1, else the scaled sum truncates. */
static void gemm_int(struct op_ctx *c, const struct matmul_plan *p, double alpha, double beta,
                     int64_t row, int64_t column) {
    matmul_int(c, p);
    for (int64_t i = 0; i < p->rows * p->columns; i++) {
        int64_t at = i / p->columns * row + i % p->columns * column, v = tensor_i64(c->out[0], i);
        int64_t bias = input_given(c, 2) ? tensor_i64(c->in[2], at) : 0;
        if (alpha == 1 && beta == 1)
            tensor_set_i64(c->out[0], i, (int64_t)((uint64_t)v + (uint64_t)bias));
        else
            tensor_set_f64(c->out[0], i, alpha * (double)v + beta * (double)bias);
    }
}

void gemm_bias_steps(const struct tensor *t, int64_t *row, int64_t *column) {
    *column = t->rank > 0 && t->dim[t->rank - 1] != 1;
    *row = t->rank == 2 && t->dim[0] != 1 ? t->dim[1] : 0;
}

static enum status gemm(struct op_ctx *c) {
    struct matmul_plan p;
    TRY(gemm_plan(c->node, c->in[0], c->in[1], c->scratch, &p, c->err));
    double alpha = attr_float(c->node, "alpha"), beta = attr_float(c->node, "beta");
    int64_t row = 0, column = 0;
    if (input_given(c, 2))
        gemm_bias_steps(c->in[2], &row, &column);
    if (c->in[0]->store == DT_F64)
        gemm_run_d(c, &p, alpha, beta, row, column);
    else if (c->in[0]->store == DT_F32)
        gemm_run_f(c, &p, alpha, beta, row, column);
    else
        gemm_int(c, &p, alpha, beta, row, column);
    return OK;
}

static const struct attr_def gemm_attrs[] = {
    { "alpha", .type = ATTR_FLOAT, .f = 1 },
    { "beta", .type = ATTR_FLOAT, .f = 1 },
    { "transA", .type = ATTR_INT },
    { "transB", .type = ATTR_INT },
    { 0 },
};

static const struct attr_def fused_attrs[] = {
    { "alpha", .type = ATTR_FLOAT, .f = 1 }, { "transA", .type = ATTR_INT },
    { "transB", .type = ATTR_INT },          { "transBatchA", .type = ATTR_INT },
    { "transBatchB", .type = ATTR_INT },     { 0 },
};

const struct op ops_matmul[] = {
    { .name = "MatMul",
      .domain = "",
      .spec = "ONNX MatMul-13",
      .min_in = 2,
      .max_in = 2,
      .min_out = 1,
      .max_out = 1,
      .shape = shape_matmul,
      .eval = matmul,
      .grad = matmul_grad },
    { .name = "Gemm",
      .domain = "",
      .spec = "ONNX Gemm-13",
      .min_in = 2,
      .max_in = 3,
      .min_out = 1,
      .max_out = 1,
      .attrs = gemm_attrs,
      .shape = shape_gemm,
      .eval = gemm,
      .grad = gemm_grad },
    { MICROSOFT("FusedMatMul", 2, 2), .attrs = fused_attrs, .shape = shape_matmul,
      .eval = fused_matmul, .grad = matmul_grad },
    { 0 },
};
