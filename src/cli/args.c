#define _POSIX_C_SOURCE 200809L
/* Parsing of the command line. */
#include "cli/args.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct verb *verb_find(const char *name) {
    for (const struct verb *v = verbs; v->name; v++)
        if (strcmp(v->name, name) == 0)
            return v;
    return NULL;
}

int exit_of(enum status s) {
    switch (s) {
    case OK:
        return EXIT_SAME;
    case STATUS_USAGE:
        return EXIT_USAGE;
    case STATUS_UNSUPPORTED:
    case STATUS_MISMATCH:
        return EXIT_INCONCLUSIVE;
    case STATUS_IO:
    case STATUS_CORRUPT:
        return EXIT_UNREADABLE;
    case STATUS_BUG:
        break;
    }
    return EXIT_DEFECT;
}

static bool whole_number(const char *text, int64_t least, int64_t most, int64_t *out) {
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || v < least || v > most)
        return false;
    *out = v;
    return true;
}

static bool real_number(const char *text, double *out) {
    char *end;
    *out = strtod(text, &end);
    return end != text && !*end && isfinite(*out) && *out >= 0;
}

static bool one_of(const char *word, const char *choices) {
    size_t n = strlen(word);
    for (const char *p = choices; p && *p;) {
        size_t length = strcspn(p, "|");
        if (length == n && strncmp(p, word, n) == 0)
            return true;
        p += length + (p[length] == '|');
    }
    return false;
}

/* Names may hold colons ("serving_default_x:0"): the last one separates. */
static enum status parse_shape(struct args *a, const char *option, const char *text,
                               struct err *e) {
    const char *colon = strrchr(text, ':');
    FAIL_IF(!colon || colon == text, e, STATUS_USAGE,
            "%s %s: expected NAME:DIMS, as in image:1,3,224,224", option, text);
    struct shape_binding s = { .name = arena_strn(a->arena, text, (size_t)(colon - text)) };
    for (const char *p = colon + 1; *p;) {
        char *end;
        errno = 0;
        long long dim = strtoll(p, &end, 10);
        FAIL_IF(end == p || errno || dim < 0 || (*end && *end != ',') || (*end == ',' && !end[1]),
                e, STATUS_USAGE, "%s %s: '%s' is no list of dimensions", option, text, colon + 1);
        FAIL_IF(s.rank == MAX_RANK, e, STATUS_USAGE, "%s %s: more than %d dimensions", option, text,
                MAX_RANK);
        s.dim[s.rank++] = dim;
        p = *end ? end + 1 : end;
    }
    PUSH(a->arena, a->shapes, a->n_shapes, s);
    return OK;
}

static enum status parse_tolerance(struct args *a, const char *option, bool relative,
                                   const char *text, struct err *e) {
    const char *colon = strrchr(text, ':');
    double x;
    FAIL_IF(!real_number(colon ? colon + 1 : text, &x) || colon == text, e, STATUS_USAGE,
            "%s %s: expected a number or NAME:NUMBER", option, text);
    struct tolerance t = { .name =
                               colon ? arena_strn(a->arena, text, (size_t)(colon - text)) : NULL,
                           .atol = relative ? -1 : x,
                           .rtol = relative ? x : -1 };
    for (int i = 0; i < a->n_tolerances; i++) {
        struct tolerance *known = &a->tolerances[i];
        bool same =
            t.name && known->name ? strcmp(t.name, known->name) == 0 : t.name == known->name;
        if (!same)
            continue;
        *(relative ? &known->rtol : &known->atol) = x;
        return OK;
    }
    PUSH(a->arena, a->tolerances, a->n_tolerances, t);
    return OK;
}

static enum status parse_map(struct args *a, const char *option, const char *text, struct err *e) {
    const char *sign = strchr(text, '=');
    FAIL_IF(!sign || sign == text || !sign[1], e, STATUS_USAGE, "%s %s: expected SOURCE=TARGET",
            option, text);
    struct map_hint hint = { arena_strn(a->arena, text, (size_t)(sign - text)),
                             arena_str(a->arena, sign + 1) };
    PUSH(a->arena, a->map, a->n_map, hint);
    return OK;
}

static enum status take(struct args *a, const struct option_row *row, const char *option,
                        const char *text, struct err *e) {
    void *field = (char *)a + row->field;
    switch (row->kind) {
    case TAKES_NOTHING:
        *(bool *)field = true;
        return OK;
    case TAKES_TEXT:
        FAIL_IF(*(const char **)field, e, STATUS_USAGE, "%s is given twice", option);
        FAIL_IF(!*text, e, STATUS_USAGE, "%s: the name is empty", option);
        *(const char **)field = text;
        return OK;
    case TAKES_CHOICE:
        FAIL_IF(!one_of(text, row->argument), e, STATUS_USAGE, "%s %s: expected one of %s", option,
                text, row->argument);
        *(const char **)field = text;
        return OK;
    case TAKES_WHOLE:
        FAIL_IF(!whole_number(text, 1, 1 << 20, field), e, STATUS_USAGE,
                "%s %s: expected a whole number from 1 to %d", option, text, 1 << 20);
        if (field == (void *)&a->samples)
            a->samples_given = true;
        return OK;
    case TAKES_SEED: {
        char *end;
        errno = 0;
        *(uint64_t *)field = strtoull(text, &end, 10);
        FAIL_IF(end == text || *end || errno || *text == '-', e, STATUS_USAGE,
                "%s %s: expected a whole number from 0 to 2^64 - 1", option, text);
        return OK;
    }
    case TAKES_SECONDS:
        FAIL_IF(!real_number(text, field) || *(double *)field <= 0, e, STATUS_USAGE,
                "%s %s: expected a number of seconds above 0", option, text);
        return OK;
    case TAKES_LIST: {
        struct text_list *list = field;
        PUSH(a->arena, list->items, list->n, text);
        return OK;
    }
    case TAKES_SHAPE:
        return parse_shape(a, option, text, e);
    case TAKES_TOLERANCE:
        return parse_tolerance(a, option, row->field == 1, text, e);
    case TAKES_MAP:
        return parse_map(a, option, text, e);
    }
    return OK;
}

static const struct option_row *find_option(const char *word, size_t length) {
    for (const struct option_row *row = option_rows; row->help; row++) {
        if (row->name && strlen(row->name) == length && strncmp(row->name, word, length) == 0)
            return row;
        if (row->letter && strlen(row->letter) == length && strncmp(row->letter, word, length) == 0)
            return row;
    }
    return NULL;
}

static enum status unknown_option(const struct verb *v, const char *word, size_t length,
                                  struct arena *a, struct err *e) {
    const char *names[64];
    int n = 0;
    for (const struct option_row *row = option_rows; row->help; row++)
        if (row->verbs & v->bit && row->name && n < 64)
            names[n++] = row->name;
    const char *typed = arena_strn(a, word, length);
    const char *near = length > 2 ? nearest(typed, names, n) : NULL;
    FAIL_IF(near, e, STATUS_USAGE, "%s: unknown option; did you mean %s?", typed, near);
    return err_set(e, STATUS_USAGE, "%s: unknown option; see calque %s --help", typed, v->name);
}

static enum status parse_option(struct args *a, int n, char **words, int *at, struct err *e) {
    const char *word = words[*at];
    const char *sign = strchr(word, '=');
    bool is_long = word[1] == '-';
    size_t length = is_long && sign ? (size_t)(sign - word) : strlen(word);
    const struct option_row *row = find_option(word, length);
    const char *text = is_long && sign ? sign + 1 : NULL;
    if (!row && !is_long && length > 2) { /* -oFILE */
        row = find_option(word, 2);
        if (row && row->kind != TAKES_NOTHING)
            text = word + 2;
        else
            row = NULL;
    }
    if (!row)
        return unknown_option(a->verb, word, length, a->arena, e);
    const char *option = row->name ? row->name : row->letter;
    FAIL_IF(!(row->verbs & a->verb->bit), e, STATUS_USAGE,
            "%s: not an option of %s; see calque %s --help", option, a->verb->name, a->verb->name);
    if (row->kind == TAKES_NOTHING) {
        FAIL_IF(text, e, STATUS_USAGE, "%s takes no argument", option);
    } else if (!text) {
        FAIL_IF(*at + 1 >= n, e, STATUS_USAGE, "%s: %s is missing", option, row->argument);
        text = words[++*at];
    }
    return take(a, row, option, text, e);
}

static enum status check(struct args *a, struct err *e) {
    const struct verb *v = a->verb;
    FAIL_IF(a->quiet && a->verbose, e, STATUS_USAGE, "--quiet and --verbose contradict each other");
    FAIL_IF(a->inputs && a->samples_given, e, STATUS_USAGE,
            "--inputs and --samples contradict each other: --samples counts made inputs");
    FAIL_IF(a->out && a->save_outputs, e, STATUS_USAGE,
            "-o and --save-outputs contradict each other: both name the file for the outputs");
    if (v->bit == VERB_INSPECT && a->operators) {
        FAIL_IF(a->files.n > 0, e, STATUS_USAGE, "--operators takes no MODEL");
        return OK;
    }
    FAIL_IF(a->files.n < v->min_files, e, STATUS_USAGE, "%s needs %s; see calque %s --help",
            v->name, v->operands, v->name);
    FAIL_IF(a->files.n > v->max_files, e, STATUS_USAGE, "%s: one argument too many; %s takes %s",
            a->files.items[v->max_files], v->name, v->operands);
    FAIL_IF(v->bit == VERB_REPAIR && !a->out, e, STATUS_USAGE,
            "repair needs -o FIXED: where to write the corrected model");
    return OK;
}

enum status args_parse(struct args *a, int n, char **words, struct err *e) {
    a->samples = a->verb->bit == VERB_RUN ? 1 : 8;
    bool only_files = false;
    for (int i = 0; i < n; i++) {
        if (!only_files && strcmp(words[i], "--") == 0) {
            only_files = true;
        } else if (only_files || words[i][0] != '-' || !words[i][1]) {
            PUSH(a->arena, a->files.items, a->files.n, words[i]);
        } else {
            TRY(parse_option(a, n, words, &i, e));
        }
    }
    if (a->help)
        return OK;
    TRY(check(a, e));
    a->json = a->format && strcmp(a->format, "json") == 0;
    const char *color = a->color ? a->color : "auto";
    const char *no_color = getenv("NO_COLOR");
    a->colour = strcmp(color, "always") == 0 ||
                (strcmp(color, "auto") == 0 && isatty(STDOUT_FILENO) && !(no_color && *no_color));
    return OK;
}
