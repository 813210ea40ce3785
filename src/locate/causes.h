/* The causes that calque names: one row each (for explain, reports and the tests). */
#ifndef LOCATE_CAUSES_H
#define LOCATE_CAUSES_H

struct cause_row {
    const char *name;   /* "pad-side" */
    const char *class_; /* class of the taxonomy, "M01"; "" for weights, structure, unknown */
    const char *title;  /* "padding on the wrong side" */
    const char *what, *how,
        *fix; /* a sentence or two each: what it is, how it arises, how it is mended */
};

/* All rows; ends with a NULL name. */
const struct cause_row *cause_rows(void);
/* The row or NULL. */
const struct cause_row *cause_find(const char *name);

#endif
