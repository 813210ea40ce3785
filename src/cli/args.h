/* The command line: one table of verbs and one of options, from which parsing, help and the manual
 * pages are made. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "compare/result.h"

enum {
    VERB_INSPECT = 1,
    VERB_RUN = 2,
    VERB_COMPARE = 4,
    VERB_LOCATE = 8,
    VERB_REPAIR = 16,
    VERB_EXPLAIN = 32,
    VERB_HELP = 64,
    VERBS_OF_PAIRS = VERB_COMPARE | VERB_LOCATE | VERB_REPAIR,
    VERBS_ALL = 127,
};

enum exit_code {
    EXIT_SAME = 0,
    EXIT_DIFFERENT = 1,
    EXIT_USAGE = 2,
    EXIT_INCONCLUSIVE = 3,
    EXIT_UNREADABLE = 4,
    EXIT_DEFECT = 70,
};

/* The exit code that a failure ends with. */
int exit_of(enum status s);

struct text_list {
    const char **items;
    int n;
};

/* What the command line says, with the defaults filled in. */
struct args {
    struct arena *arena;
    const struct verb *verb;
    struct text_list files; /* positional arguments */
    const char *repeat;     /* the command line, quoted for a shell */

    const char *inputs, *out, *save_outputs;
    const char *format, *color, *precision;
    int64_t samples, threads;
    uint64_t seed;
    double timeout;
    bool samples_given, quiet, verbose, help, hash;
    struct shape_binding *shapes;
    int n_shapes;
    struct tolerance *tolerances;
    int n_tolerances;
    struct map_hint *map;
    int n_map;
    /* inspect and run */
    bool graph, weights, operators, all_values, profile, manual;
    struct text_list values;

    bool json;   /* --format json */
    bool colour; /* the text goes to a terminal that wants colour */
};

struct verb {
    const char *name;
    unsigned bit;
    const char *operands; /* "SOURCE TARGET" */
    int min_files, max_files;
    const char *summary; /* one line */
    const char *text;    /* a paragraph for help and the manual page */
    int (*run)(struct args *a);
};

/* All verbs; ends with a NULL name (verbs.c). */
extern const struct verb verbs[];
const struct verb *verb_find(const char *name);

/* Fills `a` from the words after the verb. STATUS_USAGE names the word and the nearest valid
 * spelling. */
enum status args_parse(struct args *a, int n, char **words, struct err *e);

/* The nearest of `candidates` to `word`, or NULL when none is near. */
const char *nearest(const char *word, const char *const *candidates, int n);

/* Help texts (help.c). */
void help_program(struct strbuf *b);
void help_verb(struct strbuf *b, const struct verb *v);
/* The manual page of a verb, or of the program when v is NULL, as roff. */
void manual_page(struct strbuf *b, const struct verb *v);

/* A row of the option table. */
enum option_kind {
    TAKES_NOTHING,
    TAKES_TEXT,
    TAKES_WHOLE,
    TAKES_SEED,
    TAKES_SECONDS,
    TAKES_CHOICE,
    TAKES_LIST,
    TAKES_SHAPE,
    TAKES_TOLERANCE,
    TAKES_MAP
};
struct option_row {
    const char *name;     /* "--inputs" */
    const char *letter;   /* "-o" or NULL */
    const char *argument; /* "FILE"; choices are separated by | */
    unsigned verbs;
    enum option_kind kind;
    size_t field; /* offset in struct args */
    const char *help;
};
extern const struct option_row option_rows[]; /* ends with a NULL name */

#endif
