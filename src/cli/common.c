#define _POSIX_C_SOURCE 200809L
/* What the verbs share: opening models, giving reports, saying failures. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mapfile.h"
#include "cli/verb.h"
#include "formats/format.h"

double elapsed(void) {
    static struct timespec start;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (start.tv_sec == 0 && start.tv_nsec == 0)
        start = now;
    return (double)(now.tv_sec - start.tv_sec) + 1e-9 * (double)(now.tv_nsec - start.tv_nsec);
}

int say_failure(const struct err *e) {
    progress_end();
    fflush(stdout);
    bool placed = e->where[0] != '\0';
    fprintf(stderr, "calque: %s%s%s\n", e->where, placed ? ": " : "", e->what);
    return exit_of(e->code);
}

/* The name in the folder of `path` that is most like it, or NULL. */
static const char *similar_file(struct arena *a, const char *path) {
    const char *slash = strrchr(path, '/');
    const char *folder = slash ? arena_strn(a, path, (size_t)(slash - path) + 1) : "./";
    const char *name = slash ? slash + 1 : path;
    DIR *d = opendir(folder);
    if (!d)
        return NULL;
    const char *names[512];
    int n = 0;
    for (struct dirent *entry; n < 512 && (entry = readdir(d));)
        if (entry->d_name[0] != '.')
            names[n++] = arena_str(a, entry->d_name);
    closedir(d);
    const char *near = nearest(name, names, n);
    if (!near || strcmp(near, name) == 0)
        return NULL;
    return slash ? arena_printf(a, "%s%s", folder, near) : near;
}

enum status open_model(struct args *a, const char *path, struct model **out, struct err *e) {
    enum status s = model_read(path, out, e);
    if (s != STATUS_IO || !e)
        return s;
    const char *near = similar_file(a->arena, path);
    size_t n = strlen(e->what);
    if (near && n < sizeof e->what - 1)
        snprintf(e->what + n, sizeof e->what - n, "; did you mean %s?", near);
    return s;
}

int give_report(struct args *a, const char *text, bool to_out, int code) {
    struct err e = { 0 };
    progress_end();
    if (to_out && a->out) {
        struct piece piece = { text, strlen(text) };
        if (file_write(a->out, &piece, 1, &e) != OK)
            return say_failure(&e);
        return code;
    }
    fputs(text, stdout);
    return code;
}

struct style style_of(const struct args *a) {
    return (struct style) { .colour = a->colour && !a->out,
                            .verbose = a->verbose,
                            .quiet = a->quiet,
                            .hash = a->hash,
                            .seconds = elapsed(),
                            .repeat = a->repeat };
}

enum precision precision_of(const struct args *a) {
    if (!a->precision || strcmp(a->precision, "f64") == 0)
        return PREC_F64;
    return strcmp(a->precision, "f32") == 0 ? PREC_F32 : PREC_NATIVE;
}

struct pool *pool_of(const struct args *a) {
    return pool_new((int)a->threads);
}
