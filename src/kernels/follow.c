#include "kernels/follow.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "ops/elementwise.h"

bool kernel_leads(const struct node *n) {
    return n->domain[0] == '\0' && n->n_out == 1 &&
           (strcmp(n->op, "Conv") == 0 || strcmp(n->op, "MatMul") == 0 ||
            strcmp(n->op, "Gemm") == 0);
}

bool kernel_follows(const struct node *f, const struct value *v) {
    int uses = 0;
    bool fills;
    for (int i = 0; i < f->n_in; i++)
        uses += f->in[i] == v;
    op_eval_fn *eval = kernel_find(f, &fills);
    bool first = f->n_in > 0 && f->in[0] == v;
    return uses == 1 && f->n_out == 1 && f->out[0] && !f->body &&
           ((eval == kernel_unary && first) || (eval == kernel_gelu && first) ||
            (eval == kernel_clip && first) || (eval == kernel_binary && f->n_in == 2));
}

/* Where `other` is read for the elements of y; false when it does not broadcast to y by repeating
 * one run of it. */
static bool plan_other(struct follow_step *s, const struct tensor *y) {
    const struct tensor *o = s->other;
    int lead = y->rank - o->rank, from = y->rank, to = 0;
    if (lead < 0)
        return false;
    for (int i = lead; i < y->rank; i++)
        if (o->dim[i - lead] != 1) {
            from = from < i ? from : i;
            to = i + 1;
        }
    s->run = s->period = 1;
    for (int i = from; i < to; i++) {
        if (i >= lead && o->dim[i - lead] != y->dim[i])
            return false;
        s->period *= y->dim[i];
    }
    for (int i = from < to ? to : y->rank; i < y->rank; i++)
        s->run *= y->dim[i];
    return true;
}

static bool plan_step(struct follow_step *s, const struct tensor *y, struct err *e) {
    const struct node *f = s->node;
    bool fills;
    double v[2] = { 0, 0 };
    op_eval_fn *eval = kernel_find(f, &fills);
    s->unary = s->binary = -1;
    if (op_check(f, e) != OK)
        return false;
    for (int i = 0; i < f->n_in; i++)
        if (s->in[i] && (s->in[i]->store != y->store || s->in[i]->dtype != y->dtype))
            return false;
    if (eval == kernel_binary) {
        s->binary = kernel_binary_id(f);
        s->other_first = s->in[0] != NULL;
        s->other = s->in[s->other_first ? 0 : 1];
        return s->other && plan_other(s, y);
    }
    if (eval == kernel_clip) {
        s->low = clip_limit(f->n_in > 1 ? s->in[1] : NULL, y, false);
        s->high = clip_limit(f->n_in > 2 ? s->in[2] : NULL, y, true);
        return (!s->low || tensor_count(s->low) == 1) && (!s->high || tensor_count(s->high) == 1);
    }
    s->unary = eval == kernel_gelu ? kernel_gelu_id(f, v) : kernel_unary_id(f, v);
    s->a = v[0];
    s->b = v[1];
    return s->unary >= 0;
}

void follow_begin(struct op_ctx *c) {
    struct follower *f = c->follower;
    struct tensor *y = c->out[0];
    if (!f || (c->precision != PREC_F64 && y->dtype != y->store) ||
        (y->store != DT_F32 && y->store != DT_F64))
        return;
    struct tensor *last = y;
    for (int k = 0; k < f->n; k++) {
        struct follow_step *s = &f->step[k];
        struct err ignored = { 0 };
        if (!plan_step(s, y, &ignored))
            break;
        if (!s->shown)
            s->out = tensor_alias(last);
        else if (tensor_new_from(&s->out, c->recycler, false, y->dtype, y->store, y->rank, y->dim,
                                 &ignored) != OK)
            break;
        last = s->out;
        f->begun = k + 1;
    }
}

static double limit_or(const struct tensor *t, double otherwise) {
    return t ? tensor_f64(t, 0) : otherwise;
}

/* Whether the first n steps can be done at once: what follows them reads a value that is there. */
static bool ends_at(const struct follower *f, int n) {
    return f->begun == n || (f->begun > n && f->step[n].shown);
}

static bool limits_only(const struct follow_step *s) {
    return s->binary < 0 && (s->unary < 0 || s->unary == UNARY_Relu);
}

static bool adds_like(const struct follow_step *s, const struct tensor *y, int64_t columns) {
    return s->binary == BINARY_Add && s->run == 1 &&
           (s->period == tensor_count(y) || s->period == columns);
}

static void write_limited(const struct follow_step *s, struct follow_written *w) {
    bool clips = s->unary < 0;
    w->limits = true;
    w->limit[0] = clips ? limit_or(s->low, -INFINITY) : 0;
    w->limit[1] = clips ? limit_or(s->high, INFINITY) : INFINITY;
    w->limited = s->out->data;
}

bool follow_written(const struct op_ctx *c, bool adds, int64_t columns, struct follow_written *w) {
    struct follower *f = c->follower;
    *w = (struct follow_written) { 0 };
    if (!f || f->begun == 0)
        return false;
    const struct follow_step *s = f->step;
    w->hidden = !s[0].shown;
    if (limits_only(&s[0]) && ends_at(f, 1)) {
        write_limited(&s[0], w);
        f->done = 1;
    } else if (adds && adds_like(&s[0], c->out[0], columns)) {
        if (f->begun > 1 && limits_only(&s[1]) && ends_at(f, 2)) {
            write_limited(&s[1], w);
            f->done = 2;
        } else if (ends_at(f, 1)) {
            f->done = 1;
        } else {
            return false;
        }
        w->other = s[0].other->data;
        w->other_step = s[0].period == columns ? 0 : columns;
        w->sum = f->done == 1 || s[1].shown ? s[0].out->data : NULL;
    }
    return f->done > 0;
}

enum { CHUNK = 1024 };

/* Runs along which the other operand stays, or goes on. */
#define PAIRED(T, S)                                                                              \
    static void pair_##S(const struct follow_step *s, const T *x, T *to, int64_t at, int64_t n) { \
        const T *other = s->other->data;                                                          \
        for (int64_t i = 0, m; i < n; i += m) {                                                   \
            int64_t place = (at + i) / s->run, p = place % s->period;                             \
            m = s->run > 1 ? (place + 1) * s->run - (at + i) : s->period - p;                     \
            if (s->period == 1 || m > n - i)                                                      \
                m = n - i;                                                                        \
            const void *operand[2] = { x + i, other + p };                                        \
            int step[2] = { 1, s->run == 1 && s->period > 1 };                                    \
            if (s->other_first) {                                                                 \
                operand[0] = other + p, operand[1] = x + i;                                       \
                step[0] = step[1], step[1] = 1;                                                   \
            }                                                                                     \
            isa_best()->S.binary[s->binary](operand, step, to + i, m, NULL);                      \
        }                                                                                         \
    }                                                                                             \
    static void part_##S(const struct follower *f, T *y, int64_t at, int64_t n) {                 \
        const struct micro_##S *micro = &isa_best()->S;                                           \
        T room[2][CHUNK];                                                                         \
        for (int64_t from = at; from < at + n; from += CHUNK) {                                   \
            int64_t m = at + n - from < CHUNK ? at + n - from : CHUNK;                            \
            const T *x = (f->done ? (const T *)f->step[f->done - 1].out->data : y) + from;        \
            for (int k = f->done; k < f->begun; k++) {                                            \
                const struct follow_step *s = &f->step[k];                                        \
                bool stays = s->out->data == (void *)y;                                           \
                bool kept = !stays && (k + 1 == f->begun || f->step[k + 1].shown);                \
                T *to = kept ? (T *)s->out->data + from : room[k % 2];                            \
                if (s->binary >= 0)                                                               \
                    pair_##S(s, x, to, from, m);                                                  \
                else if (s->unary >= 0)                                                           \
                    micro->unary[s->unary](x, to, m, (T)s->a, (T)s->b);                           \
                else                                                                              \
                    micro->clip(x, to, m, s->low ? s->low->data : NULL,                           \
                                s->high ? s->high->data : NULL);                                  \
                if (stays && (k + 1 == f->begun || f->step[k + 1].shown))                         \
                    memcpy(y + from, to, (size_t)m * sizeof *to);                                 \
                x = to;                                                                           \
            }                                                                                     \
        }                                                                                         \
    }
PAIRED(float, f)
PAIRED(double, d)
#undef PAIRED

void follow_part(const struct op_ctx *c, int64_t at, int64_t n) {
    if (!c->follower || c->follower->begun == c->follower->done)
        return;
    if (c->out[0]->store == DT_F64)
        part_d(c->follower, c->out[0]->data, at, n);
    else
        part_f(c->follower, c->out[0]->data, at, n);
}

void follow_block(const struct op_ctx *c, int64_t at, int64_t columns, int64_t m0, int64_t m1,
                  int64_t n0, int64_t n1) {
    if (!c->follower || c->follower->begun == c->follower->done)
        return;
    if (n0 == 0 && n1 == columns)
        follow_part(c, at + m0 * columns, (m1 - m0) * columns);
    else
        for (int64_t m = m0; m < m1; m++)
            follow_part(c, at + m * columns + n0, n1 - n0);
}
