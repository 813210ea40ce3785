#include "formats/onnx/onnx_write.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* --- the state before --- */

static void note_values(struct onnx_writer *w, const struct graph *g) {
    for (int i = 0; i < g->n_values; i++) {
        w->old_name[g->values[i]->id] = g->values[i]->name;
        w->old_constant[g->values[i]->id] = g->values[i]->constant;
    }
}

static void note_graph(struct graph *g, void *arg) {
    struct onnx_writer *w = arg;
    const struct onnx_graph_place *place = &w->notes->graphs[g->index];
    struct graph_before b = { .graph = g,
                              .span = place->span,
                              .is_function = place->function != NULL,
                              .function = place->function };
    b.n_nodes = g->n_nodes;
    b.nodes = arena_copy(w->a, g->nodes, (size_t)g->n_nodes * sizeof *g->nodes);
    b.copies = NEW_ARRAY(w->a, g->n_nodes + 1, struct node);
    b.inputs = arena_copy(w->a, g->inputs, (size_t)g->n_inputs * sizeof *g->inputs);
    b.outputs = arena_copy(w->a, g->outputs, (size_t)g->n_outputs * sizeof *g->outputs);
    for (int i = 0; i < g->n_nodes; i++) {
        b.copies[i] = *g->nodes[i];
        intmap_put(&w->known, (uint64_t)(size_t)g->nodes[i], (uint64_t)i);
    }
    note_values(w, g);
    PUSH(w->a, w->graphs, w->n_graphs, b);
}

static void note_alive(struct graph *g, void *arg) {
    struct onnx_writer *w = arg;
    for (int i = 0; i < g->n_nodes; i++)
        intmap_put(&w->alive, (uint64_t)(size_t)g->nodes[i], (uint64_t)i);
}

/* --- the changed file --- */

static enum status rewrite(struct onnx_writer *w) {
    model_each_graph(w->m, note_alive, w);
    for (int i = 0; i < w->n_graphs; i++)
        TRY(onnx_rewrite_graph(w, &w->graphs[i]));
    for (int i = w->n_graphs - 1; i >= 0; i--) { /* sub-graphs before the graphs that hold them */
        TRY(splice_finish(&w->s, w->e));
        TRY(onnx_rewrite_finish(w, &w->graphs[i]));
    }
    return splice_finish(&w->s, w->e);
}

static enum status apply_and_rewrite(struct onnx_writer *w, const struct patch *const *patches,
                                     int n) {
    enum status s = OK;
    int applied = 0;
    for (; s == OK && applied < n; applied += s == OK)
        s = patch_apply((struct patch *)(size_t)patches[applied], w->e);
    if (s == OK && n > 0)
        s = rewrite(w);
    while (applied > 0)
        patch_undo((struct patch *)(size_t)patches[--applied]);
    return s;
}

/* --- files --- */

static enum status refuse_inputs(const struct model *m, const char *path, struct err *e) {
    for (int i = 0; i < m->n_files; i++)
        FAIL_IF(file_same(path, m->files[i].path), e, STATUS_USAGE,
                "'%s' is a file of the model that is read; choose another name", path);
    return OK;
}

static enum status make_folders(struct arena *a, const char *path, struct err *e) {
    for (const char *s = strchr(path + 1, '/'); s; s = strchr(s + 1, '/')) {
        const char *folder = arena_strn(a, path, (size_t)(s - path));
        FAIL_IF(mkdir(folder, 0777) != 0 && errno != EEXIST, e, STATUS_IO,
                "cannot make the folder '%s': %s", folder, strerror(errno));
    }
    return OK;
}

/* External data is found beside the model, so a file written to another folder gets copies. One
 * that is there already with the same bytes is left alone, one with other bytes is refused. */
static enum status copy_external(struct onnx_writer *w, const struct onnx_external *x,
                                 const char *path) {
    const char *slash = strrchr(path, '/');
    const char *to =
        slash ? arena_printf(w->a, "%.*s/%s", (int)(slash - path), path, x->location) : x->location;
    struct mapfile there;
    struct err none;
    if (file_same(to, x->file.path))
        return OK;
    if (mapfile_open(&there, to, w->a, &none) == OK) {
        bool same = there.size == x->file.size &&
                    (!there.size || memcmp(there.data, x->file.data, there.size) == 0);
        mapfile_close(&there);
        FAIL_IF(!same, w->e, STATUS_USAGE,
                "'%s' exists and is not the model's external data; write to another folder", to);
        return OK;
    }
    TRY(make_folders(w->a, to, w->e));
    struct piece piece = { x->file.data, x->file.size };
    return file_write(to, &piece, 1, w->e);
}

static enum status write_files(struct onnx_writer *w, const char *path) {
    struct piece *pieces;
    size_t n;
    splice_file(&w->s, &pieces, &n);
    for (int i = 0; i < w->notes->n_externals; i++)
        TRY(copy_external(w, &w->notes->externals[i], path));
    return file_write(path, pieces, n, w->e);
}

static enum status write_with(struct onnx_writer *w, const struct patch *const *patches, int n,
                              const char *path) {
    model_each_graph(w->m, note_graph, w);
    TRY(apply_and_rewrite(w, patches, n));
    return write_files(w, path);
}

enum status onnx_write_patched(const struct model *m, const struct patch *const *patches, int n,
                               const char *path, struct err *e) {
    struct err unheard;
    FAIL_IF(m->applied != NULL, e, STATUS_BUG,
            "patches are applied to the model that is to be written with patches");
    TRY(refuse_inputs(m, path, e));
    struct arena *a = arena_new();
    struct onnx_writer w = {
        .m = (struct model *)(size_t)m, .notes = m->format_data, .a = a, .e = e ? e : &unheard
    };
    w.s = (struct splices) { .arena = a, .base = m->files[0].data, .size = m->files[0].size };
    w.old_name = NEW_ARRAY(a, m->next_value_id + 1, const char *);
    w.old_constant = NEW_ARRAY(a, m->next_value_id + 1, struct tensor *);
    intmap_init(&w.alive, a);
    intmap_init(&w.known, a);
    strmap_init(&w.stale, a);
    enum status s = write_with(&w, patches, n, path);
    arena_free(a);
    return s;
}
