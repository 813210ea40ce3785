/* Reading npy and npz files. Every array is checked against what the file can hold before memory is
 * asked for. */
#include "npz/npz.h"

#include <stdlib.h>
#include <string.h>

#include "npz/npy.h"
#include "npz/utf8.h"
#include "wire/zip.h"

/* Memory that the arrays of a file of n bytes may take: a compressed archive that wants more is
 * taken for a bomb. */
enum { BUDGET_FACTOR = 3, BUDGET_BASE = 48 << 20 };

/* Bytes of one array, from memory or inflated. */
struct source {
    struct zip_reader *zip; /* NULL: memory */
    const unsigned char *at;
    size_t left;
    size_t *budget;
    struct err *err;
};

static uint64_t source_left(const struct source *s) {
    return s->zip ? zip_reader_left(s->zip) : s->left;
}

static enum status source_read(struct source *s, void *to, size_t n) {
    if (s->zip)
        return zip_reader_read(s->zip, to, n, s->err);
    FAIL_IF(n > s->left, s->err, STATUS_CORRUPT, "the array ends %zu bytes early", n - s->left);
    memcpy(to, s->at, n);
    s->at += n;
    s->left -= n;
    return OK;
}

static enum status spend(struct source *s, uint64_t bytes) {
    FAIL_IF(bytes > *s->budget, s->err, STATUS_CORRUPT,
            "the file's arrays take more than %d times its size and %d MiB: refused as a "
            "decompression bomb; "
            "save the arrays without compression",
            BUDGET_FACTOR, BUDGET_BASE >> 20);
    *s->budget -= (size_t)bytes;
    return OK;
}

static void swap_bytes(unsigned char *p, size_t n, size_t width) {
    for (; n > 0; n--, p += width)
        for (size_t i = 0; i < width / 2; i++) {
            unsigned char b = p[i];
            p[i] = p[width - 1 - i];
            p[width - 1 - i] = b;
        }
}

/* Column-major `from` to row-major `to`: walks the target and steps through the source. */
static void from_fortran(unsigned char *to, const unsigned char *from, const struct npy_header *h,
                         int64_t n) {
    int64_t stride[MAX_RANK], index[MAX_RANK] = { 0 }, at = 0, step = 1;
    for (int i = 0; i < h->rank; i++) {
        stride[i] = step;
        step *= h->dim[i];
    }
    for (int64_t k = 0; k < n; k++) {
        memcpy(to + (size_t)k * h->item, from + (size_t)at * h->item, h->item);
        for (int i = h->rank - 1; i >= 0; i--) {
            at += stride[i];
            if (++index[i] < h->dim[i])
                break;
            at -= stride[i] * h->dim[i];
            index[i] = 0;
        }
    }
}

/* The elements as they lie in the file, but in C order and little-endian. */
static enum status read_elements(struct source *s, const struct npy_header *h, int64_t n,
                                 unsigned char *to) {
    size_t bytes = (size_t)n * h->item;
    if (h->fortran && h->rank > 1 && bytes > 0) {
        TRY(spend(s, bytes));
        unsigned char *raw = malloc(bytes);
        FAIL_IF(!raw, s->err, STATUS_UNSUPPORTED, "not enough memory for an array of %zu bytes",
                bytes);
        enum status status = source_read(s, raw, bytes);
        if (status == OK)
            from_fortran(to, raw, h, n);
        free(raw);
        *s->budget += bytes;
        TRY(status);
    } else {
        TRY(source_read(s, to, bytes));
    }
    if (h->big_endian) {
        bool complex = h->dtype == DT_C64 || h->dtype == DT_C128;
        size_t width = h->dtype == DT_STRING ? (h->bytes ? 1 : 4) : complex ? h->item / 2 : h->item;
        if (width > 1)
            swap_bytes(to, bytes / width, width);
    }
    return OK;
}

static enum status read_strings(struct source *s, const struct npy_header *h, struct tensor *t,
                                int64_t n) {
    size_t bytes = (size_t)n * h->item;
    TRY(spend(s, bytes));
    unsigned char *raw = malloc(bytes + 1);
    FAIL_IF(!raw, s->err, STATUS_UNSUPPORTED, "not enough memory for an array of %zu bytes", bytes);
    enum status status = read_elements(s, h, n, raw);
    struct arena *a = tensor_string_arena(t);
    const char **texts = t->data;
    for (int64_t i = 0; i < n && status == OK; i++) {
        const unsigned char *p = raw + (size_t)i * h->item;
        status = h->bytes ? utf8_from_bytes(a, p, (size_t)h->width, &texts[i], s->err)
                          : utf8_from_utf32(a, p, (size_t)h->width, &texts[i], s->err);
    }
    free(raw);
    *s->budget += bytes;
    return status;
}

/* A string of width w takes at most 4 w + 17 bytes of the arena and a pointer. */
static uint64_t memory_of(const struct npy_header *h, int64_t n) {
    uint64_t each = h->dtype == DT_STRING ? h->item + 8 + 32 : h->item;
    return (uint64_t)n > UINT64_MAX / each ? UINT64_MAX : (uint64_t)n * each;
}

static enum status read_array(struct source *s, struct tensor **out) {
    unsigned char prefix[NPY_PREFIX];
    size_t begin, length;
    FAIL_IF(source_left(s) < NPY_PREFIX, s->err, STATUS_CORRUPT,
            "an npy array of %llu bytes is cut off", (unsigned long long)source_left(s));
    TRY(source_read(s, prefix, NPY_PREFIX));
    TRY(npy_header_size(prefix, &begin, &length, s->err));
    FAIL_IF(begin + length < NPY_PREFIX || begin + length - NPY_PREFIX > source_left(s), s->err,
            STATUS_CORRUPT, "the npy header of %zu bytes is cut off", length);
    TRY(spend(s, length + 1));
    char *text = malloc(length + 1);
    FAIL_IF(!text, s->err, STATUS_UNSUPPORTED, "not enough memory for a header");
    memcpy(text, prefix + begin, NPY_PREFIX - begin);
    struct npy_header h;
    enum status status = source_read(s, text + (NPY_PREFIX - begin), begin + length - NPY_PREFIX);
    if (status == OK)
        status = npy_header_parse(text, length, &h, s->err);
    free(text);
    TRY(status);
    int64_t n;
    dims_count(h.dim, h.rank, &n);
    FAIL_IF(h.item && (uint64_t)n > source_left(s) / h.item, s->err, STATUS_CORRUPT,
            "the array's %lld elements of %zu bytes do not fit in the %llu bytes that follow the "
            "header",
            (long long)n, h.item, (unsigned long long)source_left(s));
    FAIL_IF((uint64_t)n * h.item != source_left(s), s->err, STATUS_CORRUPT,
            "%llu bytes follow the array's %lld elements",
            (unsigned long long)(source_left(s) - (uint64_t)n * h.item), (long long)n);
    TRY(spend(s, memory_of(&h, n)));
    struct tensor *t;
    TRY(tensor_new(&t, h.dtype, h.dtype, h.rank, h.dim, s->err));
    status = h.dtype == DT_STRING ? read_strings(s, &h, t, n) : read_elements(s, &h, n, t->data);
    if (status != OK) {
        tensor_free(t);
        return status;
    }
    *out = t;
    return OK;
}

static void add(struct arena *a, struct named_tensors *out, const char *name, struct tensor *t) {
    struct named_tensor item = { name, t };
    PUSH(a, out->items, out->n, item);
}

static enum status read_entry(const struct zip *z, const struct zip_entry *entry, size_t *budget,
                              struct arena *a, struct named_tensors *out, struct err *e) {
    size_t length = strlen(entry->name);
    if (length > 0 && entry->name[length - 1] == '/')
        return OK; /* a folder */
    FAIL_IF(length < 4 || strcmp(entry->name + length - 4, ".npy") != 0, e, STATUS_UNSUPPORTED,
            "'%s' in the archive is no .npy array", entry->name);
    struct source s = { .budget = budget, .err = e };
    TRY(zip_reader_open(&s.zip, z, entry, e));
    struct tensor *t = NULL;
    enum status status = read_array(&s, &t);
    if (status == OK)
        status = zip_reader_finish(s.zip, e);
    zip_reader_free(s.zip);
    if (status != OK) {
        tensor_free(t);
        return err_at(e, "array '%.*s'", (int)(length - 4 > 200 ? 200 : length - 4), entry->name);
    }
    add(a, out, arena_strn(a, entry->name, length - 4), t);
    return OK;
}

static enum status read_archive(const void *data, size_t size, size_t *budget, struct arena *a,
                                struct named_tensors *out, struct err *e) {
    struct zip z;
    TRY(zip_open(&z, data, size, a, e));
    for (int i = 0; i < z.n; i++)
        TRY(read_entry(&z, &z.entries[i], budget, a, out, e));
    return OK;
}

enum status npz_read_memory(const void *data, size_t size, struct arena *a,
                            struct named_tensors *out, struct err *e) {
    *out = (struct named_tensors) { 0 };
    size_t budget = size > (SIZE_MAX - BUDGET_BASE) / BUDGET_FACTOR
                        ? SIZE_MAX
                        : size * BUDGET_FACTOR + BUDGET_BASE;
    if (npy_probe(data, size)) {
        struct source s = { .at = data, .left = size, .budget = &budget, .err = e };
        struct tensor *t;
        TRY(read_array(&s, &t));
        add(a, out, "", t);
        return OK;
    }
    FAIL_IF(!zip_probe(data, size), e, STATUS_CORRUPT, "neither an .npy array nor an .npz archive");
    enum status status = read_archive(data, size, &budget, a, out, e);
    if (status != OK)
        named_tensors_free(out);
    return status;
}

enum status npz_read(const char *path, struct arena *a, struct named_tensors *out, struct err *e) {
    *out = (struct named_tensors) { 0 };
    struct mapfile f;
    TRY(mapfile_open(&f, path, a, e));
    enum status status = npz_read_memory(f.data, f.size, a, out, e);
    mapfile_close(&f);
    return status == OK ? OK : err_at(e, "%s", path);
}

struct tensor *named_tensor_find(const struct named_tensors *t, const char *name) {
    for (int i = 0; i < t->n; i++)
        if (strcmp(t->items[i].name, name) == 0)
            return t->items[i].tensor;
    return NULL;
}

void named_tensors_free(struct named_tensors *t) {
    for (int i = 0; i < t->n; i++)
        tensor_free(t->items[i].tensor);
    *t = (struct named_tensors) { 0 };
}
