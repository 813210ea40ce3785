/* A changed copy of a protobuf file: what is not spliced is taken from the mapped file as it lies,
 * and the lengths of the messages around a change are made anew. */
#ifndef FORMATS_ONNX_ONNX_SPLICE_H
#define FORMATS_ONNX_ONNX_SPLICE_H

#include "base/mapfile.h"
#include "formats/onnx/onnx.h"

/* Whole fields [begin, end) of the message whose payload begins at `message` give way to data
 * (fields too, or nothing). With begin == end the data is put in before the field at begin, or at
 * the end of the message. */
struct splice {
    size_t message, begin, end;
    const void *data;
    size_t n;
    int order; /* of splices at one place: as they were made */
};

struct splices {
    struct arena *arena;
    const unsigned char *base;
    size_t size;
    struct splice *items;
    int n, n_sorted; /* the functions that put out see the sorted ones */
};

void splice_replace(struct splices *s, size_t message, size_t begin, size_t end, const void *data,
                    size_t n);
void splice_insert(struct splices *s, size_t message, size_t at, const void *data, size_t n);
void splice_writer(struct splices *s, size_t message, size_t begin, size_t end,
                   const struct pb_writer *w);
/* Sorts the splices made so far. Two that overlap are a BUG. */
enum status splice_finish(struct splices *s, struct err *e);
/* The changed file as pieces of the old one and of the arena. */
void splice_file(const struct splices *s, struct piece **pieces, size_t *n);
/* One changed message as bytes. */
void splice_message(const struct splices *s, struct span message, struct pb_writer *out);

#endif
