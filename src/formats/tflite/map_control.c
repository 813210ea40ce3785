/* Control flow, calls, variables and tables. A sub-graph of a TFLite file sees its own tensors
 * only.
 *
 * Variables and tables are resources that operators share by name. They are followed while reading:
 * a read is the value assigned last, in the same sub-graph or by the sub-graph that CALL_ONCE runs
 * first. */
#include <stdio.h>
#include <string.h>

#include "formats/tflite/tflite.h"

static struct node *emit_call(struct op_reader *x, int n_out) {
    struct node *n = emit(x, x->op_name, "tflite", x->n_in, n_out, ROLE_MAIN);
    memcpy(n->in, x->in, sizeof *x->in * (size_t)x->n_in);
    for (int i = 0; i < x->n_out && i < n_out; i++)
        if (x->out[i])
            node_set_output(n, i, x->out[i]);
    return n;
}

static enum status called(struct op_reader *x, int32_t number, int inputs, int outputs,
                          struct graph **out) {
    TRY(tflite_subgraph(x, number, out));
    FAIL_IF((*out)->n_inputs != inputs || (outputs >= 0 && (*out)->n_outputs != outputs), x->r->err,
            STATUS_CORRUPT,
            "sub-graph %d has %d inputs and %d outputs, the operator gives %d and takes %d", number,
            (*out)->n_inputs, (*out)->n_outputs, inputs, outputs);
    return OK;
}

static enum status set_graph(struct op_reader *x, struct node *n, const char *name, int32_t number,
                             int inputs, int outputs) {
    struct graph *g;
    TRY(called(x, number, inputs, outputs, &g));
    struct attr *a = node_set_attr(n, name, ATTR_GRAPH);
    a->graph = g;
    return OK;
}

static enum status read_while(struct op_reader *x) {
    bool hlo = x->code == BUILTIN_STABLEHLO_WHILE;
    const struct fb_table *o = hlo ? &x->options2 : &x->options;
    FAIL_IF(x->n_in != x->n_out, x->r->err, STATUS_CORRUPT, "%d inputs and %d outputs", x->n_in,
            x->n_out);
    struct node *n = emit_call(x, x->n_out);
    TRY(set_graph(x, n, "cond", fb_i32(o, 0, 0), x->n_in, 1));
    return set_graph(x, n, "body", fb_i32(o, 1, 0), x->n_in, x->n_out);
}

static enum status read_if(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    struct node *n = emit_call(x, x->n_out);
    TRY(set_graph(x, n, "then_branch", fb_i32(&x->options, 0, 0), x->n_in - 1, x->n_out));
    return set_graph(x, n, "else_branch", fb_i32(&x->options, 1, 0), x->n_in - 1, x->n_out);
}

/* The branch of the number that input 0 is; the last one where there is none of that number. */
static enum status read_case(struct op_reader *x) {
    struct fb_vector numbers = fb_vec(&x->options2, 0, 4);
    TRY(need_inputs(x, 1));
    FAIL_IF(!numbers.n, x->r->err, STATUS_CORRUPT, "no branches");
    struct node *n = emit_call(x, x->n_out);
    struct graph **branches = NEW_ARRAY(x->r->m->arena, numbers.n, struct graph *);
    for (size_t i = 0; i < numbers.n; i++)
        TRY(called(x, fb_vec_i32(&numbers, i), x->n_in - 1, x->n_out, &branches[i]));
    struct attr *a = node_set_attr(n, "branches", ATTR_GRAPHS);
    a->graphs = branches;
    a->n = (int64_t)numbers.n;
    return OK;
}

static enum status read_composite(struct op_reader *x) {
    struct node *n = emit_call(x, x->n_out);
    size_t length;
    const char *name = fb_text(&x->options2, 0, &length);
    if (name)
        node_set_string(n, "name", arena_strn(x->r->m->arena, name, length));
    return set_graph(x, n, "decomposition", fb_i32(&x->options2, 1, 0), x->n_in, x->n_out);
}

static enum status read_call(struct op_reader *x) {
    struct node *n = emit_call(x, x->n_out);
    return set_graph(x, n, "decomposition", fb_i32(&x->options, 0, 0), x->n_in, x->n_out);
}

static struct resource *find_resource(struct op_reader *x, const char *name) {
    struct resources *all = &x->r->resources[x->g->index];
    for (int i = 0; i < all->n; i++)
        if (strcmp(all->items[i]->name, name) == 0)
            return all->items[i];
    struct resource *fresh = NEW(x->r->m->arena, struct resource);
    fresh->name = name;
    PUSH(x->r->m->arena, all->items, all->n, fresh);
    return fresh;
}

/* The resource whose handle input 0 is. */
static enum status resource_in(struct op_reader *x, struct resource **out) {
    struct resources *all = &x->r->resources[x->g->index];
    const struct value *handle = raw_in(x, 0);
    for (int i = 0; handle && i < all->n_handles; i++)
        if (all->handles[i].value == handle) {
            *out = all->handles[i].resource;
            return OK;
        }
    return refuse(x, "a resource handle that another sub-graph gives");
}

static enum status read_handle(struct op_reader *x) {
    FAIL_IF(x->n_out != 1 || !x->out[0], x->r->err, STATUS_CORRUPT, "%d outputs", x->n_out);
    struct arena *a = x->r->m->arena;
    const char *name;
    if (x->code == BUILTIN_HASHTABLE) {
        name = arena_printf(a, "table %d", fb_i32(&x->options, 0, 0));
    } else {
        size_t nc, ns;
        const char *container = fb_text(&x->options, 0, &nc),
                   *shared = fb_text(&x->options, 1, &ns);
        name = arena_printf(a, "variable %s/%s", container ? arena_strn(a, container, nc) : "",
                            shared ? arena_strn(a, shared, ns) : "");
    }
    struct node *n = emit_call(x, 1);
    node_set_string(n, "resource", name);
    struct handle h = { x->out[0], find_resource(x, name) };
    struct resources *all = &x->r->resources[x->g->index];
    PUSH(a, all->handles, all->n_handles, h);
    return OK;
}

static enum status read_assign(struct op_reader *x) {
    struct resource *r = NULL;
    bool table = x->code == BUILTIN_HASHTABLE_IMPORT;
    FAIL_IF(x->n_in < (table ? 3 : 2) || !x->in[1] || !x->in[x->n_in - 1], x->r->err,
            STATUS_CORRUPT, "%d inputs", x->n_in);
    TRY(resource_in(x, &r));
    emit_call(x, 0);
    r->now = raw_in(x, table ? 2 : 1);
    r->keys = table ? raw_in(x, 1) : NULL;
    return OK;
}

static enum status read_variable(struct op_reader *x) {
    struct resource *r = NULL;
    TRY(need_inputs(x, 1));
    TRY(resource_in(x, &r));
    if (!r->now)
        return refuse(x, "a variable that nothing has assigned");
    struct node *n = emit(x, "Identity", "", 1, 1, ROLE_MAIN);
    n->in[0] = r->now;
    node_set_output(n, 0, x->out[0]);
    return OK;
}

/* HASHTABLE_FIND: handle, queries, default. The node reads queries, keys, values, default. */
static enum status read_table_find(struct op_reader *x) {
    struct resource *r = NULL;
    TRY(need_inputs(x, 3));
    TRY(resource_in(x, &r));
    if (!r->keys)
        return refuse(x, "a table that nothing has filled");
    struct node *n = emit(x, x->op_name, "tflite", 4, 1, ROLE_MAIN);
    n->in[0] = raw_in(x, 1);
    n->in[1] = r->keys;
    n->in[2] = r->now;
    n->in[3] = raw_in(x, 2);
    node_set_output(n, 0, x->out[0]);
    return OK;
}

static enum status read_table_size(struct op_reader *x) {
    struct resource *r = NULL;
    int64_t one = 1;
    TRY(need_inputs(x, 1));
    TRY(resource_in(x, &r));
    if (!r->keys)
        return refuse(x, "a table that nothing has filled");
    struct value *count = then1(x, "Size", r->keys, NULL);
    count->dtype = DT_I64;
    struct value *shape = made_ints(x, "shape", &one, 1, -1);
    struct node *n = emit(x, "Reshape", "", 2, 1, ROLE_MAIN);
    n->in[0] = count;
    n->in[1] = shape;
    node_set_output(n, 0, x->out[0]);
    return OK;
}

static void add_result(struct op_reader *x, struct node *n, int i, struct graph *init,
                       struct value **slot) {
    struct value *inner = *slot;
    graph_add_output(init, inner);
    struct value *v = between(x, "variable", inner->dtype, inner);
    node_set_output(n, i, v);
    *slot = v;
}

/* CALL_ONCE: what its sub-graph assigns are the outputs of the call. */
static enum status read_call_once(struct op_reader *x) {
    struct graph *init;
    TRY(tflite_subgraph(x, fb_i32(&x->options, 0, 0), &init));
    FAIL_IF(init->n_inputs != 0, x->r->err, STATUS_CORRUPT, "sub-graph %d has inputs", init->index);
    struct resources *inner = &x->r->resources[init->index];
    int n_out = 0;
    for (int i = 0; i < inner->n; i++)
        n_out += (inner->items[i]->now != NULL) + (inner->items[i]->keys != NULL);
    int first = init->n_outputs;
    struct node *n = emit(x, x->op_name, "tflite", 0, first + n_out, ROLE_MAIN);
    node_set_attr(n, "init", ATTR_GRAPH)->graph = init;
    for (int i = 0, k = first; i < inner->n; i++) {
        struct resource *mine = find_resource(x, inner->items[i]->name), from = *inner->items[i];
        if (from.now)
            add_result(x, n, k++, init, &from.now);
        if (from.keys)
            add_result(x, n, k++, init, &from.keys);
        mine->now = from.now;
        mine->keys = from.keys;
    }
    return OK;
}

read_fn *map_control(enum builtin code) {
    switch (code) {
    case BUILTIN_WHILE:
    case BUILTIN_STABLEHLO_WHILE:
        return read_while;
    case BUILTIN_IF:
        return read_if;
    case BUILTIN_STABLEHLO_CASE:
        return read_case;
    case BUILTIN_STABLEHLO_COMPOSITE:
        return read_composite;
    case BUILTIN_CALL:
        return read_call;
    case BUILTIN_CALL_ONCE:
        return read_call_once;
    case BUILTIN_VAR_HANDLE:
    case BUILTIN_HASHTABLE:
        return read_handle;
    case BUILTIN_ASSIGN_VARIABLE:
    case BUILTIN_HASHTABLE_IMPORT:
        return read_assign;
    case BUILTIN_READ_VARIABLE:
        return read_variable;
    case BUILTIN_HASHTABLE_FIND:
        return read_table_find;
    case BUILTIN_HASHTABLE_SIZE:
        return read_table_size;
    default:
        return NULL;
    }
}
