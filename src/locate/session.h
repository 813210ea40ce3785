/* One comparison from two models to a zipper: inputs paired and made, both models run, values
 * aligned. */
#ifndef LOCATE_SESSION_H
#define LOCATE_SESSION_H

#include "compare/inputs.h"
#include "locate/zipper.h"
#include "npz/npz.h"
#include "passes/real_form.h"

enum side { SIDE_SOURCE, SIDE_TARGET, SIDES };

struct boundary {
    bool *inputs, *outputs;
};

struct session {
    struct arena *arena;
    struct model *source, *target;
    const struct compare_options *options;
    struct input_pairs pairs;
    struct boundary real[SIDES];  /* which inputs and outputs are read as real numbers */
    struct real_form form[SIDES]; /* undone by session_close */
    struct input_set inputs;
    struct trace *source_trace; /* both models from the inputs */
    struct trace *plain;        /* the target by itself */
    struct trace *zipped;       /* the target from the source's values */
    struct zipper zipper;
    const char *proof; /* not NULL: equal canonical forms, nothing was run */
    struct digest *source_digest, *target_digest;
    struct trace *declared[SIDES]; /* by side: in options->precision; NULL when that is float64 */
    struct model *reread[SIDES];   /* what a native run needs of its own */
    struct recycler *recycler;     /* values that are not in use lie on disk */
    struct trace_options run;
};

/* Everything up to and including the canonical comparison. */
enum status session_open(struct session *s, struct model *source, struct model *target,
                         const struct compare_options *o, struct err *e);
/* Makes or reads the inputs and runs both models. */
enum status session_run(struct session *s, struct err *e);
/* Aligns. Where the layout of an input is open (axes of equal length, files of two formats) both
 * are tried. */
enum status session_zip(struct session *s, struct err *e);
/* Runs both models once more in options->precision, for the figures only: what is the same and what
 * is faulty is judged in float64. STATUS_UNSUPPORTED names an operator without an integer kernel.
 */
enum status session_declare(struct session *s, struct err *e);
void session_forget_declared(struct session *s);
/* The run whose values are shown. */
const struct trace *session_shown(const struct session *s, enum side side);
/* How far v, as declared, is from what it is in float64: the largest absolute difference. */
double session_noise(const struct session *s, enum side side, const struct value *v);
void session_close(struct session *s);

#endif
