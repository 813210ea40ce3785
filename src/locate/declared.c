/* Both models as their declared types, or their format's own kernels, compute them. */
#include <math.h>

#include "formats/format.h"
#include "locate/session.h"
#include "passes/fixed_point.h"

/* The integer form changes a model's nodes, so it is made of a second reading of the file. Values
 * keep their ids. */
static enum status read_for_native(const struct session *s, enum side side, struct model **out,
                                   struct err *e) {
    struct real_form kept;
    TRY(model_read((side == SIDE_SOURCE ? s->source : s->target)->path, out, e));
    real_form_boundary(&kept, *out, s->real[side].inputs, s->real[side].outputs);
    TRY(fixed_point(*out, e));
    ops_bind(*out);
    return OK;
}

static enum status run_side(struct session *s, enum side side, struct tensor ***inputs,
                            const char *stage, struct err *e) {
    struct model *m = side == SIDE_SOURCE ? s->source : s->target;
    struct trace_options how = s->run;
    how.precision = s->options->precision;
    if (how.precision == PREC_NATIVE && (m->fixed_point || s->form[side].n_spelled)) {
        TRY(read_for_native(s, side, &s->reread[side], e));
        m = s->reread[side];
    }
    TRY(trace_new(&s->declared[side], m, inputs, s->plain->samples, &how, s->arena, e));
    trace_run(s->declared[side], stage, SIZE_MAX, s->arena);
    return OK;
}

enum status session_declare(struct session *s, struct err *e) {
    if (s->options->precision == PREC_F64)
        return OK;
    TRY(run_side(s, SIDE_SOURCE, s->inputs.source, "running the source as declared", e));
    return run_side(s, SIDE_TARGET, s->inputs.target, "running the target as declared", e);
}

void session_forget_declared(struct session *s) {
    for (int side = 0; side < SIDES; side++) {
        trace_free(s->declared[side]);
        model_free(s->reread[side]);
        s->declared[side] = NULL;
        s->reread[side] = NULL;
    }
}

const struct trace *session_shown(const struct session *s, enum side side) {
    if (s->declared[side])
        return s->declared[side];
    return side == SIDE_SOURCE ? s->source_trace : s->plain;
}

double session_noise(const struct session *s, enum side side, const struct value *v) {
    const struct trace *exact = side == SIDE_SOURCE ? s->source_trace : s->plain;
    double most = 0;
    for (int k = 0; s->declared[side] && k < exact->samples; k++) {
        const struct tensor *x = trace_value(exact, v, k),
                            *y = trace_value(s->declared[side], v, k);
        if (!x || !y || !tensor_is_real(x) || !tensor_is_real(y) ||
            tensor_count(x) != tensor_count(y))
            continue;
        int64_t n = tensor_count(x);
        for (int64_t i = 0; i < n; i++) {
            double d = fabs(tensor_f64(x, i) - tensor_f64(y, i));
            most = d > most ? d : most;
        }
    }
    return most;
}
