/* Faults made in the bytes of model files. Nothing here knows how calque finds or names them: the
 * editors know the formats only (onnx.proto; schema.fbs of TensorFlow Lite). */
#ifndef TEST_MUTATION_H
#define TEST_MUTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

struct chance {
    uint64_t state;
};
uint64_t chance_next(struct chance *c);
int chance_below(struct chance *c, int n);

enum { PLACES = 24 };

/* One fault that was made. */
struct mutation {
    const char *kind;           /* row of the table: "pads", "weights", ... */
    const char *what;           /* in words */
    const char *causes;         /* names that say what was done, separated by blanks */
    const char *places[PLACES]; /* names of nodes and values that count as the right place */
    int n_places;
};

/* Shapes of the model's values by name, as calque infers them; rank -1 unknown. */
struct shape_of_value {
    int rank;
    int64_t dim[16];
};
typedef struct shape_of_value shape_lookup(void *arg, const char *name);

struct file_image {
    unsigned char *data;
    size_t size;
};

struct site {
    struct arena *arena;
    struct chance *chance;
    shape_lookup *shape;
    void *shape_arg;
    struct mutation *m; /* the fault that is being made; set by edit_file */
};

/* Makes `n` faults of different nodes, the first of kind `kind`, in a copy of the file. Returns how
 * many were made; 0 when the file has no place for that kind. */
int onnx_mutate(struct site *s, const unsigned char *data, size_t size, const char *kind, int n,
                struct file_image *out, struct mutation *made);
int tflite_mutate(struct site *s, const unsigned char *data, size_t size, const char *kind, int n,
                  struct file_image *out, struct mutation *made);

/* For the editors. */
void mutation_place(struct mutation *m, struct arena *a, const char *name);
bool mutation_is_at(const struct mutation *m, const char *name);
struct editor; /* each format has its own */
struct edit_row {
    const char *kind;
    bool (*edit)(struct editor *x, int node); /* false: no place for it */
};
struct edit_table {
    const struct edit_row *rows; /* ends with a kind of NULL */
    int (*nodes)(struct editor *x);
    /* Does the node read, make or bear the name of a place of that fault? */
    bool (*is_touched)(struct editor *x, int node, const struct mutation *made);
};
/* Makes n faults, the first of kind `kind`, the others by chance; nodes that an earlier one touches
 * are left alone. Returns how many were made. */
int edit_file(const struct edit_table *t, struct editor *x, struct site *s, const char *kind, int n,
              struct mutation *made);

/* The faults that an editor can make. */
extern const struct edit_row onnx_edits[], tflite_edits[];

#endif
