#include "npz/npy.h"

#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "base/strbuf.h"

static const char MAGIC[] = "\x93NUMPY";
enum { MAGIC_SIZE = 6, MAX_HEADER = 1 << 20 };

bool npy_probe(const void *data, size_t size) {
    return size >= MAGIC_SIZE && memcmp(data, MAGIC, MAGIC_SIZE) == 0;
}

enum status npy_header_size(const unsigned char *prefix, size_t *begin, size_t *length,
                            struct err *e) {
    FAIL_IF(!npy_probe(prefix, NPY_PREFIX), e, STATUS_CORRUPT,
            "not an npy array: the first bytes are not \\x93NUMPY");
    int major = prefix[6];
    FAIL_IF(major < 1 || major > 3, e, STATUS_UNSUPPORTED,
            "npy format version %d.%d; 1, 2 and 3 are supported", major, prefix[7]);
    *begin = major == 1 ? 10 : 12;
    *length = major == 1 ? load_u16le(prefix + 8) : load_u32le(prefix + 8);
    FAIL_IF(*length > MAX_HEADER, e, STATUS_CORRUPT, "an npy header of %zu bytes", *length);
    return OK;
}

/* The part of Python's literals that headers use. */
struct scan {
    const char *at, *end;
    struct err *err;
};

static void skip_space(struct scan *s) {
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r'))
        s->at++;
}

static bool eat(struct scan *s, char c) {
    skip_space(s);
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static bool eat_word(struct scan *s, const char *word) {
    skip_space(s);
    size_t n = strlen(word);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
        return false;
    s->at += n;
    return true;
}

static enum status expect(struct scan *s, char c) {
    FAIL_IF(!eat(s, c), s->err, STATUS_CORRUPT,
            "the npy header is damaged: no '%c' where one must be", c);
    return OK;
}

/* A quoted word without escapes. */
static enum status scan_string(struct scan *s, char *buf, size_t size) {
    skip_space(s);
    char quote = s->at < s->end ? *s->at : '\0';
    FAIL_IF(quote != '\'' && quote != '"', s->err, STATUS_CORRUPT,
            "the npy header is damaged: no quoted word where one must be");
    const char *close = memchr(s->at + 1, quote, (size_t)(s->end - s->at - 1));
    FAIL_IF(!close || (size_t)(close - s->at) > size, s->err, STATUS_CORRUPT,
            "the npy header is damaged: a quoted word does not end");
    size_t n = (size_t)(close - s->at - 1);
    memcpy(buf, s->at + 1, n);
    buf[n] = '\0';
    s->at = close + 1;
    return OK;
}

static enum status scan_number(struct scan *s, int64_t *v) {
    skip_space(s);
    const char *begin = s->at;
    *v = 0;
    for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++) {
        FAIL_IF(*v > (INT64_MAX - 9) / 10, s->err, STATUS_CORRUPT,
                "the npy header has a number beyond 63 bits");
        *v = *v * 10 + (*s->at - '0');
    }
    FAIL_IF(s->at == begin, s->err, STATUS_CORRUPT,
            "the npy header is damaged: no number where one must be");
    eat(s, 'L'); /* written by Python 2 */
    return OK;
}

static enum status scan_shape(struct scan *s, struct npy_header *h) {
    TRY(expect(s, '('));
    h->rank = 0;
    while (!eat(s, ')')) {
        FAIL_IF(h->rank == MAX_RANK, s->err, STATUS_UNSUPPORTED,
                "an array of more than %d dimensions", MAX_RANK);
        TRY(scan_number(s, &h->dim[h->rank++]));
        if (!eat(s, ',')) {
            TRY(expect(s, ')'));
            break;
        }
    }
    return OK;
}

/* Type characters of numpy's array interface with the width in bytes. */
static const struct {
    char kind;
    int bytes;
    enum dtype dtype;
} kinds[] = {
    { 'f', 8, DT_F64 }, { 'f', 4, DT_F32 },   { 'f', 2, DT_F16 }, { 'i', 8, DT_I64 },
    { 'i', 4, DT_I32 }, { 'i', 2, DT_I16 },   { 'i', 1, DT_I8 },  { 'u', 8, DT_U64 },
    { 'u', 4, DT_U32 }, { 'u', 2, DT_U16 },   { 'u', 1, DT_U8 },  { 'b', 1, DT_BOOL },
    { 'c', 8, DT_C64 }, { 'c', 16, DT_C128 },
};

enum { N_KINDS = sizeof kinds / sizeof *kinds };

static enum status set_type(struct scan *s, const char *descr, struct npy_header *h) {
    h->big_endian = descr[0] == '>';
    const char *p = descr + (strchr("<>|=", descr[0]) && descr[0] ? 1 : 0);
    char kind = *p ? *p++ : '\0';
    struct scan digits = { p, p + strlen(p), s->err };
    FAIL_IF(
        kind == 'O', s->err, STATUS_UNSUPPORTED,
        "the array holds Python objects (pickled), which are never read; save numbers or strings");
    TRY(scan_number(&digits, &h->width));
    FAIL_IF(digits.at != digits.end, s->err, STATUS_UNSUPPORTED, "the array type '%s'", descr);
    if (kind == 'U' || kind == 'S') {
        FAIL_IF(h->width > (1 << 28), s->err, STATUS_UNSUPPORTED, "strings of %lld characters",
                (long long)h->width);
        h->dtype = DT_STRING;
        h->bytes = kind == 'S';
        h->item = (size_t)h->width * (h->bytes ? 1 : 4);
        return OK;
    }
    for (int i = 0; i < N_KINDS; i++)
        if (kinds[i].kind == kind && kinds[i].bytes == h->width) {
            h->dtype = kinds[i].dtype;
            h->item = (size_t)h->width;
            return OK;
        }
    return err_set(s->err, STATUS_UNSUPPORTED, "the array type '%s'%s", descr,
                   kind == 'V' ? " (types that numpy itself lacks lose their name in npy files; "
                                 "save them as float32 or int8)"
                               : "");
}

static enum status scan_descr(struct scan *s, struct npy_header *h) {
    skip_space(s);
    FAIL_IF(s->at < s->end && *s->at == '[', s->err, STATUS_UNSUPPORTED,
            "a structured array (with named fields)");
    char descr[32];
    TRY(scan_string(s, descr, sizeof descr));
    return set_type(s, descr, h);
}

enum status npy_header_parse(const char *text, size_t length, struct npy_header *h, struct err *e) {
    *h = (struct npy_header) { 0 };
    struct scan s = { text, text + length, e };
    bool has_descr = false, has_order = false, has_shape = false;
    TRY(expect(&s, '{'));
    while (!eat(&s, '}')) {
        char key[32];
        TRY(scan_string(&s, key, sizeof key));
        TRY(expect(&s, ':'));
        if (strcmp(key, "descr") == 0) {
            TRY(scan_descr(&s, h));
            has_descr = true;
        } else if (strcmp(key, "fortran_order") == 0) {
            h->fortran = eat_word(&s, "True");
            FAIL_IF(!h->fortran && !eat_word(&s, "False"), e, STATUS_CORRUPT,
                    "the npy header's fortran_order is neither True nor False");
            has_order = true;
        } else if (strcmp(key, "shape") == 0) {
            TRY(scan_shape(&s, h));
            has_shape = true;
        } else {
            return err_set(e, STATUS_CORRUPT, "the npy header has an unknown key '%s'", key);
        }
        if (!eat(&s, ',')) {
            TRY(expect(&s, '}'));
            break;
        }
    }
    FAIL_IF(!has_descr || !has_order || !has_shape, e, STATUS_CORRUPT,
            "the npy header lacks descr, fortran_order or shape");
    int64_t n;
    FAIL_IF(!dims_count(h->dim, h->rank, &n), e, STATUS_CORRUPT,
            "the npy header's shape has more than 2^63 elements");
    return OK;
}

const char *npy_header_make(struct arena *a, const struct npy_header *h, size_t *length) {
    struct strbuf b;
    strbuf_init(&b, a);
    strbuf_addn(&b, MAGIC, MAGIC_SIZE);
    strbuf_addn(&b, "\1\0\0\0", 4);
    char kind = h->bytes ? 'S' : 'U';
    for (int i = 0; i < N_KINDS; i++)
        if (kinds[i].dtype == h->dtype)
            kind = kinds[i].kind;
    long long width = (long long)(h->dtype == DT_STRING ? (size_t)h->width : h->item);
    strbuf_printf(&b, "{'descr': '%c%c%lld', 'fortran_order': False, 'shape': (",
                  width == 1 && h->dtype != DT_STRING ? '|' : '<', kind, width);
    for (int i = 0; i < h->rank; i++)
        strbuf_printf(&b, i ? ", %lld" : "%lld", (long long)h->dim[i]);
    strbuf_add(&b, h->rank == 1 ? ",), }" : "), }");
    while ((b.n + 1) % 64 != 0)
        strbuf_add(&b, " ");
    strbuf_add(&b, "\n");
    size_t text = b.n - 10;
    b.p[8] = (char)(text & 0xff);
    b.p[9] = (char)(text >> 8);
    *length = b.n;
    return b.p;
}
