/* Tensors whose data lies in another file. The location is a relative path that must stay below the
 * model's folder, symbolic links followed (onnx.proto, TensorProto.external_data;
 * docs/ExternalData.md of ONNX). */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "formats/onnx/onnx.h"

struct place {
    const char *location;
    uint64_t offset, length;
    bool has_length, bad_number;
};

static uint64_t number(const char *s, bool *bad) {
    char *end;
    errno = 0;
    unsigned long long v = strtoull(s, &end, 10);
    if (!*s || *s == '-' || *end || errno)
        *bad = true;
    return v;
}

static enum status read_entry(struct onnx_reader *r, struct cursor c, struct place *p) {
    struct pb_field f;
    const char *key = "", *value = "";
    while (pb_next(&c, &f)) {
        if (f.number == 1)
            key = onnx_string(r, &f);
        else if (f.number == 2)
            value = onnx_string(r, &f);
    }
    if (c.failed)
        return onnx_bad_wire(r, &c, "external_data");
    if (strcmp(key, "location") == 0)
        p->location = value;
    else if (strcmp(key, "offset") == 0)
        p->offset = number(value, &p->bad_number);
    else if (strcmp(key, "length") == 0) {
        p->length = number(value, &p->bad_number);
        p->has_length = true;
    }
    return OK;
}

/* The location has no part that leaves the folder. */
static bool stays_below(const char *location) {
    if (!location[0] || location[0] == '/')
        return false;
    for (const char *s = location; *s;) {
        size_t n = strcspn(s, "/");
        if (n == 2 && s[0] == '.' && s[1] == '.')
            return false;
        s += n;
        s += *s == '/';
    }
    return true;
}

static enum status check_links(struct onnx_reader *r, const char *folder, const char *path,
                               const char *location) {
    char *real_folder = realpath(folder, NULL), *real = realpath(path, NULL);
    size_t n = real_folder ? strlen(real_folder) : 0;
    bool found = real_folder && real;
    bool inside = found && (n == 1 || (strncmp(real, real_folder, n) == 0 && real[n] == '/'));
    free(real_folder);
    free(real);
    FAIL_IF(!found, r->e, STATUS_IO,
            "the external data file '%s' is missing; put it beside the model", location);
    FAIL_IF(!inside, r->e, STATUS_CORRUPT, "external data '%s' is a link out of the model's folder",
            location);
    return OK;
}

static enum status open_location(struct onnx_reader *r, const char *location,
                                 const struct mapfile **out) {
    *out = strmap_get(&r->externals, location);
    if (*out)
        return OK;
    FAIL_IF(!stays_below(location), r->e, STATUS_CORRUPT,
            "external data '%s' lies outside the model's folder", location);
    const char *slash = strrchr(r->m->path, '/');
    const char *folder =
        slash ? arena_strn(r->a, r->m->path, (size_t)(slash - r->m->path) + 1) : "./";
    const char *path = arena_printf(r->a, "%s%s", slash ? folder : "", location);
    TRY(check_links(r, folder, path, location));
    struct mapfile *f = NEW(r->a, struct mapfile);
    TRY(mapfile_open(f, path, r->a, r->e));
    PUSH(r->a, r->m->files, r->m->n_files, *f);
    if (r->notes) {
        struct onnx_external external = { location, *f };
        PUSH(r->a, r->notes->externals, r->notes->n_externals, external);
    }
    strmap_put(&r->externals, location, f);
    *out = f;
    return OK;
}

enum status onnx_read_external(struct onnx_reader *r, struct span tensor, const char *name,
                               uint64_t want, const void **data) {
    struct cursor c = cursor_of(r->base, tensor.begin, tensor.end);
    struct pb_field f;
    struct place p = { .location = NULL };
    while (pb_next(&c, &f))
        if (f.number == TENSOR_EXTERNAL_DATA && f.wire == PB_BYTES)
            TRY(read_entry(r, pb_enter(&c, &f), &p));
    FAIL_IF(!p.location || p.bad_number, r->e, STATUS_CORRUPT,
            "tensor '%s' has external data without a usable location, offset or length", name);
    FAIL_IF(!r->m->path[0], r->e, STATUS_UNSUPPORTED,
            "tensor '%s' has external data, and the model does not come from a file", name);
    const struct mapfile *file;
    TRY(open_location(r, p.location, &file));
    FAIL_IF(p.has_length && p.length != want, r->e, STATUS_CORRUPT,
            "tensor '%s' names %llu bytes of external data where its shape needs %llu", name,
            (unsigned long long)p.length, (unsigned long long)want);
    FAIL_IF(p.offset > file->size || want > file->size - p.offset, r->e, STATUS_CORRUPT,
            "tensor '%s' lies at bytes %llu..+%llu of '%s', which has %zu", name,
            (unsigned long long)p.offset, (unsigned long long)want, p.location, file->size);
    *data = want ? file->data + p.offset : arena_alloc(r->a, 1);
    return OK;
}
