/* Edits are values. A patch says which nodes it takes away, adds and rewires; passes, causes and
 * repairs all use it; it is applied whole or not at all, and can be taken back. The writers of the
 * formats turn the same patches into changes of the file, touching nothing else. */
#ifndef IR_PATCH_H
#define IR_PATCH_H

#include "ir/ir.h"

enum edit_kind {
    EDIT_SET_ATTR,  /* node: attribute attr.name becomes attr; type ATTR_NONE takes it away */
    EDIT_SET_OP,    /* node: becomes operator op of domain (inputs and attributes stay) */
    EDIT_SET_INPUT, /* node: input `index` becomes value (NULL: left out; index == n_in appends) */
    EDIT_SET_CONSTANT, /* value (a constant): contents become tensor, for all its readers */
    EDIT_ADD_CONSTANT, /* value: a new constant made by patch_constant */
    EDIT_ADD_NODE, /* node: a new node made by patch_node, placed before `before` (NULL: at the end)
                    */
    EDIT_REMOVE_NODE,  /* node: taken out; its outputs must have no readers left */
    EDIT_REPLACE_USES, /* every reader of `value` (graph outputs too), nodes added by this patch
                          excepted, reads `with` */
    EDIT_SET_OUTPUT, /* graph: output `index` becomes value. The output's public name stays that of
                      * the old value: in a graph that stands alone the two values swap names
                      * (REPLACE_USES does so as well). A value whose own name is public (input,
                      * other output) cannot take its place: put Identity between */
    EDIT_SET_INPUT_ORDER, /* graph: input `index` of the main graph becomes value (a permutation of
                             inputs) */
};

struct edit {
    enum edit_kind kind;
    struct node *node, *before;
    struct value *value, *with;
    struct graph *graph;
    int index;
    struct attr attr;
    const char *op, *domain;
    struct tensor *tensor;
};

struct patch {
    const char *title;
    struct model *model;
    struct edit *edits; /* in the model's arena */
    int n;
    void *undo;          /* set while applied */
    struct patch *below; /* applied before this one; set while applied */
};

struct patch *patch_new(struct model *m, const char *title);
/* Makers that record the edit and return what was made. Names must be new in the model: patch_name
 * makes one. patch_node makes the outputs as well (n->out[i], dtype and shape unknown: fill them in
 * when known). Until ops_bind runs again a new node and one with a new operator have no row
 * (node->def). */
const char *patch_name(struct model *m, const char *stem);
struct value *patch_constant(struct patch *p, struct graph *g, const char *stem, struct tensor *t);
struct node *patch_node(struct patch *p, struct graph *g, struct node *before, const char *op,
                        const char *domain, struct value *const *in, int n_in, int n_out);
void patch_set_attr(struct patch *p, struct node *n, const struct attr *a);
void patch_set_int(struct patch *p, struct node *n, const char *name, int64_t v);
void patch_set_float(struct patch *p, struct node *n, const char *name, double v);
void patch_set_string(struct patch *p, struct node *n, const char *name, const char *v);
void patch_set_ints(struct patch *p, struct node *n, const char *name, const int64_t *v, int n_v);
void patch_remove_attr(struct patch *p, struct node *n, const char *name);
void patch_set_op(struct patch *p, struct node *n, const char *op, const char *domain);
void patch_set_input(struct patch *p, struct node *n, int index, struct value *v);
void patch_set_constant(struct patch *p, struct value *v, struct tensor *t);
void patch_remove_node(struct patch *p, struct node *n);
void patch_replace_uses(struct patch *p, struct value *v, struct value *with);
void patch_set_output(struct patch *p, struct graph *g, int index, struct value *v);
void patch_set_input_order(struct patch *p, struct graph *g, int index, struct value *v);

/* Applies all edits in their order, or none and says why. Nodes that would then be read before they
 * are computed are moved up, the others keep their order. After it the model verifies. */
enum status patch_apply(struct patch *p, struct err *e);
/* Puts the model back to what it was. Patches are taken back in the opposite order of applying. */
void patch_undo(struct patch *p);

#endif
