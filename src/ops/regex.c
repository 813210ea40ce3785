#include "ops/regex.h"

#include <stdlib.h>
#include <string.h>

#include "npz/utf8.h"

enum {
    MOST_STEPS = 100000,
    MOST_BYTES = 10000,
    MOST_DEPTH = 500,
    MOST_REPEATS = 1000,
    LAST_CODE = 0x10ffff
};

struct range {
    uint32_t low, high;
};

struct set {
    struct range *ranges;
    int n;
    bool negated;
};

enum kind {
    EMPTY,
    SET,
    BEGIN,
    END,
    LINE_BEGIN,
    LINE_END,
    WORD_EDGE,
    NO_WORD_EDGE,
    BOTH,
    EITHER,
    REPEAT
};

struct expression {
    enum kind kind;
    struct set set;
    struct expression *a, *b; /* BOTH: a then b; EITHER; REPEAT: a */
    int least, most;          /* REPEAT; most -1: no limit */
};

enum flags { FOLD = 1, DOT_ALL = 2, MULTI_LINE = 4 };

struct parser {
    struct arena *a;
    const char *start, *p;
    unsigned flags;
    int depth;
    struct err *e;
};

static enum status parse_either(struct parser *ps, struct expression **out);

static enum status bad(struct parser *ps, const char *what) {
    return err_set(ps->e, STATUS_CORRUPT, "the pattern '%.80s' is not one of RE2: %s at offset %d",
                   ps->start, what, (int)(ps->p - ps->start));
}

static struct expression *expression(struct parser *ps, enum kind kind) {
    struct expression *x = NEW(ps->a, struct expression);
    x->kind = kind;
    return x;
}

static void add(struct parser *ps, struct set *s, uint32_t low, uint32_t high) {
    PUSH(ps->a, s->ranges, s->n, ((struct range) { low, high }));
}

/* Both cases of the letters in a range; k and s have a third form. */
static void add_folded(struct parser *ps, struct set *s, uint32_t low, uint32_t high) {
    add(ps, s, low, high);
    if (!(ps->flags & FOLD))
        return;
    for (uint32_t c = 'a'; c <= 'z'; c++) {
        bool lower = c >= low && c <= high, upper = c - 32 >= low && c - 32 <= high;
        if (lower)
            add(ps, s, c - 32, c - 32);
        if (upper)
            add(ps, s, c, c);
        if ((lower || upper) && (c == 'k' || c == 's'))
            add(ps, s, c == 'k' ? 0x212a : 0x17f, c == 'k' ? 0x212a : 0x17f);
    }
}

static const struct {
    const char *name, *ranges; /* pairs of first and last */
} classes[] = {
    { "d", "09" },           { "w", "09AZaz__" },
    { "s", "\t\n\f\r  " },   { "alnum", "09AZaz" },
    { "alpha", "AZaz" },     { "blank", "\t\t  " },
    { "digit", "09" },       { "graph", "!~" },
    { "lower", "az" },       { "print", " ~" },
    { "punct", "!/:@[`{~" }, { "space", "\t\r  " },
    { "upper", "AZ" },       { "word", "09AZaz__" },
    { "xdigit", "09AFaf" },  { "cntrl", "\x01\x1f\x7f\x7f" },
};

/* Adds a named class or its complement; false when there is none of that name. */
static bool add_class(struct parser *ps, struct set *s, const char *name, size_t length,
                      bool negated) {
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strlen(classes[i].name) != length || memcmp(classes[i].name, name, length) != 0)
            continue;
        uint32_t next = 0;
        for (const char *r = classes[i].ranges; *r; r += 2) {
            uint32_t low = (unsigned char)r[0], high = (unsigned char)r[1];
            if (!negated)
                add_folded(ps, s, low, high);
            else if (low > next)
                add(ps, s, next, low - 1);
            next = high + 1;
        }
        if (negated)
            add(ps, s, next, LAST_CODE);
        return true;
    }
    return false;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static enum status parse_hex(struct parser *ps, uint32_t *code) {
    bool braces = *ps->p == '{';
    int digits = 0;
    *code = 0;
    ps->p += braces;
    while (hex_digit(*ps->p) >= 0 && (braces || digits < 2) && *code <= LAST_CODE) {
        *code = *code * 16 + (uint32_t)hex_digit(*ps->p++);
        digits++;
    }
    if (!digits || (!braces && digits != 2) || (braces && *ps->p != '}') || *code > LAST_CODE)
        return bad(ps, "a wrong hexadecimal number");
    ps->p += braces;
    return OK;
}

/* A code point after a backslash. */
static enum status parse_escaped(struct parser *ps, uint32_t *code) {
    static const char letters[] = "afnrtv", values[] = "\a\f\n\r\t\v";
    char c = *ps->p;
    const char *at = c ? strchr(letters, c) : NULL;
    if (!c)
        return bad(ps, "a backslash at the end");
    if (c == 'p' || c == 'P' || c == 'C')
        return err_set(ps->e, STATUS_UNSUPPORTED, "\\%c in the pattern '%.80s'", c, ps->start);
    if (c == 'x') {
        ps->p++;
        return parse_hex(ps, code);
    }
    if (c == '0' || (c >= '1' && c <= '7' && ps->p[1] >= '0' && ps->p[1] <= '7')) {
        *code = 0;
        for (int i = 0; i < 3 && *ps->p >= '0' && *ps->p <= '7'; i++)
            *code = *code * 8 + (uint32_t)(*ps->p++ - '0');
        return OK;
    }
    if (at) {
        *code = (unsigned char)values[at - letters];
        ps->p++;
        return OK;
    }
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return bad(ps, "an unknown escape");
    *code = utf8_next(&ps->p);
    return OK;
}

/* A member of [...]: a class (then *is_class) or a code point. */
static enum status parse_member(struct parser *ps, struct set *s, uint32_t *code, bool *is_class) {
    *is_class = true;
    if (ps->p[0] == '[' && ps->p[1] == ':') {
        bool negated = ps->p[2] == '^';
        const char *name = ps->p + 2 + negated, *end = strstr(name, ":]");
        if (!end || !add_class(ps, s, name, (size_t)(end - name), negated))
            return bad(ps, "an unknown class");
        ps->p = end + 2;
        return OK;
    }
    if (ps->p[0] == '\\' && ps->p[1] && strchr("dwsDWS", ps->p[1])) {
        char name = (char)(ps->p[1] | 32);
        add_class(ps, s, &name, 1, ps->p[1] != name);
        ps->p += 2;
        return OK;
    }
    *is_class = false;
    if (*ps->p == '\\') {
        ps->p++;
        return parse_escaped(ps, code);
    }
    *code = utf8_next(&ps->p);
    return OK;
}

/* After the opening bracket. */
static enum status parse_set(struct parser *ps, struct set *s) {
    s->negated = *ps->p == '^';
    ps->p += s->negated;
    for (bool first = true; *ps->p != ']' || first; first = false) {
        uint32_t low, high;
        bool is_class;
        if (!*ps->p)
            return bad(ps, "a bracket without end");
        TRY(parse_member(ps, s, &low, &is_class));
        if (is_class)
            continue;
        high = low;
        if (ps->p[0] == '-' && ps->p[1] && ps->p[1] != ']') {
            ps->p++;
            TRY(parse_member(ps, s, &high, &is_class));
            if (is_class || high < low)
                return bad(ps, "a wrong range");
        }
        add_folded(ps, s, low, high);
    }
    ps->p++;
    return OK;
}

static enum status parse_flags(struct parser *ps) {
    bool off = false;
    for (; *ps->p && *ps->p != ':' && *ps->p != ')'; ps->p++) {
        unsigned flag = *ps->p == 'i'   ? FOLD
                        : *ps->p == 's' ? DOT_ALL
                        : *ps->p == 'm' ? MULTI_LINE
                                        : 0;
        if (*ps->p == '-' && !off)
            off = true;
        else if (!flag && *ps->p != 'U')
            return bad(ps, "an unknown flag");
        ps->flags = off ? ps->flags & ~flag : ps->flags | flag;
    }
    return OK;
}

/* After the opening parenthesis. */
static enum status parse_group(struct parser *ps, struct expression **out) {
    unsigned saved = ps->flags;
    if (++ps->depth > MOST_DEPTH)
        return err_set(ps->e, STATUS_UNSUPPORTED, "a pattern nested more than %d deep", MOST_DEPTH);
    if (ps->p[0] == '?') {
        bool named = ps->p[1] == 'P' ? ps->p[2] == '<'
                                     : ps->p[1] == '<' && ps->p[2] != '=' && ps->p[2] != '!';
        if (named) {
            const char *end = strchr(ps->p, '>');
            if (!end)
                return bad(ps, "a name without end");
            ps->p = end + 1;
        } else {
            ps->p++;
            TRY(parse_flags(ps));
            if (*ps->p == ')') { /* flags for the rest of the enclosing group */
                ps->p++;
                ps->depth--;
                *out = expression(ps, EMPTY);
                return OK;
            }
            if (*ps->p++ != ':')
                return bad(ps, "a group without end");
        }
    }
    TRY(parse_either(ps, out));
    if (*ps->p != ')')
        return bad(ps, "a group without end");
    ps->p++;
    ps->depth--;
    ps->flags = saved;
    return OK;
}

static enum status parse_quoted(struct parser *ps, struct expression **out) {
    const char *end = strstr(ps->p, "\\E");
    *out = expression(ps, EMPTY);
    while (*ps->p && ps->p != end) {
        struct expression *x = expression(ps, SET), *both = expression(ps, BOTH);
        uint32_t code = utf8_next(&ps->p);
        add_folded(ps, &x->set, code, code);
        both->a = *out;
        both->b = x;
        *out = both;
    }
    if (end)
        ps->p += 2;
    return OK;
}

static enum status parse_backslash(struct parser *ps, struct expression **out) {
    static const struct {
        char letter;
        enum kind kind;
    } anchors[] = { { 'A', BEGIN }, { 'z', END }, { 'b', WORD_EDGE }, { 'B', NO_WORD_EDGE } };
    for (size_t i = 0; i < sizeof anchors / sizeof *anchors; i++)
        if (*ps->p == anchors[i].letter) {
            ps->p++;
            *out = expression(ps, anchors[i].kind);
            return OK;
        }
    if (*ps->p == 'Q') {
        ps->p++;
        return parse_quoted(ps, out);
    }
    *out = expression(ps, SET);
    if (*ps->p && strchr("dwsDWS", *ps->p)) {
        char name = (char)(*ps->p | 32);
        add_class(ps, &(*out)->set, &name, 1, *ps->p != name);
        ps->p++;
        return OK;
    }
    uint32_t code;
    TRY(parse_escaped(ps, &code));
    add_folded(ps, &(*out)->set, code, code);
    return OK;
}

static enum status parse_atom(struct parser *ps, struct expression **out) {
    char c = *ps->p;
    if (strchr("*+?", c))
        return bad(ps, "a repetition of nothing");
    if (c == '(' || c == '\\') {
        ps->p++;
        return c == '(' ? parse_group(ps, out) : parse_backslash(ps, out);
    }
    if (c == '^' || c == '$') {
        ps->p++;
        *out = expression(ps, ps->flags & MULTI_LINE ? (c == '^' ? LINE_BEGIN : LINE_END)
                              : c == '^'             ? BEGIN
                                                     : END);
        return OK;
    }
    *out = expression(ps, SET);
    if (c == '[') {
        ps->p++;
        return parse_set(ps, &(*out)->set);
    }
    uint32_t code = utf8_next(&ps->p);
    if (c != '.') {
        add_folded(ps, &(*out)->set, code, code);
        return OK;
    }
    (*out)->set.negated = true; /* everything but a line's end, or nothing left out */
    if (!(ps->flags & DOT_ALL))
        add(ps, &(*out)->set, '\n', '\n');
    return OK;
}

/* "{3}", "{3,}", "{3,5}"; anything else in braces is literal. */
static bool parse_counts(struct parser *ps, int *least, int *most) {
    char *end;
    if (ps->p[1] < '0' || ps->p[1] > '9')
        return false;
    long a = strtol(ps->p + 1, &end, 10), b = a;
    if (*end == ',')
        b = end[1] == '}' ? -1 : strtol(end + 1, &end, 10);
    if (b == -1)
        end++;
    if (*end != '}' || a > MOST_REPEATS + 1 || b > MOST_REPEATS + 1)
        return false;
    *least = (int)a;
    *most = (int)b;
    ps->p = end + 1;
    return true;
}

static enum status parse_repeat(struct parser *ps, struct expression **out) {
    TRY(parse_atom(ps, out));
    bool repeated = false;
    for (;;) {
        int least, most;
        char c = *ps->p;
        if (c == '*' || c == '+' || c == '?') {
            least = c == '+';
            most = c == '?' ? 1 : -1;
            ps->p++;
        } else if (c != '{' || !parse_counts(ps, &least, &most)) {
            return OK;
        }
        if (repeated || least > MOST_REPEATS || most > MOST_REPEATS || (most >= 0 && most < least))
            return bad(ps, "a wrong repetition");
        repeated = true;
        ps->p += *ps->p == '?'; /* the shortest match is a match as well */
        struct expression *x = expression(ps, REPEAT);
        x->a = *out;
        x->least = least;
        x->most = most;
        *out = x;
    }
}

static enum status parse_both(struct parser *ps, struct expression **out) {
    *out = expression(ps, EMPTY);
    while (*ps->p && *ps->p != '|' && *ps->p != ')') {
        struct expression *both = expression(ps, BOTH);
        both->a = *out;
        TRY(parse_repeat(ps, &both->b));
        *out = both;
    }
    return OK;
}

static enum status parse_either(struct parser *ps, struct expression **out) {
    TRY(parse_both(ps, out));
    while (*ps->p == '|') {
        struct expression *either = expression(ps, EITHER);
        ps->p++;
        either->a = *out;
        TRY(parse_both(ps, &either->b));
        *out = either;
    }
    return OK;
}

/* The machine: SET goes on to the next step on a code point of the set; SPLIT to `to` and `other`.
 */
enum { SPLIT = REPEAT + 1, MATCH };

struct machine_step {
    int kind, to, other;
    const struct set *set;
};

struct regex {
    struct arena *a;
    struct machine_step *steps;
    int n;
    int *now, *next, *stack;
    int *mark; /* the round in which a step was entered */
};

static enum status emit(struct regex *r, const struct expression *x, struct err *e);

static enum status put(struct regex *r, int kind, const struct set *set, struct err *e) {
    FAIL_IF(r->n >= MOST_STEPS, e, STATUS_UNSUPPORTED, "a pattern of more than %d steps",
            MOST_STEPS);
    struct machine_step s = { kind, r->n + 1, r->n + 1, set };
    PUSH(r->a, r->steps, r->n, s);
    return OK;
}

static enum status emit_repeat(struct regex *r, const struct expression *x, struct err *e) {
    for (int i = 0, before = -1; i < x->least && r->n != before;
         i++) { /* what emits nothing is emitted once */
        before = r->n;
        TRY(emit(r, x->a, e));
    }
    if (x->most < 0) {
        int loop = r->n;
        TRY(put(r, SPLIT, NULL, e));
        TRY(emit(r, x->a, e));
        TRY(put(r, SPLIT, NULL, e));
        r->steps[r->n - 1].to = r->steps[r->n - 1].other = loop;
        r->steps[loop].other = r->n;
        return OK;
    }
    for (int i = x->least; i < x->most; i++) {
        int skip = r->n;
        TRY(put(r, SPLIT, NULL, e));
        TRY(emit(r, x->a, e));
        r->steps[skip].other = r->n;
    }
    return OK;
}

static enum status emit(struct regex *r, const struct expression *x, struct err *e) {
    if (x->kind == EMPTY)
        return OK;
    if (x->kind == BOTH) {
        TRY(emit(r, x->a, e));
        return emit(r, x->b, e);
    }
    if (x->kind == REPEAT)
        return emit_repeat(r, x, e);
    if (x->kind != EITHER)
        return put(r, (int)x->kind, &x->set, e);
    int fork = r->n;
    TRY(put(r, SPLIT, NULL, e));
    TRY(emit(r, x->a, e));
    int jump = r->n;
    TRY(put(r, SPLIT, NULL, e));
    r->steps[fork].other = r->n;
    TRY(emit(r, x->b, e));
    r->steps[jump].to = r->steps[jump].other = r->n;
    return OK;
}

enum status regex_compile(struct regex **out, const char *pattern, struct arena *a, struct err *e) {
    struct parser ps = { .a = a, .start = pattern, .p = pattern, .e = e };
    struct expression *x;
    FAIL_IF(strlen(pattern) > MOST_BYTES, e, STATUS_UNSUPPORTED, "a pattern of more than %d bytes",
            MOST_BYTES);
    TRY(parse_either(&ps, &x));
    if (*ps.p)
        return bad(&ps, "a closing parenthesis too many");
    struct regex *r = NEW(a, struct regex);
    r->a = a;
    TRY(emit(r, x, e));
    TRY(put(r, MATCH, NULL, e));
    r->now = NEW_ARRAY(a, r->n, int);
    r->next = NEW_ARRAY(a, r->n, int);
    r->stack = NEW_ARRAY(a, 2 * r->n + 2, int);
    r->mark = NEW_ARRAY(a, r->n, int);
    *out = r;
    return OK;
}

static bool is_word(uint32_t c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

/* Whether an anchor holds between two code points (0: the text's end). */
static bool holds(int kind, uint32_t before, uint32_t after, bool first) {
    switch (kind) {
    case BEGIN:
        return first;
    case END:
        return !after;
    case LINE_BEGIN:
        return first || before == '\n';
    case LINE_END:
        return !after || after == '\n';
    case WORD_EDGE:
        return is_word(before) != is_word(after);
    default:
        return is_word(before) == is_word(after);
    }
}

static bool contains(const struct set *s, uint32_t c) {
    for (int i = 0; i < s->n; i++)
        if (c >= s->ranges[i].low && c <= s->ranges[i].high)
            return !s->negated;
    return s->negated;
}

/* Adds the steps that can be reached from `from` without reading. */
static void enter(struct regex *r, int from, int round, uint32_t before, uint32_t after, int *list,
                  int *n) {
    int depth = 0;
    r->stack[depth++] = from;
    while (depth) {
        int i = r->stack[--depth];
        if (r->mark[i] == round)
            continue;
        r->mark[i] = round;
        const struct machine_step *s = &r->steps[i];
        if (s->kind == SPLIT) {
            r->stack[depth++] = s->other;
            r->stack[depth++] = s->to;
        } else if (s->kind == SET || s->kind == MATCH) {
            list[(*n)++] = i;
        } else if (holds(s->kind, before, after, round == 1)) {
            r->stack[depth++] = s->to;
        }
    }
}

bool regex_full_match(struct regex *r, const char *text) {
    int n = 0, round = 1;
    const char *ahead = text;
    uint32_t before = 0, code = utf8_next(&ahead);
    memset(r->mark, 0, (size_t)r->n * sizeof *r->mark);
    enter(r, 0, round, 0, code, r->now, &n);
    while (n && code) {
        before = code;
        code = utf8_next(&ahead);
        int n_next = 0;
        round++;
        for (int i = 0; i < n; i++) {
            const struct machine_step *s = &r->steps[r->now[i]];
            if (s->kind == SET && contains(s->set, before))
                enter(r, s->to, round, before, code, r->next, &n_next);
        }
        int *swap = r->now;
        r->now = r->next;
        r->next = swap;
        n = n_next;
    }
    for (int i = 0; i < n && !code; i++)
        if (r->steps[r->now[i]].kind == MATCH)
            return true;
    return false;
}
