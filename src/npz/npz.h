/* NumPy's npy and npz files. A room of its own on the floor of ir: it needs both tensor and wire
 * (zip). */
#ifndef NPZ_NPZ_H
#define NPZ_NPZ_H

#include "tensor/tensor.h"

struct named_tensor {
    const char *name;
    struct tensor *tensor;
};

struct named_tensors {
    struct named_tensor *items;
    int n;
};

/* Reads an .npz (stored or deflated), .npy (one array, named ""), both byte orders, C and Fortran
 * order (made C). numpy float16, (u)int8..64, bool, complex64/128, float32/64, `U` and `S` strings.
 * Objects (pickles) are refused. The arrays are made by tensor_new: free with named_tensors_free.
 * Names live in `a`. */
enum status npz_read(const char *path, struct arena *a, struct named_tensors *out, struct err *e);
/* From memory (fuzzing, archives). */
enum status npz_read_memory(const void *data, size_t size, struct arena *a,
                            struct named_tensors *out, struct err *e);
/* Types numpy lacks are widened exactly (CLI.md, Files); a sequence x becomes x/0, x/1, ... Written
 * to a temporary file and renamed. Floats are written in their declared dtype unless `as_stored`.
 */
enum status npz_write(const char *path, const struct named_tensor *items, int n, bool as_stored,
                      struct err *e);
enum status npy_write(const char *path, const struct tensor *t, bool as_stored, struct err *e);
struct tensor *named_tensor_find(const struct named_tensors *t, const char *name);
void named_tensors_free(struct named_tensors *t);

#endif
