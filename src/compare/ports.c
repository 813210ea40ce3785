#include "compare/ports.h"

#include <string.h>

enum { MOST_NAMES = 4 };

struct names {
    const char *at[MOST_NAMES];
    size_t length[MOST_NAMES];
    int n;
};

static void add(struct names *out, const char *name, size_t length) {
    if (!name || length == 0 || out->n == MOST_NAMES)
        return;
    out->at[out->n] = name;
    out->length[out->n++] = length;
}

/* The name without what a SavedModel's export puts before it and a tensor's number behind it. */
static void add_undressed(struct names *out, const char *name) {
    static const char before[] = "serving_default_";
    if (strncmp(name, before, sizeof before - 1) == 0)
        name += sizeof before - 1;
    size_t n = strlen(name), digits = n;
    while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9')
        digits--;
    bool numbered = digits < n && digits > 1 && name[digits - 1] == ':';
    /* number 0 is the tensor of that name; another is a result beside it */
    add(out, name, numbered && digits == n - 1 && name[digits] == '0' ? digits - 1 : n);
}

static struct names names_of(const struct graph *g, const struct value *v, int place,
                             bool is_input) {
    struct names out = { .n = 0 };
    const struct model *m = g->model;
    add_undressed(&out, v->name);
    for (int i = 0; i < m->n_signatures; i++) {
        const struct signature *s = &m->signatures[i];
        const int *places = is_input ? s->input_places : s->output_places;
        int n = is_input ? s->n_inputs : s->n_outputs;
        for (int k = 0; places && s->graph == g->index && k < n; k++)
            if (places[k] == place)
                add_undressed(&out, (is_input ? s->input_names : s->output_names)[k]);
    }
    return out;
}

static bool any_equal(const struct names *a, const struct names *b) {
    for (int i = 0; i < a->n; i++)
        for (int k = 0; k < b->n; k++)
            if (a->length[i] == b->length[k] && memcmp(a->at[i], b->at[k], a->length[i]) == 0)
                return true;
    return false;
}

bool same_input_name(const struct graph *a, int i, const struct graph *b, int k) {
    struct names x = names_of(a, a->inputs[i], i, true), y = names_of(b, b->inputs[k], k, true);
    return any_equal(&x, &y);
}

bool same_output_name(const struct graph *a, int i, const struct graph *b, int k) {
    struct names x = names_of(a, a->outputs[i], i, false), y = names_of(b, b->outputs[k], k, false);
    return any_equal(&x, &y);
}
