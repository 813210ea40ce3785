/* Writing npy and npz files. */
#include <string.h>

#include "base/map.h"
#include "base/strbuf.h"
#include "npz/npy.h"
#include "npz/npz.h"
#include "npz/utf8.h"
#include "wire/zip.h"

/* What an array is written as: numpy has every type but the small floats and the packed integers.
 */
static enum dtype file_type(const struct tensor *t, bool as_stored) {
    enum dtype d = as_stored || t->dtype == DT_NONE ? t->store : t->dtype;
    return d == DT_F16 ? DT_F16 : dtype_row(d)->widened != DT_NONE ? dtype_row(d)->widened : d;
}

struct writing {
    struct arena *arena;
    struct tensor **temporary; /* to be freed after the file is written */
    int n_temporary;
    struct err *err;
};

static void keep(struct writing *w, struct tensor *t) {
    PUSH(w->arena, w->temporary, w->n_temporary, t);
}

static void free_temporary(struct writing *w) {
    for (int i = 0; i < w->n_temporary; i++)
        tensor_free(w->temporary[i]);
}

/* UTF-32, as wide as the longest. */
static void string_pieces(struct writing *w, const struct tensor *t, struct npy_header *h,
                          struct piece *data) {
    const char *const *texts = t->data;
    int64_t n = tensor_count(t);
    h->width = 1;
    for (int64_t i = 0; i < n; i++) {
        int64_t length = 0;
        for (const char *s = texts[i] ? texts[i] : ""; utf8_next(&s);)
            length++;
        if (length > h->width)
            h->width = length;
    }
    uint32_t *points = NEW_ARRAY(w->arena, (size_t)n * (size_t)h->width, uint32_t);
    for (int64_t i = 0; i < n; i++) {
        const char *s = texts[i] ? texts[i] : "";
        uint32_t *at = points + i * h->width;
        for (uint32_t c; (c = utf8_next(&s)) != 0;)
            *at++ = c;
    }
    h->item = (size_t)h->width * 4;
    *data = (struct piece) { points, (size_t)n * h->item };
}

/* The elements in the file's type: rounded to the declared type first when they are stored wider.
 */
static enum status number_pieces(struct writing *w, const struct tensor *t, bool as_stored,
                                 struct npy_header *h, struct piece *data) {
    struct tensor *declared = NULL, *wide = NULL;
    enum dtype round_to = as_stored || !dtype_is_float(t->dtype) ? t->store : t->dtype;
    TRY(tensor_convert(&declared, t, round_to, w->err));
    keep(w, declared);
    TRY(tensor_convert(&wide, declared, h->dtype, w->err));
    keep(w, wide);
    h->item = dtype_size(h->dtype);
    *data = (struct piece) { wide->data, tensor_bytes(wide) };
    return OK;
}

/* Header and data. */
static enum status array_pieces(struct writing *w, const struct tensor *t, bool as_stored,
                                struct piece pieces[2]) {
    struct npy_header h = { .dtype = file_type(t, as_stored), .rank = t->rank };
    memcpy(h.dim, t->dim, sizeof h.dim);
    if (h.dtype == DT_STRING)
        string_pieces(w, t, &h, &pieces[1]);
    else
        TRY(number_pieces(w, t, as_stored, &h, &pieces[1]));
    pieces[0].data = npy_header_make(w->arena, &h, &pieces[0].size);
    return OK;
}

struct archive {
    struct writing w;
    struct zip_writer zip;
    struct strmap names;
    bool as_stored;
};

static enum status add_array(struct archive *x, const char *name, const struct tensor *t) {
    FAIL_IF(strmap_has(&x->names, name), x->w.err, STATUS_USAGE, "two arrays are called '%s'",
            name);
    strmap_put(&x->names, name, x);
    struct piece pieces[2];
    TRY(array_pieces(&x->w, t, x->as_stored, pieces));
    zip_writer_add(&x->zip, arena_printf(x->w.arena, "%s.npy", name), pieces, 2);
    return OK;
}

enum { MAX_NESTING = 64 };

static enum status add_tensor(struct archive *x, const char *name, const struct tensor *t,
                              int depth) {
    FAIL_IF(depth > MAX_NESTING, x->w.err, STATUS_UNSUPPORTED, "'%s': sequences more than %d deep",
            name, MAX_NESTING);
    static const char *const parts[][2] = {
        [KIND_MAP] = { "keys", "values" }, [KIND_SPARSE] = { "values", "indices" }
    };
    switch (t->kind) {
    case KIND_TENSOR:
        return add_array(x, name, t);
    case KIND_OPTIONAL:
        return t->n_items ? add_tensor(x, name, t->items[0], depth + 1) : OK;
    case KIND_SEQUENCE:
        for (int64_t i = 0; i < t->n_items; i++)
            TRY(add_tensor(x, arena_printf(x->w.arena, "%s/%lld", name, (long long)i), t->items[i],
                           depth + 1));
        return OK;
    case KIND_MAP:
    case KIND_SPARSE:
        for (int i = 0; i < 2 && i < t->n_items; i++)
            TRY(add_tensor(x, arena_printf(x->w.arena, "%s/%s", name, parts[t->kind][i]),
                           t->items[i], depth + 1));
        return OK;
    }
    return err_set(x->w.err, STATUS_BUG, "'%s' is of unknown kind %d", name, (int)t->kind);
}

enum status npz_write(const char *path, const struct named_tensor *items, int n, bool as_stored,
                      struct err *e) {
    struct archive x = { .w = { .arena = arena_new(), .err = e }, .as_stored = as_stored };
    zip_writer_init(&x.zip, x.w.arena);
    strmap_init(&x.names, x.w.arena);
    enum status s = OK;
    for (int i = 0; i < n && s == OK; i++)
        s = add_tensor(&x, items[i].name, items[i].tensor, 0);
    if (s == OK)
        s = zip_writer_finish(&x.zip, path, e);
    else
        err_at(e, "%s", path);
    free_temporary(&x.w);
    arena_free(x.w.arena);
    return s;
}

enum status npy_write(const char *path, const struct tensor *t, bool as_stored, struct err *e) {
    FAIL_IF(t->kind != KIND_TENSOR, e, STATUS_USAGE, "an .npy file holds one array; write an .npz");
    struct writing w = { .arena = arena_new(), .err = e };
    struct piece pieces[2];
    enum status s = array_pieces(&w, t, as_stored, pieces);
    if (s == OK)
        s = file_write(path, pieces, 2, e);
    else
        err_at(e, "%s", path);
    free_temporary(&w);
    arena_free(w.arena);
    return s;
}
