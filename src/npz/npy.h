/* The header of an npy file (NumPy enhancement proposal 1, numpy.lib.format). */
#ifndef NPZ_NPY_H
#define NPZ_NPY_H

#include "tensor/tensor.h"

struct npy_header {
    enum dtype dtype;
    bool big_endian, fortran;
    bool bytes;    /* DT_STRING: elements are `width` bytes (`S`), else `width` UTF-32 code points
                      (`U`) */
    int64_t width; /* of a string element */
    int rank;
    int64_t dim[MAX_RANK];
    size_t item; /* bytes of an element in the file */
};

enum { NPY_PREFIX = 12 }; /* bytes that npy_header_size needs */

bool npy_probe(const void *data, size_t size);
/* Of the first NPY_PREFIX bytes: where the text begins and how long it is. */
enum status npy_header_size(const unsigned char *prefix, size_t *begin, size_t *length,
                            struct err *e);
/* Reads the text, a Python dict. */
enum status npy_header_parse(const char *text, size_t length, struct npy_header *h, struct err *e);
/* The whole header of a C-order little-endian file, padded to a multiple of 64 bytes. */
const char *npy_header_make(struct arena *a, const struct npy_header *h, size_t *length);

#endif
