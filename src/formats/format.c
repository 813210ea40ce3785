#include "formats/format.h"

#include <stdio.h>
#include <string.h>

#include "formats/recognise.h"
#include "ir/verify.h"

#define FORMAT(name) extern const struct format format_##name;
#include "formats/formats.def"
#undef FORMAT

static const struct format *const formats[] = {
#define FORMAT(name) &format_##name,
#include "formats/formats.def"
#undef FORMAT
    NULL,
};

const struct format *const *format_all(void) {
    return formats;
}

static bool has_suffix(const char *path, const char *suffixes) {
    size_t n = strlen(path);
    for (const char *s = suffixes; *s;) {
        size_t k = strcspn(s, " ");
        if (k && n >= k && memcmp(path + n - k, s, k) == 0)
            return true;
        s += k;
        s += *s == ' ';
    }
    return false;
}

/* "ONNX, TensorFlow Lite" */
struct format_names {
    char text[256];
};

static struct format_names readable(void) {
    struct format_names names = { "" };
    size_t at = 0;
    for (int i = 0; formats[i] && at < sizeof names.text; i++)
        at += (size_t)snprintf(names.text + at, sizeof names.text - at, "%s%s", i ? ", " : "",
                               formats[i]->title);
    return names;
}

static enum status refuse(struct recognised r, struct err *e) {
    if (r.is_model)
        return err_set(e, STATUS_UNSUPPORTED, "%s: not readable yet; calque reads %s", r.title,
                       readable().text);
    return err_set(e, STATUS_CORRUPT, "this is %s, not a model; calque reads %s", r.title,
                   readable().text);
}

enum status format_detect(const struct mapfile *f, const struct format **out, struct err *e) {
    enum { HEAD = 4096 };
    size_t n = f->size < HEAD ? f->size : HEAD;
    int best = 0, ties = 0;
    char candidates[256] = "";
    FAIL_IF(f->size == 0, e, STATUS_CORRUPT, "the file is empty");
    for (int i = 0; formats[i]; i++) {
        int sure = formats[i]->probe(f->data, n, f->size);
        if (sure > 0 && sure < 100)
            sure += has_suffix(f->path, formats[i]->suffixes);
        if (sure <= 0 || sure < best)
            continue;
        ties = sure == best ? ties + 1 : 1;
        size_t used = ties > 1 ? strlen(candidates) : 0;
        snprintf(candidates + used, sizeof candidates - used, "%s%s", used ? ", " : "",
                 formats[i]->title);
        best = sure;
        *out = formats[i];
    }
    if (best < 90) {
        struct recognised r = recognise_file(f);
        if (r.title && (r.certain || best == 0))
            return refuse(r, e);
    }
    FAIL_IF(best == 0, e, STATUS_CORRUPT,
            "the content is of no known model format; calque reads %s", readable().text);
    FAIL_IF(ties > 1, e, STATUS_CORRUPT,
            "the content could be any of %s; give the file its usual suffix", candidates);
    return OK;
}

static enum status read_file(struct model *m, const struct mapfile *f, struct err *e) {
    PUSH(m->arena, m->files, m->n_files, *f);
    m->path = f->path;
    const struct format *format = NULL;
    TRY(format_detect(f, &format, e));
    m->format = format->name;
    TRY(format->read(m, e));
    return model_verify(m, e);
}

static enum status read_path(struct model *m, const char *path, struct err *e) {
    struct mapfile f;
    if (file_is_dir(path)) {
        refuse(recognise_folder(path), e);
        return err_at(e, "%s", path);
    }
    TRY(mapfile_open(&f, path, m->arena, e));
    enum status s = read_file(m, &f, e);
    return s == OK ? OK : err_at(e, "%s", path);
}

static enum status keep_or_free(struct model *m, enum status s, struct model **out) {
    if (s != OK) {
        model_free(m);
        m = NULL;
    }
    *out = m;
    return s;
}

enum status model_read(const char *path, struct model **out, struct err *e) {
    struct model *m = model_new();
    return keep_or_free(m, read_path(m, path, e), out);
}

enum status model_read_memory(const void *data, size_t size, struct model **out, struct err *e) {
    struct model *m = model_new();
    struct mapfile f = { .path = "", .data = data, .size = size, .borrowed = true };
    return keep_or_free(m, read_file(m, &f, e), out);
}
