/* Patched ONNX files: nothing changed gives the same bytes; a change gives, read again, the patched
 * graph. */
#define _XOPEN_SOURCE 700
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "formats/format.h"

enum { MAX_FILES = 4096 };
static char *files[MAX_FILES];
static int n_files;
static char out_dir[256];

static int visit(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
    (void)ftw;
    size_t n = strlen(path);
    if (flag == FTW_F && n > 5 && strcmp(path + n - 5, ".onnx") == 0 && st->st_size < (2 << 20) &&
        n_files < MAX_FILES)
        files[n_files++] = strdup(path);
    return 0;
}

static int find_files(void **state) {
    (void)state;
    const char *corpus = getenv("CALQUE_CORPUS");
    char root[4096]; /* with a dot behind it, lest a link to the corpus is taken for a file */
    snprintf(root, sizeof root, "%s/.", corpus ? corpus : "../shared");
    nftw(root, visit, 16, FTW_PHYS);
    const char *keep = getenv("CALQUE_KEEP");
    snprintf(out_dir, sizeof out_dir, "%s", keep ? keep : "/tmp/calque-write-XXXXXX");
    return keep || mkdtemp(out_dir) ? 0 : -1;
}

static int drop_files(void **state) {
    (void)state;
    for (int i = 0; i < n_files; i++)
        free(files[i]);
    if (!getenv("CALQUE_KEEP"))
        rmdir(out_dir);
    return 0;
}

static void need_corpus(void) {
    if (n_files)
        return;
    print_message("skipped: no corpus (set CALQUE_CORPUS)\n");
    skip();
}

static struct model *read_model(const char *path) {
    struct model *m;
    struct err e = { .code = OK };
    if (model_read(path, &m, &e) != OK)
        fail_msg("%s: %s: %s", path, e.where, e.what);
    return m;
}

static void remove_out(const char *path) {
    if (!getenv("CALQUE_KEEP"))
        unlink(path);
}

static const struct format *onnx(void) {
    for (int i = 0; format_all()[i]; i++)
        if (strcmp(format_all()[i]->name, "onnx") == 0)
            return format_all()[i];
    fail();
    return NULL;
}

/* --- two graphs alike --- */

static const char *shown(const struct value *v) {
    return v ? v->name : "";
}

static bool same_constant(const struct tensor *a, const struct tensor *b) {
    if (a->dtype != b->dtype || !dims_equal(a->dim, a->rank, b->dim, b->rank))
        return false;
    if (a->dtype == DT_STRING) {
        const char *const *x = a->data, *const *y = b->data;
        for (int64_t i = 0; i < tensor_count(a); i++)
            if (strcmp(x[i], y[i]) != 0)
                return false;
        return true;
    }
    return tensor_bytes(a) == 0 || memcmp(a->data, b->data, tensor_bytes(a)) == 0;
}

/* Inputs that the file states as attributes have no name of their own. */
static bool same_input(const struct value *a, const struct value *b) {
    bool attribute = a && b && b->origin.op && strcmp(b->origin.op, "attribute") == 0;
    if (attribute && a->constant && b->constant && tensor_count(a->constant) == 1 &&
        tensor_count(b->constant) == 1)
        return tensor_f64(a->constant, 0) ==
               tensor_f64(b->constant, 0); /* an attribute has no rank */
    if (a && b && a->constant && b->constant)
        return same_constant(a->constant, b->constant);
    return strcmp(shown(a), shown(b)) == 0;
}

static bool same_graph(const struct graph *a, const struct graph *b, char *why);

static bool same_node(const struct node *a, const struct node *b, char *why) {
    snprintf(why, 400, "node '%.80s' (%.40s) and '%.80s' (%.40s)", a->name, a->op, b->name, b->op);
    if (strcmp(a->op, b->op) != 0 || strcmp(a->domain, b->domain) != 0 || a->n_out != b->n_out ||
        a->n_attrs != b->n_attrs)
        return false;
    if ((a->body != NULL) != (b->body != NULL) || (a->body && !same_graph(a->body, b->body, why)))
        return false;
    snprintf(why, 400, "node '%.80s' (%.40s) and '%.80s' (%.40s)", a->name, a->op, b->name, b->op);
    int n = a->n_in > b->n_in ? a->n_in : b->n_in;
    for (int i = 0; i < n; i++)
        if (!same_input(i < a->n_in ? a->in[i] : NULL, i < b->n_in ? b->in[i] : NULL))
            return false;
    for (int i = 0; i < a->n_out; i++)
        if (shown(a->out[i])[0] != '@' && strcmp(shown(a->out[i]), shown(b->out[i])) != 0)
            return false;
    for (int i = 0; i < a->n_attrs; i++) {
        const struct attr *x = &a->attrs[i], *y = node_attr(b, x->name);
        if (!y || x->type != y->type)
            return false;
        if (x->type == ATTR_GRAPH
                ? !same_graph(x->graph, y->graph, why)
                : x->type != ATTR_GRAPHS && x->type != ATTR_TENSORS && !attr_equal(x, y))
            return false;
    }
    return true;
}

static bool same_graph(const struct graph *a, const struct graph *b, char *why) {
    snprintf(why, 400, "%d nodes, %d inputs, %d outputs and %d, %d, %d", a->n_nodes, a->n_inputs,
             a->n_outputs, b->n_nodes, b->n_inputs, b->n_outputs);
    if (a->n_nodes != b->n_nodes || a->n_inputs != b->n_inputs || a->n_outputs != b->n_outputs)
        return false;
    for (int i = 0; i < a->n_nodes; i++)
        if (!same_node(a->nodes[i], b->nodes[i], why))
            return false;
    for (int i = 0; i < a->n_outputs; i++) {
        snprintf(why, 400, "output %d: '%.80s' and '%.80s'", i, a->outputs[i]->name,
                 b->outputs[i]->name);
        if (strcmp(a->outputs[i]->name, b->outputs[i]->name) != 0)
            return false;
    }
    for (int i = 0; i < a->n_inputs; i++) {
        snprintf(why, 400, "input %d: '%.80s' and '%.80s'", i, a->inputs[i]->name,
                 b->inputs[i]->name);
        if (strcmp(a->inputs[i]->name, b->inputs[i]->name) != 0)
            return false;
    }
    return true;
}

/* --- nothing changed --- */

static void without_change_same_bytes(void **state) {
    (void)state;
    need_corpus();
    for (int i = 0; i < n_files; i++) {
        struct model *m = read_model(files[i]);
        struct err e = { .code = OK };
        char path[400];
        snprintf(path, sizeof path, "%s/same.onnx", out_dir);
        struct patch *empty = patch_new(m, "nothing");
        const struct patch *list[] = { empty };
        if (onnx()->write_patched(m, list, i % 2, path, &e) != OK)
            fail_msg("%s: %s: %s", files[i], e.where, e.what);
        struct arena *a = arena_new();
        struct mapfile written;
        assert_int_equal(mapfile_open(&written, path, a, &e), OK);
        assert_int_equal(written.size, m->files[0].size);
        assert_memory_equal(written.data, m->files[0].data, written.size);
        mapfile_close(&written);
        remove_out(path);
        arena_free(a);
        model_free(m);
    }
}

/* --- one change --- */

static uint64_t seed = 1;

static int pick(int n) {
    seed = hash_mix(seed + 0x9e3779b97f4a7c15u);
    return n > 0 ? (int)(seed % (uint64_t)n) : 0;
}

struct graphs {
    struct model *m;
    struct graph **of;
    int n;
};

static void collect(struct graph *g, void *arg) {
    struct graphs *all = arg;
    if (g->n_nodes)
        PUSH(all->m->arena, all->of, all->n, g);
}

/* Of the main graph, a sub-graph or a function. */
static struct node *any_node(struct model *m) {
    struct graphs all = { .m = m };
    model_each_graph(m, collect, &all);
    struct graph *g = all.n ? all.of[pick(all.n)] : NULL;
    return g ? g->nodes[pick(g->n_nodes)] : NULL;
}

static bool change_attribute(struct model *m, struct patch *p) {
    struct node *n = any_node(m);
    for (int i = 0; n && i < n->n_attrs; i++) {
        struct attr a = n->attrs[i];
        if (a.type == ATTR_INT)
            a.i += 1;
        else if (a.type == ATTR_FLOAT)
            a.f = (double)(float)(a.f * 1.5);
        else if (a.type == ATTR_INTS && a.n) {
            int64_t *v = arena_copy(m->arena, a.ints, (size_t)a.n * sizeof *v);
            v[a.n - 1] += 1;
            a.ints = v;
        } else
            continue;
        patch_set_attr(p, n, &a);
        return true;
    }
    return false;
}

static bool take_attribute(struct model *m, struct patch *p) {
    struct node *n = any_node(m);
    if (!n || !n->n_attrs || n->attrs[0].type == ATTR_GRAPH)
        return false;
    if (node_is(n, "Softmax") ||
        node_is(n, "LogSoftmax")) /* old sets have another default: the axis is written out */
        return false;
    patch_remove_attr(p, n, n->attrs[0].name);
    return true;
}

static struct value *any_constant(struct model *m) {
    for (int tries = 0; tries < 50 && m->graph->n_values; tries++) {
        struct value *v = m->graph->values[pick(m->graph->n_values)];
        if (v->constant && v->constant->dtype == DT_F32 && tensor_count(v->constant) > 0)
            return v;
    }
    return NULL;
}

static struct tensor *doubled(struct model *m, const struct tensor *t) {
    struct tensor *u = tensor_in_arena(m->arena, t->dtype, t->store, t->rank, t->dim);
    for (int64_t i = 0; i < tensor_count(t); i++)
        tensor_set_f64(u, i, 2 * tensor_f64(t, i) + 1);
    return u;
}

static bool change_constant(struct model *m, struct patch *p) {
    struct value *v = any_constant(m);
    if (v)
        patch_set_constant(p, v, doubled(m, v->constant));
    return v != NULL;
}

static bool reshape_constant(struct model *m, struct patch *p) {
    struct value *v = any_constant(m);
    if (!v)
        return false;
    struct tensor *t = doubled(m, v->constant);
    t->dim[0] = tensor_count(v->constant);
    t->rank = 1;
    patch_set_constant(p, v, t);
    return true;
}

static bool swap_operands(struct model *m, struct patch *p) {
    struct node *n = any_node(m);
    if (!n || n->n_in < 2 || !n->in[0] || !n->in[1])
        return false;
    struct value *a = n->in[0], *b = n->in[1];
    patch_set_input(p, n, 0, b);
    patch_set_input(p, n, 1, a);
    return true;
}

static bool append_constant_input(struct model *m, struct patch *p) {
    struct node *n = any_node(m);
    if (!n)
        return false;
    float v[2] = { 1.5f, -2 };
    struct value *c = patch_constant(p, n->graph, "added", tensor_vec_f32(m->arena, v, 2));
    patch_set_input(p, n, n->n_in, c);
    return true;
}

static bool insert_node(struct model *m, struct patch *p) {
    struct node *n = any_node(m);
    struct value *x = n && n->n_out ? n->out[0] : NULL;
    if (!x)
        return false;
    struct value *c = patch_constant(p, n->graph, "factor", tensor_scalar_f32(m->arena, 3)),
                 *in[] = { x, c };
    struct node *mul = patch_node(p, n->graph, NULL, "Mul", "", in, 2, 1),
                *t = patch_node(p, n->graph, NULL, "LeakyRelu", "", &mul->out[0], 1, 1);
    patch_set_float(p, t, "alpha", 0.25);
    patch_replace_uses(p, x, t->out[0]);
    return true;
}

static bool bypass_node(struct model *m, struct patch *p) {
    struct node *n = any_node(m);
    if (!n || n->n_out != 1 || !n->n_in || !n->in[0] || n->in[0]->is_input || n->in[0]->is_output ||
        n->in[0]->constant || n->in[0]->graph != n->graph)
        return false;
    patch_replace_uses(p, n->out[0], n->in[0]);
    patch_remove_node(p, n);
    return true;
}

static bool change_operator(struct model *m, struct patch *p) {
    struct node *n = any_node(m);
    if (!n || !(node_is(n, "Relu") || node_is(n, "Add")))
        return false;
    patch_set_op(p, n, node_is(n, "Relu") ? "Tanh" : "Sub", "");
    return true;
}

/* A node in front of the graph reads what a later Constant node or initializer states. */
static bool early_reader(struct model *m, struct patch *p) {
    struct value *v = any_constant(m);
    if (!v || !m->graph->n_nodes)
        return false;
    struct node *neg = patch_node(p, m->graph, m->graph->nodes[0], "Neg", "", &v, 1, 1);
    patch_replace_uses(p, v, neg->out[0]);
    return true;
}

static bool reorder_inputs(struct model *m, struct patch *p) {
    int n = m->graph->n_inputs;
    for (int i = 0; n > 1 && i < n; i++) {
        struct edit e = { .kind = EDIT_SET_INPUT_ORDER,
                          .graph = m->graph,
                          .index = i,
                          .value = m->graph->inputs[(i + 1) % n] };
        PUSH(m->arena, p->edits, p->n, e);
    }
    return n > 1;
}

/* The format wants nodes in order; for the reader a Constant node is no node, so this is looked at
 * here. */
static void constants_come_first(struct graph *g, void *arg) {
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_in; k++) {
            const struct value *v = g->nodes[i]->in[k];
            if (v && v->graph == g && v->origin.op && strcmp(v->origin.op, "Constant") == 0 &&
                v->origin.index > g->nodes[i]->origin.index)
                fail_msg("%s: node '%s' comes before the Constant '%s' that it reads",
                         (const char *)arg, g->nodes[i]->name, v->name);
        }
}

typedef bool change_fn(struct model *m, struct patch *p);

static int n_written, n_refused;

static void check_change(const char *file, const char *name, change_fn *change) {
    struct model *m = read_model(file), *again = NULL;
    struct patch *p = patch_new(m, name);
    struct err e = { .code = OK }, none;
    char path[500], why[500] = "";
    snprintf(path, sizeof path, "%s/%s-%d.onnx", out_dir, name, n_written);
    if (!change(m, p) || patch_apply(p, &none) != OK) {
        model_free(m);
        return;
    }
    patch_undo(p);
    const struct patch *list[] = { p };
    enum status s = onnx()->write_patched(m, list, 1, path, &e);
    if (s == STATUS_UNSUPPORTED) {
        n_refused++;
        model_free(m);
        return;
    }
    if (s != OK)
        fail_msg("%s, %s: %s: %s", name, file, e.where, e.what);
    again = read_model(path);
    model_each_graph(again, constants_come_first, path);
    assert_int_equal(patch_apply(p, &e), OK);
    if (!same_graph(m->graph, again->graph, why))
        fail_msg("%s, %s: written to %s: %s", name, file, path, why);
    n_written++;
    model_free(again);
    model_free(m);
    remove_out(path);
}

static void changes_read_back(void **state) {
    (void)state;
    need_corpus();
    static const struct {
        const char *name;
        change_fn *change;
    } changes[] = {
        { "attribute", change_attribute }, { "no-attribute", take_attribute },
        { "constant", change_constant },   { "reshape", reshape_constant },
        { "swap", swap_operands },         { "append", append_constant_input },
        { "insert", insert_node },         { "bypass", bypass_node },
        { "operator", change_operator },   { "early", early_reader },
        { "inputs", reorder_inputs },
    };
    for (size_t k = 0; k < sizeof changes / sizeof *changes; k++) {
        int written = n_written, refused = n_refused;
        for (int i = (int)k % 9; i < n_files; i += 9)
            check_change(files[i], changes[k].name, changes[k].change);
        print_message("%s: %d written, %d refused\n", changes[k].name, n_written - written,
                      n_refused - refused);
        assert_true(n_written > written);
    }
}

static void never_over_its_input(void **state) {
    (void)state;
    need_corpus();
    struct model *m = read_model(files[0]);
    struct err e = { .code = OK };
    assert_int_equal(onnx()->write_patched(m, NULL, 0, files[0], &e), STATUS_USAGE);
    model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_change_same_bytes),
        cmocka_unit_test(changes_read_back),
        cmocka_unit_test(never_over_its_input),
    };
    return cmocka_run_group_tests(tests, find_files, drop_files);
}
