#define _XOPEN_SOURCE 700
/* The program: finds the verb, parses its options, runs it, and sees to it that what was printed
 * was written. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "cli/verb.h"

static void out_of_memory(size_t size) {
    fprintf(stderr, "calque: out of memory (%zu bytes asked for)\n", size);
    exit(EXIT_INCONCLUSIVE);
}

/* The last resort of --timeout: verbs watch the time themselves, a single long node may not. */
static void timed_out(int signal_number) {
    (void)signal_number;
    static const char text[] = "calque: the time given by --timeout is over\n";
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    _exit(written < 0 ? EXIT_DEFECT : EXIT_INCONCLUSIVE);
}

static void start_timer(double seconds) {
    signal(SIGALRM, timed_out);
    double whole = floor(seconds);
    struct itimerval t = { .it_value = { .tv_sec = (time_t)fmin(whole, 1e9),
                                         .tv_usec = (suseconds_t)((seconds - whole) * 1e6) } };
    if (t.it_value.tv_sec == 0 && t.it_value.tv_usec == 0)
        t.it_value.tv_usec = 1;
    setitimer(ITIMER_REAL, &t, NULL);
}

static bool plain_word(const char *s) {
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,=+@%";
    return *s && strspn(s, plain) == strlen(s);
}

/* The command line as a shell would need it. */
static const char *quoted(struct arena *a, int argc, char **argv) {
    struct strbuf b;
    strbuf_init(&b, a);
    strbuf_add(&b, "calque");
    for (int i = 1; i < argc; i++) {
        strbuf_add(&b, " ");
        if (plain_word(argv[i])) {
            strbuf_add(&b, argv[i]);
            continue;
        }
        strbuf_add(&b, "'");
        for (const char *p = argv[i]; *p; p++) {
            if (*p == '\'')
                strbuf_add(&b, "'\\''");
            else
                strbuf_addn(&b, p, 1);
        }
        strbuf_add(&b, "'");
    }
    return b.p;
}

static int unknown_verb(const char *word, struct arena *a) {
    static const char *const later[] = { "convert", "evaluate", "fuzz" };
    struct err e = { 0 };
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        if (strcmp(word, later[i]) == 0) {
            err_set(&e, STATUS_UNSUPPORTED, "%s: not in calque %s; see calque help", word,
                    CALQUE_VERSION);
            return say_failure(&e);
        }
    const char *names[16];
    int n = 0;
    for (const struct verb *v = verbs; v->name && n < 16; v++)
        names[n++] = v->name;
    const char *near = nearest(word, names, n);
    const char *advice = near ? arena_printf(a, "did you mean %s?", near) : "see calque help";
    err_set(&e, STATUS_USAGE, "%s: no such %s; %s", word, *word == '-' ? "option" : "verb", advice);
    return say_failure(&e);
}

static int run_verb(struct args *a, int n, char **words) {
    struct err e = { 0 };
    if (args_parse(a, n, words, &e) != OK)
        return say_failure(&e);
    if (a->help) {
        struct strbuf b;
        strbuf_init(&b, a->arena);
        help_verb(&b, a->verb);
        fputs(b.p, stdout);
        return EXIT_SAME;
    }
    if (a->timeout > 0)
        start_timer(a->timeout);
    return a->verb->run(a);
}

static int program(struct arena *arena, int argc, char **argv) {
    struct strbuf b;
    strbuf_init(&b, arena);
    if (argc < 2) {
        help_program(&b);
        fputs(b.p, stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0) {
        puts("calque " CALQUE_VERSION);
        return EXIT_SAME;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        word = "help";
    const struct verb *v = verb_find(word);
    if (!v)
        return unknown_verb(word, arena);
    struct args a = { .arena = arena, .verb = v, .repeat = quoted(arena, argc, argv) };
    return run_verb(&a, argc - 2, argv + 2);
}

int main(int argc, char **argv) {
    elapsed();
    arena_exhausted = out_of_memory;
    struct arena *arena = arena_new();
    int code = program(arena, argc, argv);
    arena_free(arena);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs("calque: standard output cannot be written\n", stderr);
        return EXIT_UNREADABLE;
    }
    return code;
}
