/* Formats: one folder and one line of formats.def each. */
#ifndef FORMATS_FORMAT_H
#define FORMATS_FORMAT_H

#include "ir/ir.h"
#include "ir/patch.h"

struct op;

/* An operator that a format has, and what calque makes of it. */
struct format_operator {
    const char *domain, *name; /* as the format writes them; domain "" where it has none */
    int code;                  /* the format's number of it, -1: none */
    int first, last;           /* the domain's versions that have it; last 0: the newest too */
    const struct op *op;       /* what it is read as; NULL: one or several operators of ai.onnx */
    const char *refused;       /* why it cannot be run; NULL: it can */
};

struct format_operators {
    struct format_operator *items;
    int n;
};

struct format {
    const char *name;     /* "onnx" */
    const char *title;    /* "ONNX" */
    const char *suffixes; /* ".onnx" ; several separated by a space */
    /* How sure the content is of this format: 0 no .. 100 certain. head: the first bytes of the
     * file. */
    int (*probe)(const unsigned char *head, size_t n, size_t file_size);
    /* Fills m from m->files[0] (mapped). Literal and lazy: weights are views of the mapped file. */
    enum status (*read)(struct model *m, struct err *e);
    /* Writes the file of m with the patches made, all else as it was: names, order, metadata,
     * unknown fields. m is as read (patches not applied). NULL: the format cannot be written yet.
     */
    enum status (*write_patched)(const struct model *m, const struct patch *const *patches, int n,
                                 const char *path, struct err *e);
    /* Every operator of the format, also those that are refused. */
    void (*operators)(struct arena *a, struct format_operators *out);
};

const struct format *const *format_all(void); /* ends with NULL */
/* The format by content; the suffix only breaks ties; a tie or no match is STATUS_CORRUPT with the
 * candidates named. */
enum status format_detect(const struct mapfile *f, const struct format **out, struct err *e);
/* Maps the file, detects, reads, verifies. Errors carry the path. */
enum status model_read(const char *path, struct model **out, struct err *e);
/* The same from bytes, which must outlive the model. Data in other files is refused: there is no
 * folder to look in. */
enum status model_read_memory(const void *data, size_t size, struct model **out, struct err *e);

#endif
