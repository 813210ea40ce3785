/* One comparison from two models to a zipper: inputs paired and made, both models run, values
 * aligned. */
#ifndef LOCATE_SESSION_H
#define LOCATE_SESSION_H

#include "compare/inputs.h"
#include "locate/zipper.h"
#include "npz/npz.h"

struct session {
    struct arena *arena;
    struct model *source, *target;
    const struct compare_options *options;
    struct input_pairs pairs;
    struct input_set inputs;
    struct trace *source_trace; /* both models from the inputs */
    struct trace *plain;        /* the target by itself */
    struct trace *zipped;       /* the target from the source's values */
    struct zipper zipper;
    const char *proof; /* not NULL: equal canonical forms, nothing was run */
    struct digest *source_digest, *target_digest;
    struct recycler *recycler; /* values that are not in use lie on disk */
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
void session_close(struct session *s);

#endif
