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
};

/* The k-th kind of fault that an editor can make; NULL behind the last. */
const char *onnx_kind(int k);
const char *tflite_kind(int k);

/* Makes `n` faults of different nodes, the first of kind `kind`, in a copy of the file. Returns how
 * many were made; 0 when the file has no place for that kind. */
int onnx_mutate(const struct site *s, const unsigned char *data, size_t size, const char *kind,
                int n, struct file_image *out, struct mutation *made);
int tflite_mutate(const struct site *s, const unsigned char *data, size_t size, const char *kind,
                  int n, struct file_image *out, struct mutation *made);

/* For the editors. */
void mutation_place(struct mutation *m, struct arena *a, const char *name);
bool mutation_is_at(const struct mutation *m, const char *name);
struct edit_table {
    const char *(*kind)(int k);
    int (*nodes)(void *editor);
    /* Does the node read, make or bear the name of a place of that fault? */
    bool (*is_touched)(void *editor, int node, const struct mutation *made);
    /* Edit number `which` at a node; false: no place for it. */
    bool (*edit)(void *editor, int which, int node, struct mutation *m);
};
/* Makes n faults, the first of kind `kind`, the others by chance; nodes that an earlier one touches
 * are left alone. Returns how many were made. */
int edit_file(const struct edit_table *t, void *editor, struct chance *c, const char *kind, int n,
              struct mutation *made);

#endif
