/* Walks over a graph's fields that leave the weights alone: a file of gigabytes is opened with the
 * memory of its headers. */
#include "formats/onnx/onnx.h"

enum {
    LARGE_FIELD = 64 * 1024,
    /* A touched header may map 2 MiB (mapfile_forget); so many of them are held at most. */
    LARGE_TOUCHED_MAX = 4,
};

struct onnx_walk onnx_walk_of(const struct onnx_reader *r, struct span s) {
    return (struct onnx_walk) { .c = cursor_of(r->base, s.begin, s.end) };
}

void onnx_touched(struct onnx_reader *r, const struct pb_field *f) {
    if (f->end - f->start < LARGE_FIELD || ++r->large_touched < LARGE_TOUCHED_MAX)
        return;
    r->large_touched = 0;
    mapfile_forget(&r->m->files[0]);
}

bool onnx_next(struct onnx_reader *r, struct onnx_scope *scope, struct onnx_walk *w,
               struct pb_field *f) {
    if (w->next < scope->n_large && scope->large[w->next].start == w->c.at) {
        *f = scope->large[w->next++];
        w->c.at = f->end;
        return true;
    }
    if (!pb_next(&w->c, f))
        return false;
    if (f->end - f->start >= LARGE_FIELD) {
        PUSH(r->a, scope->large, scope->n_large, *f);
        w->next++;
        onnx_touched(r, f);
    }
    return true;
}
