/* Structure: nodes too many, nodes too few, operands in the wrong order, another operator. */
#include <string.h>

#include "locate/hunt.h"
#include "locate/zipper_parts.h"
#include "ops/op.h"

static bool moves_data(const struct node *n) {
    static const char *const ops[] = { "Transpose", "Reshape",   "Flatten",
                                       "Squeeze",   "Unsqueeze", "Identity" };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (node_is(n, ops[i]))
            return true;
    return false;
}

static bool is_elementwise(const struct node *n) {
    return n->def && n->def->flags & OP_ELEMENTWISE;
}

static bool feeds_op(const struct uses *u, const struct value *v, const char *op, int depth) {
    for (int i = 0; v && v->id < u->n_values && depth > 0 && i < u->n[v->id]; i++) {
        const struct node *n = u->of[v->id][i].node;
        if (node_is(n, op) || (moves_data(n) && n->n_out && feeds_op(u, n->out[0], op, depth - 1)))
            return true;
    }
    return false;
}

/* What a node that is there and should not be, or should be and is not, is called. `at`: value of
 * the target. */
const char *name_operator(const struct hunt *h, const struct node *n, const struct value *at,
                          bool missing) {
    const struct uses *u = missing ? h->z->al.source_uses : h->z->al.target_uses;
    if (node_is(n, "Transpose")) {
        const struct attr *perm = node_attr(n, "perm");
        bool keeps_channels = perm && perm->n > 2 && perm->ints[1] == 1;
        if (!missing && !keeps_channels &&
            (feeds_op(u, n->out[0], "Flatten", 3) || feeds_op(u, n->out[0], "Gemm", 3) ||
             feeds_op(u, n->out[0], "MatMul", 3)))
            return feeds_op(u, n->out[0], "Flatten", 2) || feeds_op(u, n->out[0], "Gemm", 3)
                       ? "flatten-dense-order"
                       : "transpose-equal-dims";
        return near_input(h, at) && !missing && at->is_input ? "preprocessing"
                                                             : "transpose-equal-dims";
    }
    static const char *const clips[] = { "Relu",      "Clip",        "LeakyRelu", "ThresholdedRelu",
                                         "Max",       "Min",         "Tanh",      "Sigmoid",
                                         "HardSwish", "HardSigmoid", "Elu",       "PRelu" };
    for (size_t i = 0; i < sizeof clips / sizeof *clips; i++)
        if (node_is(n, clips[i]))
            return "clip-bounds";
    if (node_is(n, "Pad"))
        return feeds_op(u, n->out[0], "MaxPool", 2) ? "maxpool-zero-pad" : "pad-side";
    if (node_is(n, "Floor") || node_is(n, "Ceil") || node_is(n, "Round") || node_is(n, "Cast"))
        return "integer-rounding";
    if (node_is(n, "Where") || node_is(n, "ScatterElements") || node_is(n, "ScatterND"))
        return "frozen-or-lost-semantics";
    if (node_is(n, "Reshape") || node_is(n, "Flatten"))
        return "transpose-equal-dims";
    if (near_input(h, at))
        return "preprocessing";
    if (node_is(n, "Mul") || node_is(n, "Div"))
        return "attribute-default";
    if (node_is(n, "Add") || node_is(n, "Sub"))
        return "bias-misbinding";
    if (node_is(n, "Slice"))
        return "attribute-default";
    return "structure";
}

static int data_input(const struct hunt *h, const struct node *n) {
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && trace_dynamic(h->z->target, n->in[i]))
            return i;
    return -1;
}

static bool only_dynamic_input(const struct hunt *h, const struct node *n, int *input) {
    int count = 0;
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && trace_dynamic(h->z->target, n->in[i])) {
            count++;
            *input = i;
        }
    return count == 1;
}

/* --- a node too many --- */

static void bypass_inside(struct hunt *h, struct node *n) {
    int input;
    if (n->n_out != 1 || !n->out[0] || !only_dynamic_input(h, n, &input) ||
        n->out[0]->dtype == DT_STRING)
        return;
    struct patch *p = patch_new(h->target, "bypass");
    patch_replace_uses(p, n->out[0], n->in[input]);
    patch_remove_node(p, n);
    struct candidate *c = hunt_add(h, name_operator(h, n, n->in[input], false), n, NULL, p, 20);
    candidate_detail(h, c, n->op, "(absent)", "present");
}

/* The producer of one of the region's inputs is left out, for the region's readers alone. */
static void bypass_before(struct hunt *h, const struct value *v) {
    struct node *n = v->producer;
    int input;
    if (!n || n->n_out != 1 || !only_dynamic_input(h, n, &input))
        return;
    struct patch *p = patch_new(h->target, "bypass");
    int readers = 0;
    for (int i = 0; i < h->r->n_nodes; i++)
        for (int k = 0; k < h->r->nodes[i]->n_in; k++)
            if (h->r->nodes[i]->in[k] == v) {
                patch_set_input(p, (struct node *)(size_t)h->r->nodes[i], k, n->in[input]);
                readers++;
            }
    if (!readers)
        return;
    if (readers == h->z->al.target_uses->n[v->id] && !v->is_output)
        patch_remove_node(p, n);
    struct candidate *c = hunt_add(h, name_operator(h, n, n->in[input], false), n, NULL, p, 21);
    candidate_detail(h, c, n->op, "(absent)", "present");
}

/* --- operands --- */

static void exchange(struct hunt *h, struct node *n, int a, int b) {
    struct patch *p = patch_new(h->target, "operands");
    struct value *x = n->in[a], *y = n->in[b];
    patch_set_input(p, n, a, y);
    patch_set_input(p, n, b, x);
    struct candidate *c = hunt_add(h, "operand-or-io-order", n, NULL, p, 19);
    candidate_detail(h, c, "inputs", arena_printf(h->arena, "%s,%s", y->name, x->name),
                     arena_printf(h->arena, "%s,%s", x->name, y->name));
}

static void exchanges(struct hunt *h, struct node *n) {
    static const char *const ordered[] = {
        "Sub",    "Div",     "Pow",     "Mod",         "MatMul",
        "Concat", "Less",    "Greater", "LessOrEqual", "GreaterOrEqual",
        "Gemm",   "BitShift"
    };
    bool ok = false;
    for (size_t i = 0; i < sizeof ordered / sizeof *ordered; i++)
        ok = ok || node_is(n, ordered[i]);
    int limit = node_is(n, "Concat") ? 6 : 2;
    for (int a = 0; ok && a < n->n_in && a < limit; a++)
        for (int b = a + 1; b < n->n_in && b < limit; b++)
            if (n->in[a] && n->in[b] && n->in[a] != n->in[b])
                exchange(h, n, a, b);
    if (node_is(n, "Where") && n->n_in == 3)
        exchange(h, n, 1, 2);
}

/* --- another operator --- */

static const char *name_exchange(const struct node *n, const struct node *m) {
    if ((node_is(n, "Mul") && node_is(m, "MatMul")) || (node_is(n, "MatMul") && node_is(m, "Mul")))
        return "operand-or-io-order";
    if (strstr(n->op, "Normalization") && strstr(m->op, "Normalization"))
        return "norm-mode";
    if (strstr(n->op, "Pool") && strstr(m->op, "Pool"))
        return "attribute-default";
    if (strncmp(n->op, "Reduce", 6) == 0)
        return "attribute-default";
    if (node_is(m, "Floor") || node_is(m, "Round") || node_is(m, "Ceil") || node_is(m, "Mod"))
        return "integer-rounding";
    if (node_is(m, "Relu") || node_is(m, "Clip") || node_is(m, "ThresholdedRelu"))
        return "clip-bounds";
    return "activation-constant";
}

static bool copyable(const struct node *m) {
    for (int i = 0; i < m->n_attrs; i++)
        if (!attr_copyable(&m->attrs[i]))
            return false;
    return !m->body && m->n_out >= 1 && m->out[0];
}

/* A new node that does what source node m does, on these values of the target in place of what m
 * reads; m's constants and attributes are copied. NULL: there are not enough values. */
static struct node *like(struct hunt *h, struct patch *p, struct node *before, const struct node *m,
                         struct value *const *data, int n_data) {
    struct value *in[8];
    if (!copyable(m) || m->n_in < 1 || m->n_in > 8)
        return NULL;
    int next = 0;
    for (int i = 0; i < m->n_in; i++) {
        in[i] = NULL;
        if (!m->in[i])
            continue;
        if (m->in[i]->constant)
            in[i] = graft_constant(h, p, m->in[i]);
        else if (trace_dynamic(h->z->source, m->in[i]) && next < n_data)
            in[i] = data[next++];
        if (!in[i])
            return NULL;
    }
    struct arena *a = h->target->arena;
    struct node *fresh = patch_node(p, h->target->graph, before, arena_str(a, m->op),
                                    arena_str(a, m->domain), in, m->n_in, 1);
    for (int i = 0; i < m->n_attrs; i++) {
        struct attr c = attr_copy(&m->attrs[i], a);
        *node_set_attr(fresh, c.name, c.type) = c;
    }
    return fresh;
}

/* Is m's only input that is no single number its first? */
static bool works_in_any_layout(const struct hunt *h, const struct node *m) {
    for (int i = 1; i < m->n_in; i++)
        if (m->in[i] && (!m->in[i]->constant || tensor_count(m->in[i]->constant) != 1))
            return false;
    return is_elementwise(m) && m->n_in > 0 && m->in[0] && trace_dynamic(h->z->source, m->in[0]);
}

static bool is_product(const struct node *n) {
    return node_is(n, "Conv") || node_is(n, "ConvTranspose") || node_is(n, "Gemm") ||
           node_is(n, "MatMul");
}

/* A node of the source's kind in n's place: n's data inputs, the source's constants and attributes.
 */
static void replace_operator(struct hunt *h, struct node *n, const struct node *m) {
    if (n->n_out != 1 || strcmp(n->op, m->op) == 0 || (is_product(n) && is_product(m)) ||
        (h->r->view.n_permute && !works_in_any_layout(h, m)))
        return;
    struct value *data[8];
    int n_data = 0;
    for (int i = 0; i < n->n_in && n_data < 8; i++)
        if (n->in[i] && trace_dynamic(h->z->target, n->in[i]))
            data[n_data++] = n->in[i];
    struct patch *p = patch_new(h->target, "operator");
    struct node *fresh = like(h, p, n, m, data, n_data);
    if (!fresh)
        return;
    fresh->out[0]->dtype = n->out[0]->dtype;
    patch_replace_uses(p, n->out[0], fresh->out[0]);
    patch_remove_node(p, n);
    struct candidate *c = hunt_add(h, name_exchange(n, m), n, m, p, 22);
    candidate_detail(h, c, "operator", m->op, n->op);
}

/* --- a node too few --- */

/* What is missing when m is: m itself, or what stands before it in the region when m only moves
 * data. */
static const struct node *first_meaning(const struct hunt *h, const struct node *m) {
    const struct node *n = m;
    while (moves_data(n) && n->in[0] && n->in[0]->producer) {
        bool inside = false;
        for (int i = 0; i < h->r->n_source_nodes; i++)
            inside = inside || h->r->source_nodes[i] == n->in[0]->producer;
        if (!inside)
            break;
        n = n->in[0]->producer;
    }
    return moves_data(n) ? m : n;
}

static int count_op(const struct node *const *nodes, int n, const char *op) {
    int count = 0;
    for (int i = 0; i < n; i++)
        count += strcmp(nodes[i]->op, op) == 0;
    return count;
}

/* Is an operator added that the target's region has as often as the source's? Then that node is
 * there and would only be computed again, with the source's constants. */
static bool computes_again(const struct hunt *h, const struct patch *p) {
    for (int i = 0; i < p->n; i++) {
        const struct node *n = p->edits[i].kind == EDIT_ADD_NODE ? p->edits[i].node : NULL;
        int added = 0;
        if (!n || moves_data(n))
            continue;
        for (int k = 0; k < p->n; k++)
            added += p->edits[k].kind == EDIT_ADD_NODE && strcmp(p->edits[k].node->op, n->op) == 0;
        if (count_op(h->r->nodes, h->r->n_nodes, n->op) + added >
            count_op(h->r->source_nodes, h->r->n_source_nodes, n->op))
            return true;
    }
    return false;
}

static bool stands_for(const struct hunt *h, const struct value *t, const struct value *s) {
    return t->id < h->z->al.n_link && h->z->al.link[t->id].source == s;
}

/* What m does, done to the target's value v. */
static struct value *on(struct hunt *h, struct patch *p, struct node *before, const struct node *m,
                        struct value *v) {
    struct node *fresh = like(h, p, before, m, &v, 1);
    if (!fresh)
        return NULL;
    fresh->out[0]->dtype = v->dtype;
    return fresh->out[0];
}

/* The value that source node m makes, put on the edge from `at` to input k of the region's node n.
 */
static void insert_copy(struct hunt *h, const struct node *m, struct value *at, struct node *n,
                        int k) {
    const struct tensor *have = trace_value(h->z->target, at, 0),
                        *want = trace_value(h->z->source, m->out[0], 0);
    if (!have || !want || have->kind != KIND_TENSOR || want->kind != KIND_TENSOR ||
        have->rank != want->rank)
        return;
    struct patch *p = patch_new(h->target, "insert");
    struct value *fresh = works_in_any_layout(h, m) && stands_for(h, at, m->in[0])
                              ? on(h, p, n, m, at)
                              : graft_value(h, p, n, m->out[0]);
    if (!fresh || computes_again(h, p))
        return;
    patch_set_input(p, n, k, fresh);
    const struct node *says = first_meaning(h, m);
    const char *cause = name_operator(h, says, at, true);
    /* an activation that is missing belongs to the node before it, a bias to a product before it */
    struct pair_view view;
    bool bias = strcmp(cause, "bias-misbinding") == 0 && at->producer && is_product(at->producer);
    const struct value *before = bias ? at
                                 : strcmp(cause, "clip-bounds") == 0 && says->in[0]
                                     ? target_of(h, n, says->in[0], &view)
                                     : NULL;
    const struct node *blamed = before && before->producer ? before->producer : n;
    /* what only moves data belongs to a mover that is there */
    if (moves_data(says) && !moves_data(n) && at->producer && moves_data(at->producer))
        blamed = at->producer;
    struct candidate *c = hunt_add(h, cause, blamed, says, p, 23);
    candidate_detail(h, c, says->op, "present", "(absent)");
}

static bool target_has(const struct hunt *h, const struct node *m) {
    return count_op(h->r->nodes, h->r->n_nodes, m->op) >=
           count_op(h->r->source_nodes, h->r->n_source_nodes, m->op);
}

/* What source node m does to a value of which the target has the one before: for all who read it.
 */
static void insert_for_all(struct hunt *h, const struct node *m, struct value *v) {
    const struct uses *u = h->z->al.target_uses;
    int readers = u->n[v->id];
    if (readers < 2 || v->is_output || !works_in_any_layout(h, m) || !stands_for(h, v, m->in[0]))
        return;
    struct node *first = NULL;
    for (int i = 0; i < readers; i++) {
        struct node *n = (struct node *)(size_t)u->of[v->id][i].node;
        if (n->graph != v->graph)
            return;
        first = !first || n->id < first->id ? n : first;
    }
    struct patch *p = patch_new(h->target, "insert for all");
    struct value *fresh = on(h, p, first, m, v);
    if (!fresh || computes_again(h, p))
        return;
    for (int i = 0; i < readers; i++)
        patch_set_input(p, (struct node *)(size_t)u->of[v->id][i].node, u->of[v->id][i].input,
                        fresh);
    const struct node *says = first_meaning(h, m);
    struct candidate *c = hunt_add(h, name_operator(h, says, v, true),
                                   v->producer ? v->producer : first, says, p, 22);
    candidate_detail(h, c, says->op, "present", "(absent)");
}

static void insertions(struct hunt *h, const struct node *m) {
    if (!trace_dynamic(h->z->source, m->out[0]))
        return;
    for (int i = 0; i < h->r->n_inputs && !h->solved; i++)
        insert_for_all(h, m, (struct value *)(size_t)h->r->inputs[i]);
    if (target_has(h, m))
        return;
    int tries = 0;
    for (int i = 0; i < h->r->n_inputs && moves_data(m) && !h->solved; i++) {
        struct node *n = h->r->inputs[i]->producer;
        if (n && moves_data(n) && n->in[0] && trace_dynamic(h->z->target, n->in[0]))
            insert_copy(h, m, n->in[0], n, 0);
    }
    for (int i = 0; i < h->r->n_nodes && !h->solved; i++) {
        struct node *n = (struct node *)(size_t)h->r->nodes[i];
        for (int k = 0; k < n->n_in && tries < 24; k++)
            if (n->in[k] && trace_dynamic(h->z->target, n->in[k])) {
                struct trip trip;
                tries++;
                /* what comes before a round trip through integers is missing before it */
                if (trip_of(n->in[k], &trip) && !trip.moved)
                    insert_copy(h, m, (struct value *)(size_t)trip.before, trip.quantize, 0);
                if (!h->solved)
                    insert_copy(h, m, n->in[k], n, k);
            }
    }
}

/* The transpose exchanges two axes of equal length more, or fewer. */
static void turn(struct hunt *h, struct node *n) {
    const struct attr *have = node_attr(n, "perm");
    const struct tensor *y = n->n_out == 1 ? trace_value(h->z->target, n->out[0], 0) : NULL;
    if (!have || have->type != ATTR_INTS || !y || have->n != y->rank)
        return;
    for (int i = 0; i < y->rank && !h->solved; i++)
        for (int k = i + 1; k < y->rank && !h->solved; k++) {
            if (y->dim[i] != y->dim[k] || y->dim[i] < 2)
                continue;
            struct attr a = attr_copy(have, h->target->arena);
            int64_t *perm =
                arena_copy(h->target->arena, have->ints, (size_t)have->n * sizeof *have->ints);
            perm[i] = have->ints[k];
            perm[k] = have->ints[i];
            a.ints = perm;
            struct patch *p = patch_new(h->target, "perm");
            patch_set_attr(p, n, &a);
            struct candidate *c = hunt_add(h, name_attribute(n, "perm"), n, NULL, p, 21);
            candidate_detail(h, c, "perm", attr_text(&a, h->arena), attr_text(have, h->arena));
        }
}

/* Transposes before the region, through values that matched only under a view. */
static void upstream(struct hunt *h, const struct value *v,
                     void (*edit)(struct hunt *, struct node *), int depth, int *tries) {
    struct node *n = v ? v->producer : NULL;
    if (!n || depth > 8 || *tries > 8 || v->id >= h->z->al.n_link)
        return;
    if (node_is(n, "Transpose") && n->n_out == 1) {
        (*tries)++;
        edit(h, n);
    }
    for (int i = 0; i < n->n_in && !h->solved; i++)
        if (n->in[i] && trace_dynamic(h->z->target, n->in[i]))
            upstream(h, n->in[i], edit, depth + 1, tries);
}

static void all_upstream(struct hunt *h, void (*edit)(struct hunt *, struct node *)) {
    int tries = 0;
    for (int i = 0; i < h->r->n_inputs && !h->solved; i++)
        upstream(h, h->r->inputs[i], edit, 0, &tries);
}

/* The source's last node is missing: it is added behind the region's end. */
static void append(struct hunt *h) {
    const struct node *m = h->r->source->producer;
    struct value *t = (struct value *)(size_t)h->r->target;
    if (!m || !t->producer || target_has(h, m) || (h->r->view.n_permute && !is_elementwise(m)))
        return;
    struct patch *p = patch_new(h->target, "append");
    struct node *fresh = like(h, p, NULL, m, &t, 1);
    if (!fresh)
        return;
    fresh->out[0]->dtype = t->dtype;
    patch_replace_uses(p, t, fresh->out[0]);
    struct candidate *c = hunt_add(h, name_operator(h, m, t, true), t->producer, m, p, 23);
    candidate_detail(h, c, m->op, "present", "(absent)");
}

static bool region_is_small(const struct hunt *h) {
    return h->r->n_nodes <= 24 && h->r->n_source_nodes <= 24;
}

void hunt_graph(struct hunt *h) {
    for (int i = 0; i < h->r->n_nodes && i < 40; i++) {
        struct node *n = (struct node *)(size_t)h->r->nodes[i];
        if (data_input(h, n) < 0)
            continue;
        exchanges(h, n);
        bypass_inside(h, n);
    }
    for (int i = 0; i < h->r->n_inputs; i++)
        bypass_before(h, h->r->inputs[i]);
    all_upstream(h, bypass_inside);
    for (int i = 0; i < h->r->n_nodes && !h->solved; i++)
        if (node_is(h->r->nodes[i], "Transpose"))
            turn(h, (struct node *)(size_t)h->r->nodes[i]);
    all_upstream(h, turn);
    if (h->solved || !region_is_small(h))
        return;
    for (int i = 0; i < h->r->n_nodes && !h->solved; i++)
        for (int k = 0; k < h->r->n_source_nodes && !h->solved; k++)
            if (data_input(h, h->r->nodes[i]) >= 0)
                replace_operator(h, (struct node *)(size_t)h->r->nodes[i], h->r->source_nodes[k]);
    append(h);
    for (int k = 0; k < h->r->n_source_nodes && !h->solved; k++)
        insertions(h, h->r->source_nodes[k]);
}
