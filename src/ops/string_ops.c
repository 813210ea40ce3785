/* Operators on texts: StringConcat, StringSplit, StringNormalizer, RegexFullMatch. */
#include <string.h>

#include "npz/utf8.h"
#include "ops/broadcast.h"
#include "ops/regex.h"
#include "ops/row.h"

static enum status need_strings(struct op_ctx *c, int i) {
    return c->in[i]->store == DT_STRING ? OK : op_bad_type(c, i);
}

static enum status concat_eval(struct op_ctx *c) {
    struct broadcast plan;
    TRY(need_strings(c, 0));
    TRY(need_strings(c, 1));
    TRY(broadcast_plan(&plan, c->out[0]->rank, c->out[0]->dim, 2, c->in, c->err));
    const char *const *a = c->in[0]->data, *const *b = c->in[1]->data;
    struct arena *texts = tensor_string_arena(c->out[0]);
    for (int64_t i = 0, n = tensor_count(c->out[0]); i < n; i++) {
        int64_t at[MAX_OPERANDS];
        broadcast_offsets(&plan, i, at);
        ((const char **)c->out[0]->data)[i] = arena_printf(texts, "%s%s", a[at[0]], b[at[1]]);
    }
    return OK;
}

struct part {
    const char *text;
    size_t length;
};

/* The blanks that Python's str.split() splits at. */
static bool is_blank(uint32_t c) {
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

static const char *skip(const char *p, bool blanks) {
    for (const char *next = p; *p; p = next) {
        uint32_t code = utf8_next(&next);
        if (is_blank(code) != blanks)
            break;
    }
    return p;
}

/* At runs of blanks; blanks at the ends belong to no part, but for what is left after the last
 * split. */
static int64_t split_at_blanks(const char *p, int64_t most, struct part **parts, struct arena *a) {
    int64_t n = 0;
    for (p = skip(p, true); *p; p = skip(p, true)) {
        const char *end = n == most ? p + strlen(p) : skip(p, false);
        PUSH(a, *parts, n, ((struct part) { p, (size_t)(end - p) }));
        p = end;
    }
    return n;
}

static int64_t split_at(const char *p, const char *delimiter, int64_t most, struct part **parts,
                        struct arena *a) {
    int64_t n = 0;
    for (;;) {
        const char *end = n == most ? NULL : strstr(p, delimiter);
        PUSH(a, *parts, n, ((struct part) { p, end ? (size_t)(end - p) : strlen(p) }));
        if (!end)
            return n;
        p = end + strlen(delimiter);
    }
}

static enum status split_shape(struct shape_ctx *c) {
    for (int i = 0; i < c->n_out; i++)
        shape_copy(c, i, 0);
    if (c->n_out > 1)
        c->out[1].dtype = DT_I64;
    SHAPE_FAIL_IF(c->in[0].rank >= MAX_RANK, c, "a tensor of rank %d has no room for an axis",
                  c->in[0].rank);
    if (c->in[0].rank >= 0)
        c->out[0].dim[c->out[0].rank++] = DIM_UNKNOWN;
    return OK;
}

static enum status split_eval(struct op_ctx *c) {
    const struct attr *limit = attr_find(c->node, "maxsplit");
    const char *delimiter = attr_str(c->node, "delimiter"), *const *x = c->in[0]->data;
    int64_t n = tensor_count(c->in[0]), most = limit && limit->i >= 0 ? limit->i : -1, widest = 0,
            dim[MAX_RANK];
    TRY(need_strings(c, 0));
    struct part **parts = NEW_ARRAY(c->scratch, n + 1, struct part *);
    int64_t *count = NEW_ARRAY(c->scratch, n + 1, int64_t);
    for (int64_t i = 0; i < n; i++) {
        count[i] = delimiter[0] ? split_at(x[i], delimiter, most, &parts[i], c->scratch)
                                : split_at_blanks(x[i], most, &parts[i], c->scratch);
        widest = count[i] > widest ? count[i] : widest;
        if (op_wanted(c, 1))
            ((int64_t *)c->out[1]->data)[i] = count[i];
    }
    if (!op_wanted(c, 0))
        return OK;
    memcpy(dim, c->in[0]->dim, sizeof dim);
    dim[c->in[0]->rank] = widest;
    TRY(op_output(c, 0, DT_STRING, c->in[0]->rank + 1, dim));
    struct arena *texts = tensor_string_arena(c->out[0]);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < widest; k++)
            ((const char **)c->out[0]->data)[i * widest + k] =
                k < count[i] ? arena_strn(texts, parts[i][k].text, parts[i][k].length) : "";
    return OK;
}

/* Alphabets whose two cases lie a fixed distance apart, and those where they alternate (distance 0,
 * upper case even from `low` on). Other letters with case are refused. */
static const struct {
    uint32_t low, high; /* upper case; alternating: both */
    int distance;
} alphabets[] = {
    { 'A', 'Z', 32 },     { 0xc0, 0xd6, 32 },    { 0xd8, 0xde, 32 },    { 0x100, 0x12f, 0 },
    { 0x132, 0x137, 0 },  { 0x139, 0x148, 0 },   { 0x14a, 0x177, 0 },   { 0x179, 0x17e, 0 },
    { 0x391, 0x3a1, 32 }, { 0x3a3, 0x3a9, 32 },  { 0x400, 0x40f, 80 },  { 0x410, 0x42f, 32 },
    { 0x531, 0x556, 48 }, { 0x1e00, 0x1e95, 0 }, { 0x1ea0, 0x1eff, 0 }, { 0xff21, 0xff3a, 32 },
};

static bool has_other_case(uint32_t c) {
    static const struct {
        uint32_t low, high;
    } blocks[] = {
        { 0xb5, 0xb5 },       { 0xdf, 0xff },       { 0x100, 0x2af },     { 0x345, 0x345 },
        { 0x370, 0x52f },     { 0x531, 0x587 },     { 0x10a0, 0x10ff },   { 0x13a0, 0x13ff },
        { 0x1c80, 0x1cbf },   { 0x1d79, 0x1d8e },   { 0x1e00, 0x1fff },   { 0x2126, 0x2188 },
        { 0x24b6, 0x24e9 },   { 0x2c00, 0x2dff },   { 0xa640, 0xa7ff },   { 0xab30, 0xabbf },
        { 0xfb00, 0xfb17 },   { 0xff21, 0xff5a },   { 0x10400, 0x10fff }, { 0x118a0, 0x118df },
        { 0x16e40, 0x16e7f }, { 0x1e900, 0x1e943 },
    };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (c >= blocks[i].low && c <= blocks[i].high)
            return true;
    return false;
}

/* The code point in the other case where that is one; false when it is not known here. */
static bool change_case(uint32_t c, bool upper, uint32_t *out) {
    *out = c;
    if (c < 'A')
        return true;
    for (size_t i = 0; i < sizeof alphabets / sizeof *alphabets; i++) {
        uint32_t low = alphabets[i].low, high = alphabets[i].high,
                 d = (uint32_t)alphabets[i].distance;
        if (!d && c >= low && c <= high) {
            bool is_upper = (c - low) % 2 == 0;
            *out = is_upper == upper ? c : upper ? c - 1 : c + 1;
            return true;
        }
        if (d && ((c >= low && c <= high) || (c >= low + d && c <= high + d))) {
            *out = upper ? (c <= high ? c : c - d) : c >= low && c <= high ? c + d : c;
            return c != 0x3c2 || !upper; /* the final sigma */
        }
    }
    return c == 0xf7 || c == 0xd7 || !has_other_case(c);
}

static enum status in_case(struct op_ctx *c, const char *text, bool upper, struct arena *a,
                           const char **out) {
    char *to = arena_alloc(a, 4 * strlen(text) + 1), *end = to;
    *out = to;
    for (const char *p = text; *p;) {
        uint32_t code = utf8_next(&p), other;
        FAIL_IF(!change_case(code, upper, &other), c->err, STATUS_UNSUPPORTED,
                "the case of the character U+%04X", (unsigned)code);
        end += utf8_put(other, end);
    }
    *end = '\0';
    return OK;
}

static enum status is_stopword(struct op_ctx *c, const struct attr *stopwords, const char *text,
                               bool *found) {
    bool exact = attr_int(c->node, "is_case_sensitive");
    const char *folded = text;
    *found = false;
    if (!stopwords)
        return OK;
    if (!exact)
        TRY(in_case(c, text, false, c->scratch, &folded));
    for (int64_t i = 0; i < stopwords->n && !*found; i++) {
        const char *word = stopwords->strings[i];
        if (!exact)
            TRY(in_case(c, word, false, c->scratch, &word));
        *found = strcmp(folded, word) == 0;
    }
    return OK;
}

static enum status normalizer_shape(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    int rank = c->in[0].rank;
    SHAPE_FAIL_IF(rank == 0 || rank > 2 ||
                      (rank == 2 && c->in[0].dim[0] >= 0 && c->in[0].dim[0] != 1),
                  c, "the input must have shape [C] or [1, C]");
    if (rank > 0)
        c->out[0].dim[rank - 1] = DIM_UNKNOWN;
    return OK;
}

static enum status normalizer_eval(struct op_ctx *c) {
    const char *action = attr_str(c->node, "case_change_action"), *const *x = c->in[0]->data;
    const struct attr *stopwords = attr_find(c->node, "stopwords");
    bool upper = strcmp(action, "UPPER") == 0, lower = strcmp(action, "LOWER") == 0;
    FAIL_IF(!upper && !lower && strcmp(action, "NONE") != 0, c->err, STATUS_CORRUPT,
            "case_change_action '%s' is not known", action);
    TRY(need_strings(c, 0));
    int64_t n = tensor_count(c->in[0]), kept = 0;
    const char **list = NEW_ARRAY(c->scratch, n + 1, const char *);
    for (int64_t i = 0; i < n; i++) {
        bool stop;
        TRY(is_stopword(c, stopwords, x[i], &stop));
        if (!stop)
            list[kept++] = x[i];
    }
    int64_t count = kept ? kept : 1;
    TRY(op_output(c, 0, DT_STRING, c->in[0]->rank,
                  c->in[0]->rank == 2 ? (int64_t[]) { 1, count } : &count));
    struct arena *texts = tensor_string_arena(c->out[0]);
    const char **y = c->out[0]->data;
    y[0] = "";
    for (int64_t i = 0; i < kept; i++) {
        if (upper || lower)
            TRY(in_case(c, list[i], upper, texts, &y[i]));
        else
            y[i] = arena_str(texts, list[i]);
    }
    return OK;
}

static enum status match_shape(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    c->out[0].dtype = DT_BOOL;
    return OK;
}

static enum status match_eval(struct op_ctx *c) {
    struct regex *r;
    TRY(need_strings(c, 0));
    TRY(regex_compile(&r, attr_str(c->node, "pattern"), c->scratch, c->err));
    const char *const *x = c->in[0]->data;
    for (int64_t i = 0, n = tensor_count(c->in[0]); i < n; i++)
        ((uint8_t *)c->out[0]->data)[i] = regex_full_match(r, x[i]);
    return OK;
}

/* clang-format off */
const struct op ops_string_ops[] = {
    { ONNX("StringConcat", 20, 2, 2), .flags = OP_ELEMENTWISE | OP_ANY_TYPE | OP_NO_GRADIENT, .shape = shape_broadcast_all,
      .eval = concat_eval },
    { .name = "StringSplit", .domain = "", .spec = "ONNX StringSplit-20", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 2,
      .flags = OP_DATA_SHAPE | OP_ANY_TYPE | OP_NO_GRADIENT,
      .attrs = ATTRS(PLAIN("delimiter", STRING), PLAIN("maxsplit", INT)), .shape = split_shape,
      .eval = split_eval },
    { ONNX("StringNormalizer", 10, 1, 1), .flags = OP_DATA_SHAPE | OP_ANY_TYPE | OP_NO_GRADIENT,
      .attrs = ATTRS(STRING("case_change_action", "NONE"),
      INT("is_case_sensitive", 0), PLAIN("locale", STRING), PLAIN("stopwords", STRINGS)), .shape = normalizer_shape,
      .eval = normalizer_eval },
    { ONNX("RegexFullMatch", 20, 1, 1), .flags = OP_ELEMENTWISE | OP_ANY_TYPE | OP_NO_GRADIENT, .attrs = ATTRS(PLAIN("pattern", STRING)),
      .shape = match_shape, .eval = match_eval },
    { 0 },
};
