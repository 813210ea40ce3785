/* `inspect` for programs. */
#include <string.h>

#include "report/inspect.h"
#include "report/json.h"

static json_t *json_properties(const struct property *p, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        json_t *o = json_object();
        json_object_set_new(o, "key", json_text(p[i].key));
        json_object_set_new(o, "value", json_text(p[i].value));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *json_operators(const struct inspection *x) {
    json_t *list = json_array();
    for (int i = 0; i < x->operators.n; i++) {
        const struct operator_facts *f = &x->operators.items[i];
        json_t *o = json_object();
        json_object_set_new(o, "op", json_text(f->op));
        json_object_set_new(o, "domain", json_text(f->domain));
        json_object_set_new(o, "count", json_integer(f->count));
        json_object_set_new(o, "runs", json_integer(f->runs));
        json_object_set_new(o, "why_not", json_text(f->why_not));
        json_object_set_new(o, "macs", f->unknown_cost ? json_null() : json_number(f->macs));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *json_constant(const struct inspection *x, const struct value *v) {
    json_t *o = json_object();
    struct constant_stats st;
    json_object_set_new(o, "name", json_text(v->name));
    json_object_set_new(o, "dtype", json_text(dtype_name(v->constant->dtype)));
    json_object_set_new(o, "shape", json_dims(x->model, v->constant->dim, v->constant->rank));
    json_object_set_new(o, "bytes", json_integer((json_int_t)tensor_bytes(v->constant)));
    if (constant_stats(v->constant, &st)) {
        json_object_set_new(o, "least", json_number(st.least));
        json_object_set_new(o, "greatest", json_number(st.greatest));
        json_object_set_new(o, "mean", json_number(st.mean));
        json_object_set_new(o, "zeros", json_integer(st.zeros));
        json_object_set_new(o, "not_finite", json_integer(st.not_finite));
    }
    return o;
}

struct collector {
    const struct inspection *x;
    json_t *list;
};

static void constants_of_graph(struct graph *g, void *arg) {
    struct collector *c = arg;
    for (int i = 0; i < g->n_values; i++)
        if (g->values[i]->constant)
            json_array_append_new(c->list, json_constant(c->x, g->values[i]));
}

static bool asked_for(const struct inspection *x, const struct value *v) {
    for (int i = 0; i < x->n_values; i++)
        if (strcmp(x->values[i], v->name) == 0)
            return true;
    return x->every_shape && v->producer;
}

static void values_of_graph(struct graph *g, void *arg) {
    struct collector *c = arg;
    const struct inspection *x = c->x;
    for (int i = 0; i < g->n_values; i++) {
        const struct value *v = g->values[i];
        if (!asked_for(x, v))
            continue;
        const struct fact *f = &x->shapes[v->id];
        json_t *o = json_object(), *readers = json_array();
        json_object_set_new(o, "name", json_text(v->name));
        json_object_set_new(o, "dtype", f->dtype ? json_text(dtype_name(f->dtype)) : json_null());
        json_object_set_new(o, "shape", json_dims(x->model, f->dim, f->rank));
        json_object_set_new(o, "constant", json_boolean(v->constant != NULL));
        json_object_set_new(
            o, "node", v->producer ? json_text(node_label(v->producer, x->arena)) : json_null());
        json_object_set_new(o, "op", v->producer ? json_text(v->producer->op) : json_null());
        for (int k = 0; k < x->uses->n[v->id]; k++)
            json_array_append_new(readers,
                                  json_text(node_label(x->uses->of[v->id][k].node, x->arena)));
        json_object_set_new(o, "read_by", readers);
        json_object_set_new(o, "offset",
                            v->origin.offset >= 0 ? json_integer(v->origin.offset) : json_null());
        json_array_append_new(c->list, o);
    }
}

const char *inspect_json(const struct inspection *x, const struct style *s) {
    struct model *m = x->model;
    json_t *root = json_begin("inspect");
    json_object_set_new(root, "exit", json_integer(s->exit_code));
    json_object_set_new(root, "model", json_model(m, s->hash));
    json_object_set_new(root, "operators", json_operators(x));
    json_object_set_new(root, "macs",
                        x->operators.unknown_cost ? json_null() : json_number(x->operators.macs));
    json_object_set_new(root, "quantization", json_text(x->scheme));
    json_object_set_new(root, "opsets", json_properties(m->opsets, m->n_opsets));
    json_object_set_new(root, "metadata", json_properties(m->properties, m->n_properties));
    json_t *signatures = json_array();
    for (int i = 0; i < m->n_signatures; i++) {
        json_t *o = json_object();
        json_object_set_new(o, "key", json_text(m->signatures[i].key));
        json_object_set_new(o, "inputs",
                            json_texts(m->signatures[i].input_names, m->signatures[i].n_inputs));
        json_object_set_new(o, "outputs",
                            json_texts(m->signatures[i].output_names, m->signatures[i].n_outputs));
        json_array_append_new(signatures, o);
    }
    json_object_set_new(root, "signatures", signatures);
    struct collector c = { .x = x };
    if (x->n_values || x->every_shape) {
        c.list = json_array();
        model_each_graph(m, values_of_graph, &c);
        json_object_set_new(root, "values", c.list);
    }
    if (x->weights) {
        c.list = json_array();
        model_each_graph(m, constants_of_graph, &c);
        json_object_set_new(root, "weights", c.list);
    }
    if (x->graph_text)
        json_object_set_new(root, "graph", json_text(x->graph_text));
    json_end(root, s, json_texts(m->warnings, m->n_warnings));
    return json_print(root, x->arena);
}
