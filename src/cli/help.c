/* Help and manual pages, made from the tables of verbs and options. */
#include <stdio.h>
#include <string.h>

#include "cli/verb.h"

static const char exit_codes[][2][80] = {
    { "0", "same function (proved or tested), or the work was done" },
    { "1", "different; or a repair whose proof failed" },
    { "2", "usage: an unknown option, a missing argument" },
    { "3", "inconclusive: something could not be run or matched" },
    { "4", "a file cannot be read: missing, truncated, corrupt, of an unknown format" },
    { "70", "a defect of calque itself" },
};

/* Adds text broken into lines of at most 79 columns, each after `indent` blanks; the first line
 * starts at column `at`. */
static void add_wrapped(struct strbuf *b, const char *text, int indent, int at) {
    while (*text) {
        size_t n = strcspn(text, " ");
        if (at > indent && at + 1 + (int)n > 79) {
            strbuf_printf(b, "\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            strbuf_add(b, " ");
            at++;
        }
        strbuf_addn(b, text, n);
        at += (int)n;
        text += n;
        while (*text == ' ')
            text++;
    }
    strbuf_add(b, "\n");
}

void help_program(struct strbuf *b) {
    strbuf_add(b, "calque: is a converted model the same function as its source?\n\n");
    for (const struct verb *v = verbs; v->name; v++)
        strbuf_printf(b, "  calque %-8s %-23s %s\n", v->name, v->operands, v->summary);
    strbuf_add(b, "\ncalque VERB --help tells a verb's options; calque --version the version.\n"
                  "Exit codes: 0 same, 1 different, 2 usage, 3 inconclusive, 4 unreadable file.\n");
}

static void option_names(const struct option_row *row, char *out, size_t size) {
    snprintf(out, size, "%s%s%s%s%s", row->letter ? row->letter : "",
             row->letter && row->name ? ", " : "", row->name ? row->name : "",
             row->argument ? " " : "", row->argument ? row->argument : "");
}

void help_verb(struct strbuf *b, const struct verb *v) {
    strbuf_printf(b, "calque %s %s: %s\n\n", v->name, v->operands, v->summary);
    add_wrapped(b, v->text, 0, 0);
    strbuf_add(b, "\nOptions:\n");
    for (const struct option_row *row = option_rows; row->help; row++) {
        if (!(row->verbs & v->bit))
            continue;
        char names[80];
        option_names(row, names, sizeof names);
        strbuf_printf(b, "  %-30s", names);
        if (strlen(names) > 29)
            strbuf_printf(b, "\n%32s", "");
        add_wrapped(b, row->help, 32, 32);
    }
}

/* Text for roff: hyphens and backslashes escaped, no line starts with a dot. */
static void add_roff(struct strbuf *b, const char *text) {
    if (*text == '.' || *text == '\'')
        strbuf_add(b, "\\&");
    for (const char *p = text; *p; p++) {
        if (*p == '-')
            strbuf_add(b, "\\-");
        else if (*p == '\\')
            strbuf_add(b, "\\e");
        else
            strbuf_addn(b, p, 1);
    }
}

static void add_roff_options(struct strbuf *b, const struct verb *v) {
    strbuf_add(b, ".SH OPTIONS\n");
    for (const struct option_row *row = option_rows; row->help; row++) {
        if (!(row->verbs & v->bit))
            continue;
        char names[80];
        option_names(row, names, sizeof names);
        strbuf_add(b, ".TP\n.B ");
        add_roff(b, names);
        strbuf_add(b, "\n");
        add_roff(b, row->help);
        strbuf_add(b, "\n");
    }
}

void manual_page(struct strbuf *b, const struct verb *v) {
    strbuf_add(b, ".TH CALQUE");
    for (const char *p = v ? v->name : ""; *p; p++)
        strbuf_printf(b, "%s%c", p == v->name ? "-" : "", *p - 'a' + 'A');
    strbuf_printf(b, " 1 \"\" \"calque %s\"\n.SH NAME\ncalque%s%s \\- ", CALQUE_VERSION,
                  v ? "-" : "", v ? v->name : "");
    add_roff(b, v ? v->summary : "compare, locate and repair converted models");
    strbuf_add(b, "\n.SH SYNOPSIS\n.B calque ");
    add_roff(b, v ? v->name : "VERB");
    strbuf_add(b, "\n");
    add_roff(b, v ? v->operands : "[options] [files]");
    strbuf_add(b, v ? " [options]\n.SH DESCRIPTION\n" : "\n.SH DESCRIPTION\n");
    if (v) {
        add_roff(b, v->text);
        strbuf_add(b, "\n");
        add_roff_options(b, v);
    } else {
        strbuf_add(
            b,
            "calque reads models, runs them in float64, and says whether a conversion is the same "
            "function as its source, which node is wrong and why, and writes the repaired file.\n"
            ".SH VERBS\n");
        for (const struct verb *row = verbs; row->name; row++) {
            strbuf_printf(b, ".TP\n.B %s ", row->name);
            add_roff(b, row->operands);
            strbuf_add(b, "\n");
            add_roff(b, row->summary);
            strbuf_add(b, "\n");
        }
    }
    strbuf_add(b, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < sizeof exit_codes / sizeof *exit_codes; i++) {
        strbuf_printf(b, ".TP\n.B %s\n", exit_codes[i][0]);
        add_roff(b, exit_codes[i][1]);
        strbuf_add(b, "\n");
    }
    strbuf_add(b, ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nwhen set and not empty, no colour is used\n");
}

int verb_help_run(struct args *a) {
    struct strbuf b;
    strbuf_init(&b, a->arena);
    const struct verb *v = NULL;
    if (a->files.n && strcmp(a->files.items[0], "calque") != 0) {
        v = verb_find(a->files.items[0]);
        if (!v) {
            struct err e = { 0 };
            err_set(&e, STATUS_USAGE, "%s: no such verb; see calque help", a->files.items[0]);
            return say_failure(&e);
        }
    }
    if (a->manual)
        manual_page(&b, v);
    else if (v)
        help_verb(&b, v);
    else
        help_program(&b);
    return give_report(a, b.p, true, EXIT_SAME);
}
