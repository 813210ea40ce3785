/* compare, locate and repair for programs: the keys of CLI.md in its order. */
#include <math.h>
#include <string.h>

#include "base/mapfile.h"
#include "base/sha256.h"
#include "report/json.h"
#include "report/result_report.h"

static json_t *json_ints(const int64_t *v, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_integer(v[i]));
    return list;
}

/* Unknown is null; a number that is not finite is a text. */
static json_t *json_known(double v) {
    return isnan(v) ? json_null() : json_number(v);
}

static json_t *json_name(const struct value *v) {
    return v ? json_text(v->name) : json_null();
}

static json_t *json_view(const struct pair_view *v) {
    if (v->identity)
        return json_null();
    json_t *o = json_object(), *permute = json_null();
    if (v->n_permute) {
        permute = json_array();
        for (int i = 0; i < v->n_permute; i++)
            json_array_append_new(permute, json_integer(v->permute[i]));
    }
    json_object_set_new(o, "permute", permute);
    json_object_set_new(o, "reshape", v->n_from ? json_ints(v->from, v->n_from) : json_null());
    if (v->elements)
        json_object_set_new(o, "elements", json_true());
    return o;
}

static json_t *json_worst(const struct pair *p) {
    int64_t index[MAX_RANK];
    int rank = worst_index(p, index);
    if (!p->whole.elements || p->whole.worst < 0)
        return json_null();
    json_t *o = json_object();
    json_object_set_new(o, "index",
                        rank ? json_ints(index, rank)
                             : json_ints(&p->whole.worst, p->target->rank != 0));
    json_object_set_new(o, "source", json_number(p->whole.worst_source));
    json_object_set_new(o, "target", json_number(p->whole.worst_target));
    return o;
}

static json_t *json_pair(const struct pair *p, struct arena *a) {
    json_t *o = json_object();
    const struct error_stats *w = &p->whole;
    bool known = w->elements > 0;
    json_object_set_new(o, "source", json_name(p->source));
    json_object_set_new(o, "target", json_name(p->target));
    json_object_set_new(o, "node", p->node ? json_text(label_of(p->node, a)) : json_null());
    json_object_set_new(o, "op", p->node ? json_text(operator_of(p->node)) : json_null());
    json_object_set_new(o, "view", json_view(&p->view));
    json_object_set_new(o, "matched_by", json_string(matched_by_name(p->matched_by)));
    json_object_set_new(o, "status", json_string(pair_status_name(p->status)));
    json_object_set_new(o, "max_abs", known ? json_number(w->max_abs) : json_null());
    json_object_set_new(o, "max_rel", known ? json_number(w->max_rel) : json_null());
    json_object_set_new(o, "rmse", known ? json_number(w->rmse) : json_null());
    json_object_set_new(o, "cosine", known ? json_number(w->cosine) : json_null());
    json_object_set_new(o, "snr_db", known ? json_number(w->snr_db) : json_null());
    json_object_set_new(o, "own_error", json_known(p->own_error));
    json_object_set_new(o, "noise_floor", json_known(p->noise_floor));
    json_object_set_new(o, "worst", json_worst(p));
    if (known) {
        json_object_set_new(o, "elements", json_integer(w->elements));
        json_object_set_new(o, "off", json_integer(w->off));
        json_object_set_new(o, "nan_mismatch", json_integer(w->nan_mismatch));
    }
    if (p->not_exercised)
        json_object_set_new(o, "not_exercised", json_text(p->not_exercised));
    return o;
}

static json_t *json_names(const struct value **v, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_name(v[i]));
    return list;
}

/* --- faults --- */

static json_t *json_tensor(const struct tensor *t, struct arena *a) {
    return t ? json_text(words_of_tensor(t, a)) : json_null();
}

static json_t *json_attr(const struct attr *attr, struct arena *a) {
    if (!attr || attr->type == ATTR_NONE)
        return json_null();
    json_t *list;
    switch (attr->type) {
    case ATTR_INT:
        return json_integer(attr->i);
    case ATTR_FLOAT:
        return json_number(attr->f);
    case ATTR_STRING:
        return json_text(attr->s);
    case ATTR_INTS:
        return json_ints(attr->ints, (int)attr->n);
    case ATTR_FLOATS:
        list = json_array();
        for (int64_t i = 0; i < attr->n; i++)
            json_array_append_new(list, json_number(attr->floats[i]));
        return list;
    default:
        return json_text(words_of_attr(attr, a));
    }
}

/* The patch is not applied while it is reported, so the node still shows what was there. */
static json_t *json_edit(const struct patch *p, const struct edit *edit, struct arena *a) {
    json_t *o = json_object();
    const struct node *n = edit->node;
    json_object_set_new(o, "edit", json_string(edit_name(edit->kind)));
    json_object_set_new(o, "node", n ? json_text(label_of(n, a)) : json_null());
    const char *name = edit->value ? edit->value->name : NULL;
    json_t *before = json_null(), *after = json_null();
    switch (edit->kind) {
    case EDIT_SET_ATTR:
        name = edit->attr.name;
        before = p->undo ? json_null() : json_attr(node_attr(n, name), a);
        after = json_attr(&edit->attr, a);
        break;
    case EDIT_SET_OP:
        name = "operator";
        before = json_text(n->op);
        after = json_text(edit->op);
        break;
    case EDIT_SET_INPUT:
        name = arena_printf(a, "input %d", edit->index);
        before = !p->undo && edit->index < n->n_in ? json_name(n->in[edit->index]) : json_null();
        after = json_name(edit->value);
        break;
    case EDIT_SET_CONSTANT:
        before = p->undo ? json_null() : json_tensor(edit->value->constant, a);
        after = json_tensor(edit->tensor, a);
        break;
    case EDIT_ADD_CONSTANT:
        after = json_tensor(edit->value->constant, a);
        break;
    case EDIT_ADD_NODE:
        name = n->n_out && n->out[0] ? n->out[0]->name : NULL;
        after = json_text(n->op);
        break;
    case EDIT_REMOVE_NODE:
        before = json_text(n->op);
        break;
    case EDIT_REPLACE_USES:
        before = json_name(edit->value);
        after = json_name(edit->with);
        break;
    case EDIT_SET_OUTPUT:
        name = arena_printf(a, "output %d", edit->index);
        after = json_name(edit->value);
        break;
    case EDIT_SET_INPUT_ORDER:
        name = arena_printf(a, "input %d", edit->index);
        after = json_name(edit->value);
        break;
    }
    json_object_set_new(o, "name", json_text(name));
    json_object_set_new(o, "old", before);
    json_object_set_new(o, "new", after);
    return o;
}

/* "[0,0,1,1]", "0.1" and texts: what can be read as JSON is given as such. */
static json_t *json_detail(const char *text) {
    if (!text)
        return json_null();
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    return value ? value : json_text(text);
}

static json_t *json_fault(const struct fault *f, struct arena *a) {
    json_t *o = json_object(), *nodes = json_array(), *details = json_array(),
           *evidence = json_object();
    json_t *rivals = json_array(), *repair = json_array();
    json_object_set_new(o, "id", json_integer(f->id));
    json_object_set_new(o, "node", f->node ? json_text(label_of(f->node, a)) : json_null());
    for (int i = 0; i < f->n_nodes; i++)
        json_array_append_new(nodes, json_text(label_of(f->nodes[i], a)));
    json_object_set_new(o, "nodes", nodes);
    json_object_set_new(o, "op", f->node ? json_text(operator_of(f->node)) : json_null());
    json_object_set_new(o, "output", json_name(f->output));
    json_object_set_new(o, "source_node",
                        f->source_node ? json_text(label_of(f->source_node, a)) : json_null());
    json_object_set_new(o, "source_op",
                        f->source_node ? json_text(operator_of(f->source_node)) : json_null());
    json_object_set_new(o, "source_output", json_name(f->source_output));
    json_object_set_new(o, "cause", json_text(f->cause));
    json_object_set_new(o, "title", json_text(f->title));
    json_object_set_new(o, "confidence", json_text(f->confidence));
    for (int i = 0; i < f->n_details; i++) {
        json_t *d = json_object();
        json_object_set_new(d, "parameter", json_text(f->details[i].parameter));
        json_object_set_new(d, "source", json_detail(f->details[i].source));
        json_object_set_new(d, "target", json_detail(f->details[i].target));
        json_array_append_new(details, d);
    }
    json_object_set_new(o, "details", details);
    json_object_set_new(evidence, "own_error", json_known(f->own_error));
    json_object_set_new(evidence, "noise_floor", json_known(f->noise_floor));
    json_object_set_new(evidence, "error_after_fix", json_known(f->error_after_fix));
    for (int i = 0; i < f->n_rivals; i++) {
        json_t *rival = json_object();
        json_object_set_new(rival, "cause", json_text(f->rivals[i].cause));
        json_object_set_new(rival, "error_after_fix", json_known(f->rivals[i].error_after_fix));
        json_array_append_new(rivals, rival);
    }
    json_object_set_new(evidence, "rivals", rivals);
    json_object_set_new(o, "evidence", evidence);
    for (int i = 0; f->repair && i < f->repair->n; i++)
        json_array_append_new(repair, json_edit(f->repair, &f->repair->edits[i], a));
    json_object_set_new(o, "repair", repair);
    return o;
}

/* --- the whole --- */

static json_t *json_written(const struct result *r, struct arena *a) {
    if (!r->written)
        return json_null();
    json_t *o = json_object();
    struct mapfile f;
    char digest[65];
    bool read = mapfile_open(&f, r->written, a, NULL) == OK;
    if (read) {
        sha256_hex(f.data, f.size, digest);
        mapfile_close(&f);
    }
    json_object_set_new(o, "file", json_text(r->written));
    json_object_set_new(o, "sha256", read ? json_string(digest) : json_null());
    json_object_set_new(o, "tensors_changed", json_integer(r->tensors_changed));
    json_object_set_new(o, "nodes_changed", json_integer(r->nodes_changed));
    json_object_set_new(o, "nodes_untouched", json_integer(r->nodes_untouched));
    return o;
}

static json_t *json_proof(const struct result *r) {
    if (!r->proof_method)
        return json_null();
    json_t *o = json_object();
    json_object_set_new(o, "method", json_text(r->proof_method));
    json_object_set_new(o, "samples", json_integer(r->proof_samples));
    json_object_set_new(o, "max_abs", json_known(r->proof_max_abs));
    return o;
}

static json_t *json_warnings(const struct result *r) {
    json_t *list = json_array();
    const struct model *models[] = { r->source, r->target };
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < models[k]->n_warnings; i++)
            json_array_append_new(list, json_text(models[k]->warnings[i]));
    for (int i = 0; i < r->n_warnings; i++)
        json_array_append_new(list, json_text(r->warnings[i]));
    return list;
}

const char *result_json(const struct result *r, struct arena *a, const struct style *s) {
    json_t *root = json_begin(r->verb), *inputs = json_object(), *outputs = json_array(),
           *values = json_array();
    json_object_set_new(root, "verdict", json_string(verdict_name(result_verdict(r))));
    json_object_set_new(root, "exit", json_integer(s->exit_code));
    json_object_set_new(root, "source", json_model(r->source, s->hash));
    json_object_set_new(root, "target", json_model(r->target, s->hash));
    json_object_set_new(inputs, "kind", json_text(r->inputs_kind));
    json_object_set_new(inputs, "samples", json_integer(r->samples));
    json_object_set_new(inputs, "seed", json_integer((json_int_t)r->seed));
    json_object_set_new(inputs, "precision", json_string(precision_name(r->precision)));
    json_object_set_new(root, "inputs", inputs);
    for (int i = 0; i < r->n_pairs; i++) {
        if (r->pairs[i].is_output)
            json_array_append_new(outputs, json_pair(&r->pairs[i], a));
        json_array_append_new(values, json_pair(&r->pairs[i], a));
    }
    json_object_set_new(root, "outputs", outputs);
    json_object_set_new(root, "values", values);
    json_t *unmatched = json_object(), *coverage = json_object();
    json_object_set_new(unmatched, "source",
                        json_names(r->unmatched_source, r->n_unmatched_source));
    json_object_set_new(unmatched, "target",
                        json_names(r->unmatched_target, r->n_unmatched_target));
    json_object_set_new(root, "unmatched", unmatched);
    json_object_set_new(coverage, "target_nodes", json_number(r->coverage_target_nodes));
    json_object_set_new(coverage, "source_nodes", json_number(r->coverage_source_nodes));
    json_object_set_new(coverage, "exercised", json_number(r->coverage_exercised));
    json_object_set_new(root, "coverage", coverage);
    if (strcmp(r->verb, "compare") != 0) {
        json_t *faults = json_array();
        for (int i = 0; i < r->n_faults; i++)
            json_array_append_new(faults, json_fault(&r->faults[i], a));
        json_object_set_new(root, "faults", faults);
    }
    if (strcmp(r->verb, "repair") == 0)
        json_object_set_new(root, "written", json_written(r, a));
    json_object_set_new(root, "proof", json_proof(r));
    json_object_set_new(root, "why", json_text(r->why));
    json_end(root, s, json_warnings(r));
    return json_print(root, a);
}
