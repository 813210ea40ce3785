/* Arrays that a user gives for a model's inputs: .npz, .npy, or an ONNX test_data_set folder
 * (CLI.md, Files). */
#ifndef COMPARE_ARRAYS_H
#define COMPARE_ARRAYS_H

#include "ir/ir.h"

/* Reads the arrays for the inputs of m's main graph. (*out)[i], in the arena, belongs to
 * graph->inputs[i]; NULL where the file has none and the model a default. Each has the input's
 * declared dtype (floats are rounded to it, integers must fit); the shape is the file's. A name
 * that is no input, an input that is missing, and a type that cannot be meant are STATUS_MISMATCH
 * and name it. When no name of the file is an input's but there are as many arrays as inputs, their
 * order decides. Free with arrays_free. */
enum status arrays_read(const char *path, const struct model *m, struct arena *a,
                        struct tensor ***out, struct err *e);
void arrays_free(struct tensor **arrays, const struct model *m);

/* The same arrays taken apart into samples: along the first axis where an array has one axis more
 * than its input, or n times the fixed length of the input's first axis. Arrays that fit as they
 * are belong to every sample. */
struct samples {
    int n;
    struct tensor ***at; /* [n][inputs], owned */
    bool joined;         /* the first axis was there before: results join along theirs */
};
enum status arrays_split(struct samples *out, const struct model *m, struct tensor *const *arrays,
                         struct arena *a, struct err *e);
void samples_free(struct samples *s, const struct model *m);

/* The results of one output, one a sample, as one array: joined along the first axis, or stacked
 * along a new one. STATUS_MISMATCH when their shapes differ. Free with tensor_free. */
enum status samples_join(struct tensor **out, struct tensor *const *results, int n, bool joined,
                         struct err *e);

#endif
