/* FunctionProto: a call of a model-local function gets a body of its own, with the call's
 * attributes put in. */
#include <string.h>

#include "formats/onnx/onnx.h"

static enum status read_header(struct onnx_reader *r, struct span s, struct onnx_function *fn,
                               const char **overload) {
    struct cursor c = cursor_of(r->base, s.begin, s.end);
    struct pb_field f;
    *fn = (struct onnx_function) { .span = s, .name = "", .domain = "" };
    *overload = "";
    while (pb_next(&c, &f)) {
        if (f.number == FUNCTION_NAME)
            fn->name = onnx_string(r, &f);
        else if (f.number == FUNCTION_DOMAIN)
            fn->domain = onnx_string(r, &f);
        else if (f.number == FUNCTION_OVERLOAD)
            *overload = onnx_string(r, &f);
    }
    if (c.failed)
        return onnx_bad_wire(r, &c, "FunctionProto");
    if (strcmp(fn->domain, "ai.onnx") == 0)
        fn->domain = "";
    return onnx_read_opsets(r, s, FUNCTION_OPSET_IMPORT, &fn->opsets);
}

enum status onnx_read_functions(struct onnx_reader *r) {
    struct cursor c = cursor_of(r->base, 0, r->size);
    struct pb_field f;
    while (pb_next(&c, &f)) {
        if (f.number != MODEL_FUNCTIONS || f.wire != PB_BYTES)
            continue;
        struct onnx_function *fn = NEW(r->a, struct onnx_function);
        const char *overload;
        TRY(read_header(r, (struct span) { f.begin, f.end }, fn, &overload));
        const char *key = arena_printf(r->a, "%s:%s:%s", fn->domain, fn->name, overload);
        FAIL_IF(strmap_has(&r->functions, key), r->e, STATUS_CORRUPT,
                "function '%s' of domain '%s' is defined twice", fn->name, fn->domain);
        strmap_put(&r->functions, key, fn);
    }
    return OK;
}

static enum status declare_inputs(struct onnx_reader *r, struct onnx_scope *scope, struct span s,
                                  const struct node *call) {
    struct cursor c = cursor_of(r->base, s.begin, s.end);
    struct pb_field f;
    int i = 0;
    while (pb_next(&c, &f)) {
        if (f.number != FUNCTION_INPUT || f.wire != PB_BYTES)
            continue;
        const char *name = onnx_string(r, &f);
        struct value *v;
        TRY(onnx_declare(r, scope, name, &v));
        v->origin.offset = (int64_t)f.begin;
        graph_add_input(scope->graph, v);
        /* An input that the call leaves out is left out in the body too. */
        if (i >= call->n_in || !call->in[i])
            strmap_put(&scope->values, name, NULL);
        i++;
    }
    FAIL_IF(call->n_in > i, r->e, STATUS_CORRUPT, "a call with %d inputs of a function that has %d",
            call->n_in, i);
    return OK;
}

static enum status read_outputs(struct onnx_reader *r, struct onnx_scope *scope, struct span s,
                                const struct node *call) {
    struct cursor c = cursor_of(r->base, s.begin, s.end);
    struct pb_field f;
    while (pb_next(&c, &f)) {
        if (f.number != FUNCTION_OUTPUT || f.wire != PB_BYTES)
            continue;
        const char *name = onnx_string(r, &f);
        struct value *v = strmap_get(&scope->values, name);
        FAIL_IF(!v, r->e, STATUS_CORRUPT,
                "output '%s' of the function is made by none of its nodes", name);
        graph_add_output(scope->graph, v);
    }
    FAIL_IF(call->n_out > scope->graph->n_outputs, r->e, STATUS_CORRUPT,
            "a call with %d outputs of a function that has %d", call->n_out,
            scope->graph->n_outputs);
    return OK;
}

static enum status expand(struct onnx_reader *r, struct node *call, struct onnx_function *fn) {
    struct graph *g = graph_new(r->m, call->graph, fn->name);
    struct onnx_graph_place place = { fn->span, fn };
    g->index = r->notes->n_graphs;
    PUSH(r->a, r->notes->graphs, r->notes->n_graphs, place);
    struct onnx_scope scope = { .graph = g, .call = call, .function = fn };
    strmap_init(&scope.values, r->a);
    TRY(declare_inputs(r, &scope, fn->span, call));
    TRY(onnx_declare_outputs(r, &scope, fn->span, FUNCTION_NODE));
    TRY(onnx_read_nodes(r, &scope, fn->span, FUNCTION_NODE));
    TRY(read_outputs(r, &scope, fn->span, call));
    call->body = g;
    return OK;
}

enum status onnx_expand_call(struct onnx_reader *r, struct node *call, const char *key) {
    struct onnx_function *fn = strmap_get(&r->functions, key);
    FAIL_IF(fn->open, r->e, STATUS_CORRUPT, "function '%s' calls itself", fn->name);
    TRY(onnx_deeper(r));
    const struct opsets *outer = r->opsets;
    if (fn->opsets.n)
        r->opsets = &fn->opsets;
    fn->open = true;
    fn->n_calls++;
    TRY(expand(r, call, fn));
    fn->open = false;
    r->opsets = outer;
    r->depth--;
    return OK;
}
