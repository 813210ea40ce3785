/* TreeEnsemble, TreeEnsembleRegressor, TreeEnsembleClassifier: all three as one table of nodes,
 * whose leaves are lists of votes (a target and a weight). Votes are added in the order of the
 * trees; base values after them. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/map.h"
#include "ops/ml_scores.h"
#include "ops/row.h"

enum mode { LEQ, LESS, GTE, GREATER, EQUAL, NOT_EQUAL, MEMBER, LEAF };
enum aggregate { AVERAGE, SUM, MIN, MAX };

struct tree_node {
    enum mode mode;
    int64_t feature;
    double split;
    bool missing_is_true;
    int64_t yes, no;            /* node numbers; as -1 - v: vote v of the new form */
    int64_t members, n_members; /* of mode MEMBER, in ensemble.members */
    int64_t first_vote;         /* leaf of the old form: a list through vote.next, -1 none */
};

struct vote {
    int64_t target, next;
    double weight;
};

struct ensemble {
    struct tree_node *nodes;
    int64_t n_nodes;
    int64_t *roots;
    int64_t n_roots;
    struct vote *votes;
    int64_t n_votes, n_targets;
    double *members, *base;
    int64_t n_base;
    enum aggregate aggregate;
    bool has_members;
};

/* A list of numbers from attribute `name`, or from the tensor attribute `name`_as_tensor. */
struct numbers {
    const double *floats;
    const int64_t *ints;
    const struct tensor *tensor;
    int64_t n;
};

static struct numbers numbers(const struct node *n, const char *name, const char *tensor) {
    const struct attr *a = name ? attr_find(n, name) : NULL,
                      *t = tensor ? attr_find(n, tensor) : NULL;
    if (t && t->tensor)
        return (struct numbers) { .tensor = t->tensor, .n = tensor_count(t->tensor) };
    return a ? (struct numbers) { .floats = a->floats, .ints = a->ints, .n = a->n }
             : (struct numbers) { .n = 0 };
}

static double number(const struct numbers *l, int64_t i) {
    return l->tensor ? tensor_f64(l->tensor, i) : l->floats ? l->floats[i] : (double)l->ints[i];
}

static enum status same_length(const struct numbers *l, int64_t n, const char *name, bool optional,
                               struct err *e) {
    FAIL_IF(l->n != n && !(optional && l->n == 0), e, STATUS_CORRUPT,
            "%s has %lld elements; %lld are asked for", name, (long long)l->n, (long long)n);
    return OK;
}

static enum status read_mode(const char *name, enum mode *out, struct err *e) {
    static const char *const names[] = { "BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE",    "BRANCH_GT",
                                         "BRANCH_EQ",  "BRANCH_NEQ", "BRANCH_MEMBER", "LEAF" };
    for (int i = 0; i < 8; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (enum mode)i;
            return OK;
        }
    return err_set(e, STATUS_CORRUPT, "the node mode '%s' is not known", name);
}

static bool tree_key(int64_t tree, int64_t node, uint64_t *key) {
    *key = (uint64_t)tree << 32 | (uint64_t)node;
    return tree >= 0 && node >= 0 && tree <= INT32_MAX && node <= INT32_MAX;
}

/* Branches of the old form: nodes are named by tree and node number. */
static enum status link_nodes(const struct node *n, struct ensemble *t, struct intmap *index,
                              struct arena *a, struct err *e) {
    struct numbers tree = numbers(n, "nodes_treeids", NULL), id = numbers(n, "nodes_nodeids", NULL);
    struct numbers yes = numbers(n, "nodes_truenodeids", NULL),
                   no = numbers(n, "nodes_falsenodeids", NULL);
    struct intmap roots;
    uint64_t key, found;
    TRY(same_length(&tree, t->n_nodes, "nodes_treeids", false, e));
    TRY(same_length(&id, t->n_nodes, "nodes_nodeids", false, e));
    TRY(same_length(&yes, t->n_nodes, "nodes_truenodeids", false, e));
    TRY(same_length(&no, t->n_nodes, "nodes_falsenodeids", false, e));
    intmap_init(index, a);
    intmap_init(&roots, a);
    t->roots = NEW_ARRAY(a, t->n_nodes + 1, int64_t);
    for (int64_t i = 0; i < t->n_nodes; i++) {
        FAIL_IF(!tree_key(tree.ints[i], id.ints[i], &key), e, STATUS_UNSUPPORTED,
                "node %lld of tree %lld", (long long)id.ints[i], (long long)tree.ints[i]);
        intmap_put(index, key, (uint64_t)i);
        if (!intmap_get(&roots, (uint64_t)tree.ints[i], &found)) {
            intmap_put(&roots, (uint64_t)tree.ints[i], 1);
            t->roots[t->n_roots++] = i;
        }
    }
    for (int64_t i = 0; i < t->n_nodes; i++) {
        struct tree_node *node = &t->nodes[i];
        for (int side = 0; side < 2 && node->mode != LEAF; side++) {
            int64_t to = side ? no.ints[i] : yes.ints[i];
            FAIL_IF(!tree_key(tree.ints[i], to, &key) || !intmap_get(index, key, &found), e,
                    STATUS_CORRUPT, "tree %lld has no node %lld", (long long)tree.ints[i],
                    (long long)to);
            *(side ? &node->no : &node->yes) = (int64_t)found;
        }
    }
    return OK;
}

/* Votes of the old form, with the attribute prefix `class` or `target`. */
static enum status read_votes(const struct node *n, const char *const names[5], struct ensemble *t,
                              struct intmap *index, struct arena *a, struct err *e) {
    struct numbers tree = numbers(n, names[0], NULL), id = numbers(n, names[1], NULL),
                   target = numbers(n, names[2], NULL);
    struct numbers weight = numbers(n, names[3], names[4]);
    int64_t *last = NEW_ARRAY(a, t->n_nodes + 1, int64_t);
    t->n_votes = weight.n;
    TRY(same_length(&tree, t->n_votes, names[0], false, e));
    TRY(same_length(&id, t->n_votes, names[1], false, e));
    TRY(same_length(&target, t->n_votes, names[2], false, e));
    t->votes = NEW_ARRAY(a, t->n_votes + 1, struct vote);
    for (int64_t i = 0; i < t->n_votes; i++) {
        uint64_t key, leaf;
        FAIL_IF(!tree_key(tree.ints[i], id.ints[i], &key) || !intmap_get(index, key, &leaf), e,
                STATUS_CORRUPT, "a weight is of node %lld of tree %lld, which does not exist",
                (long long)id.ints[i], (long long)tree.ints[i]);
        t->votes[i] = (struct vote) { target.ints[i], -1, number(&weight, i) };
        FAIL_IF(target.ints[i] < 0 || target.ints[i] >= t->n_targets, e, STATUS_CORRUPT,
                "target %lld of %lld", (long long)target.ints[i], (long long)t->n_targets);
        if (t->nodes[leaf].first_vote < 0)
            t->nodes[leaf].first_vote = i;
        else
            t->votes[last[leaf]].next = i;
        last[leaf] = i;
    }
    return OK;
}

static enum status read_base(const struct node *n, struct ensemble *t, struct arena *a,
                             struct err *e) {
    struct numbers base = numbers(n, "base_values", "base_values_as_tensor");
    FAIL_IF(base.n > t->n_targets && t->n_targets, e, STATUS_CORRUPT,
            "%lld base values for %lld targets", (long long)base.n, (long long)t->n_targets);
    t->n_base = base.n;
    t->base = NEW_ARRAY(a, base.n + 1, double);
    for (int64_t i = 0; i < base.n; i++)
        t->base[i] = number(&base, i);
    return OK;
}

static enum status read_old(const struct node *n, const char *const votes[5], struct ensemble *t,
                            struct arena *a, struct err *e) {
    const struct attr *modes = attr_find(n, "nodes_modes");
    struct numbers feature = numbers(n, "nodes_featureids", NULL),
                   split = numbers(n, "nodes_values", "nodes_values_as_tensor");
    struct numbers missing = numbers(n, "nodes_missing_value_tracks_true", NULL);
    struct intmap index;
    t->n_nodes = modes ? modes->n : 0;
    t->nodes = NEW_ARRAY(a, t->n_nodes + 1, struct tree_node);
    TRY(same_length(&feature, t->n_nodes, "nodes_featureids", false, e));
    TRY(same_length(&split, t->n_nodes, "nodes_values", false, e));
    TRY(same_length(&missing, t->n_nodes, "nodes_missing_value_tracks_true", true, e));
    for (int64_t i = 0; i < t->n_nodes; i++) {
        struct tree_node *node = &t->nodes[i];
        *node = (struct tree_node) { .feature = feature.ints[i],
                                     .split = number(&split, i),
                                     .first_vote = -1,
                                     .missing_is_true = missing.n && missing.ints[i] };
        TRY(read_mode(modes->strings[i], &node->mode, e));
        FAIL_IF(node->mode == MEMBER, e, STATUS_CORRUPT, "BRANCH_MEMBER in %s", n->op);
    }
    TRY(link_nodes(n, t, &index, a, e));
    TRY(read_votes(n, votes, t, &index, a, e));
    return read_base(n, t, a, e);
}

/* The member lists, one after the other, each ended by NaN. */
static enum status read_members(const struct node *n, struct ensemble *t, struct arena *a,
                                struct err *e) {
    struct numbers list = numbers(n, NULL, "membership_values");
    int64_t at = 0;
    t->members = NEW_ARRAY(a, list.n + 1, double);
    for (int64_t i = 0; i < list.n; i++)
        t->members[i] = number(&list, i);
    for (int64_t i = 0; i < t->n_nodes; i++) {
        if (t->nodes[i].mode != MEMBER)
            continue;
        FAIL_IF(at >= list.n, e, STATUS_CORRUPT, "membership_values lacks the members of node %lld",
                (long long)i);
        t->nodes[i].members = at;
        while (at < list.n && !isnan(t->members[at]))
            at++;
        t->nodes[i].n_members = at - t->nodes[i].members;
        at++;
    }
    return OK;
}

static enum status read_leaves(const struct node *n, struct ensemble *t, struct arena *a,
                               struct err *e) {
    struct numbers target = numbers(n, "leaf_targetids", NULL),
                   weight = numbers(n, NULL, "leaf_weights");
    t->n_votes = weight.n;
    TRY(same_length(&target, t->n_votes, "leaf_targetids", false, e));
    t->votes = NEW_ARRAY(a, t->n_votes + 1, struct vote);
    for (int64_t i = 0; i < t->n_votes; i++) {
        FAIL_IF(target.ints[i] < 0 || target.ints[i] >= t->n_targets, e, STATUS_CORRUPT,
                "target %lld of %lld", (long long)target.ints[i], (long long)t->n_targets);
        t->votes[i] = (struct vote) { target.ints[i], -1, number(&weight, i) };
    }
    return OK;
}

static enum status read_new(const struct node *n, struct ensemble *t, struct arena *a,
                            struct err *e) {
    struct numbers modes = numbers(n, NULL, "nodes_modes"),
                   split = numbers(n, NULL, "nodes_splits");
    struct numbers feature = numbers(n, "nodes_featureids", NULL),
                   roots = numbers(n, "tree_roots", NULL);
    struct numbers missing = numbers(n, "nodes_missing_value_tracks_true", NULL);
    struct numbers to[2] = { numbers(n, "nodes_truenodeids", NULL),
                             numbers(n, "nodes_falsenodeids", NULL) };
    struct numbers leaf[2] = { numbers(n, "nodes_trueleafs", NULL),
                               numbers(n, "nodes_falseleafs", NULL) };
    t->n_nodes = modes.n;
    t->nodes = NEW_ARRAY(a, t->n_nodes + 1, struct tree_node);
    TRY(read_leaves(n, t, a, e));
    TRY(same_length(&split, t->n_nodes, "nodes_splits", false, e));
    TRY(same_length(&feature, t->n_nodes, "nodes_featureids", false, e));
    TRY(same_length(&missing, t->n_nodes, "nodes_missing_value_tracks_true", true, e));
    for (int k = 0; k < 2; k++) {
        TRY(same_length(&to[k], t->n_nodes, k ? "nodes_falsenodeids" : "nodes_truenodeids", false,
                        e));
        TRY(same_length(&leaf[k], t->n_nodes, k ? "nodes_falseleafs" : "nodes_trueleafs", false,
                        e));
    }
    for (int64_t i = 0; i < t->n_nodes; i++) {
        int64_t next[2], mode = (int64_t)number(&modes, i);
        FAIL_IF(mode < 0 || mode > MEMBER, e, STATUS_CORRUPT, "the node mode %lld is not known",
                (long long)mode);
        for (int k = 0; k < 2; k++) {
            int64_t limit = leaf[k].ints[i] ? t->n_votes : t->n_nodes;
            FAIL_IF(to[k].ints[i] < 0 || to[k].ints[i] >= limit, e, STATUS_CORRUPT,
                    "node %lld goes on to %lld of %lld", (long long)i, (long long)to[k].ints[i],
                    (long long)limit);
            next[k] = leaf[k].ints[i] ? -1 - to[k].ints[i] : to[k].ints[i];
        }
        t->nodes[i] = (struct tree_node) { .mode = (enum mode)mode,
                                           .feature = feature.ints[i],
                                           .split = number(&split, i),
                                           .missing_is_true = missing.n && missing.ints[i],
                                           .yes = next[0],
                                           .no = next[1],
                                           .first_vote = -1 };
    }
    t->n_roots = roots.n;
    t->roots = NEW_ARRAY(a, roots.n + 1, int64_t);
    for (int64_t i = 0; i < roots.n; i++) {
        FAIL_IF(roots.ints[i] < 0 || roots.ints[i] >= t->n_nodes, e, STATUS_CORRUPT,
                "root %lld of %lld nodes", (long long)roots.ints[i], (long long)t->n_nodes);
        t->roots[i] = roots.ints[i];
    }
    return read_members(n, t, a, e);
}

static bool is_member(const struct ensemble *t, const struct tree_node *n, double v) {
    for (int64_t i = 0; i < n->n_members; i++)
        if (t->members[n->members + i] == v)
            return true;
    return false;
}

static bool goes_yes(const struct ensemble *t, const struct tree_node *n, double v) {
    if (isnan(v))
        return n->missing_is_true;
    switch (n->mode) {
    case LEQ:
        return v <= n->split;
    case LESS:
        return v < n->split;
    case GTE:
        return v >= n->split;
    case GREATER:
        return v > n->split;
    case EQUAL:
        return v == n->split;
    case NOT_EQUAL:
        return v != n->split;
    default:
        return is_member(t, n, v);
    }
}

static void cast_vote(const struct ensemble *t, const struct vote *v, double *scores, bool *voted) {
    double *s = &scores[v->target];
    if (t->aggregate == MIN || t->aggregate == MAX)
        *s = !voted[v->target] || (t->aggregate == MIN ? v->weight < *s : v->weight > *s)
                 ? v->weight
                 : *s;
    else
        *s += t->aggregate == AVERAGE ? v->weight / (double)t->n_roots : v->weight;
    voted[v->target] = true;
}

/* Scores of one row of `columns` features, without base values. */
static enum status run_row(const struct ensemble *t, const struct tensor *x, int64_t from,
                           int64_t columns, double *scores, bool *voted, struct err *e) {
    memset(scores, 0, (size_t)t->n_targets * sizeof *scores);
    memset(voted, 0, (size_t)t->n_targets * sizeof *voted);
    for (int64_t r = 0; r < t->n_roots; r++) {
        int64_t at = t->roots[r], steps = 0;
        while (at >= 0 && t->nodes[at].mode != LEAF) {
            const struct tree_node *n = &t->nodes[at];
            FAIL_IF(steps++ > t->n_nodes, e, STATUS_CORRUPT, "the tree of root %lld has a cycle",
                    (long long)t->roots[r]);
            FAIL_IF(n->feature < 0 || n->feature >= columns, e, STATUS_CORRUPT,
                    "feature %lld of %lld", (long long)n->feature, (long long)columns);
            at = goes_yes(t, n, tensor_f64(x, from + n->feature)) ? n->yes : n->no;
        }
        if (at < 0)
            cast_vote(t, &t->votes[-1 - at], scores, voted);
        for (int64_t v = at < 0 ? -1 : t->nodes[at].first_vote; v >= 0; v = t->votes[v].next)
            cast_vote(t, &t->votes[v], scores, voted);
    }
    return OK;
}

static const char *const target_votes[] = { "target_treeids", "target_nodeids", "target_ids",
                                            "target_weights", "target_weights_as_tensor" };
static const char *const class_votes[] = { "class_treeids", "class_nodeids", "class_ids",
                                           "class_weights", "class_weights_as_tensor" };

static enum status targets_of(const struct node *n, int64_t *out, struct err *e) {
    const struct attr *a = attr_find(n, "n_targets");
    *out = a ? a->i : 1;
    FAIL_IF(*out < 1 || *out > INT32_MAX, e, STATUS_CORRUPT, "n_targets is %lld", (long long)*out);
    return OK;
}

static enum status regress(struct op_ctx *c, const struct ensemble *t, enum post_transform post) {
    int64_t rows, columns;
    double *scores = NEW_ARRAY(c->scratch, t->n_targets + 1, double);
    bool *voted = NEW_ARRAY(c->scratch, t->n_targets + 1, bool);
    TRY(ml_matrix(c->in[0], &rows, &columns, c->err));
    FAIL_IF(
        t->n_targets == 1 && post != POST_NONE && post != POST_PROBIT, c->err, STATUS_UNSUPPORTED,
        "a post_transform of a single score (runtimes leave it out, the specification does not)");
    for (int64_t i = 0; i < rows; i++) {
        TRY(run_row(t, c->in[0], i * columns, columns, scores, voted, c->err));
        for (int64_t k = 0; k < t->n_base; k++)
            scores[k] += t->base[k];
        post_transform_apply(post, scores, t->n_targets);
        for (int64_t k = 0; k < t->n_targets; k++)
            tensor_set_f64(c->out[0], i * t->n_targets + k, scores[k]);
    }
    return OK;
}

static enum status regressor_eval(struct op_ctx *c) {
    static const char *const aggregates[] = { "AVERAGE", "SUM", "MIN", "MAX" };
    struct ensemble t = { .aggregate = (enum aggregate)4 };
    enum post_transform post;
    TRY(post_transform_read(attr_str(c->node, "post_transform"), &post, c->err));
    for (int i = 0; i < 4; i++)
        if (strcmp(attr_str(c->node, "aggregate_function"), aggregates[i]) == 0)
            t.aggregate = (enum aggregate)i;
    FAIL_IF((int)t.aggregate == 4, c->err, STATUS_CORRUPT, "aggregate_function '%s' is not known",
            attr_str(c->node, "aggregate_function"));
    TRY(targets_of(c->node, &t.n_targets, c->err));
    TRY(read_old(c->node, target_votes, &t, c->scratch, c->err));
    return regress(c, &t, post);
}

static enum status ensemble_eval(struct op_ctx *c) {
    int64_t aggregate = attr_int(c->node, "aggregate_function"),
            post = attr_int(c->node, "post_transform");
    struct ensemble t = { .aggregate = (enum aggregate)aggregate };
    FAIL_IF(aggregate < AVERAGE || aggregate > MAX, c->err, STATUS_CORRUPT,
            "aggregate_function is %lld", (long long)aggregate);
    FAIL_IF(post < POST_NONE || post > POST_PROBIT, c->err, STATUS_CORRUPT,
            "post_transform is %lld", (long long)post);
    TRY(targets_of(c->node, &t.n_targets, c->err));
    TRY(read_new(c->node, &t, c->scratch, c->err));
    return regress(c, &t, (enum post_transform)post);
}

static enum status regressor_shape(struct shape_ctx *c) {
    int64_t targets;
    TRY(targets_of(c->node, &targets, c->err));
    c->out[0].dtype = strcmp(c->node->op, "TreeEnsemble") == 0 ? c->in[0].dtype : DT_F32;
    c->out[0].rank = 2;
    c->out[0].dim[0] = c->in[0].rank == 2 ? c->in[0].dim[0] : c->in[0].rank == 1 ? 1 : DIM_UNKNOWN;
    c->out[0].dim[1] = targets;
    return OK;
}

/* Two classes with votes for one of them only. Votes for class 0 alone are a score of class 1, as
 * converters write binary boosters; how it becomes two scores, and that it decides at 0.5 when no
 * weight is negative (it is a probability then) and else at 0, the specification leaves open: as
 * ONNX Runtime has it. */
struct two_classes {
    bool single, of_first, all_positive;
};

static struct two_classes two_classes(const struct ensemble *t) {
    struct two_classes b = { t->n_targets == 2 && t->n_votes > 0,
                             t->n_votes > 0 && t->votes[0].target == 0, true };
    for (int64_t i = 0; i < t->n_votes; i++) {
        b.single = b.single && t->votes[i].target == t->votes[0].target;
        b.all_positive = b.all_positive && t->votes[i].weight >= 0;
    }
    return b;
}

/* Scores of a row to its label and its written scores. */
static int64_t classify(const struct ensemble *t, struct two_classes b, enum post_transform post,
                        double *scores, bool *voted) {
    int64_t best = -1;
    double s = scores[0] + (t->n_base ? t->base[t->n_base - 1] : 0);
    if (b.single && b.of_first) {
        scores[0] = post == POST_NONE && b.all_positive ? 1 - s : -s;
        scores[1] = s;
    }
    for (int64_t k = 0; k < t->n_targets && !(b.single && b.of_first); k++) {
        scores[k] += t->n_base ? t->base[k] : 0;
        if ((voted[k] || t->n_base) && (best < 0 || scores[k] > scores[best]))
            best = k;
    }
    if (b.single)
        best = scores[1] > (b.all_positive ? 0.5 : 0);
    post_transform_apply(post, scores, t->n_targets);
    return best < 0 ? 0 : best;
}

static enum status classifier_eval(struct op_ctx *c) {
    struct ensemble t = { .aggregate = SUM };
    struct labels labels;
    enum post_transform post;
    int64_t rows, columns;
    TRY(labels_read(c->node, "classlabels_int64s", "classlabels_strings", &labels, c->err));
    TRY(post_transform_read(attr_str(c->node, "post_transform"), &post, c->err));
    TRY(ml_matrix(c->in[0], &rows, &columns, c->err));
    t.n_targets = labels.n;
    TRY(read_old(c->node, class_votes, &t, c->scratch, c->err));
    FAIL_IF(labels.n < 2, c->err, STATUS_UNSUPPORTED, "a classifier of one class");
    struct two_classes b = two_classes(&t);
    FAIL_IF(
        b.single && b.of_first && post != POST_NONE && post != POST_LOGISTIC, c->err,
        STATUS_UNSUPPORTED,
        "post_transform %s of a single score (runtimes leave it out, the specification does not)",
        attr_str(c->node, "post_transform"));
    FAIL_IF(t.n_base && t.n_base != labels.n && !(b.single && b.of_first), c->err, STATUS_CORRUPT,
            "%lld base values for %lld classes", (long long)t.n_base, (long long)labels.n);
    double *scores = NEW_ARRAY(c->scratch, labels.n + 1, double);
    bool *voted = NEW_ARRAY(c->scratch, labels.n + 1, bool);
    for (int64_t i = 0; i < rows; i++) {
        TRY(run_row(&t, c->in[0], i * columns, columns, scores, voted, c->err));
        int64_t label = classify(&t, b, post, scores, voted);
        if (op_wanted(c, 0))
            labels_set(&labels, c->out[0], i, label);
        for (int64_t k = 0; op_wanted(c, 1) && k < labels.n; k++)
            tensor_set_f64(c->out[1], i * labels.n + k, scores[k]);
    }
    return OK;
}

static enum status trees_shape(struct shape_ctx *c) {
    struct labels labels;
    TRY(labels_read(c->node, "classlabels_int64s", "classlabels_strings", &labels, c->err));
    return classifier_shape(c, &labels, labels.n);
}

#define OLD_NODES                                                                      \
    PLAIN("base_values", FLOATS), PLAIN("base_values_as_tensor", TENSOR),              \
        PLAIN("nodes_falsenodeids", INTS), PLAIN("nodes_featureids", INTS),            \
        PLAIN("nodes_hitrates", FLOATS), PLAIN("nodes_hitrates_as_tensor", TENSOR),    \
        PLAIN("nodes_missing_value_tracks_true", INTS), PLAIN("nodes_modes", STRINGS), \
        PLAIN("nodes_nodeids", INTS), PLAIN("nodes_treeids", INTS),                    \
        PLAIN("nodes_truenodeids", INTS), PLAIN("nodes_values", FLOATS),               \
        PLAIN("nodes_values_as_tensor", TENSOR), STRING("post_transform", "NONE")

static const struct attr_def regressor_attrs[] = {
    OLD_NODES,
    STRING("aggregate_function", "SUM"),
    PLAIN("n_targets", INT),
    PLAIN("target_ids", INTS),
    PLAIN("target_nodeids", INTS),
    PLAIN("target_treeids", INTS),
    PLAIN("target_weights", FLOATS),
    PLAIN("target_weights_as_tensor", TENSOR),
    { 0 },
};
static const struct attr_def classifier_attrs[] = {
    OLD_NODES,
    PLAIN("class_ids", INTS),
    PLAIN("class_nodeids", INTS),
    PLAIN("class_treeids", INTS),
    PLAIN("class_weights", FLOATS),
    PLAIN("class_weights_as_tensor", TENSOR),
    PLAIN("classlabels_int64s", INTS),
    PLAIN("classlabels_strings", STRINGS),
    { 0 },
};
static const struct attr_def ensemble_attrs[] = {
    INT("aggregate_function", 1),
    NEEDED("leaf_targetids", INTS),
    NEEDED("leaf_weights", TENSOR),
    PLAIN("membership_values", TENSOR),
    PLAIN("n_targets", INT),
    NEEDED("nodes_falseleafs", INTS),
    NEEDED("nodes_falsenodeids", INTS),
    NEEDED("nodes_featureids", INTS),
    PLAIN("nodes_hitrates", TENSOR),
    PLAIN("nodes_missing_value_tracks_true", INTS),
    NEEDED("nodes_modes", TENSOR),
    NEEDED("nodes_splits", TENSOR),
    NEEDED("nodes_trueleafs", INTS),
    NEEDED("nodes_truenodeids", INTS),
    INT("post_transform", 0),
    NEEDED("tree_roots", INTS),
    { 0 },
};

/* clang-format off */
const struct op ops_ml_trees[] = {
    { ONNX_ML("TreeEnsemble", 5, 1, 1), .flags = OP_NO_GRADIENT, .attrs = ensemble_attrs, .shape = regressor_shape, .eval = ensemble_eval },
    { ONNX_ML("TreeEnsembleRegressor", 5, 1, 1), .flags = OP_NO_GRADIENT, .attrs = regressor_attrs, .shape = regressor_shape,
      .eval = regressor_eval },
    { .name = "TreeEnsembleClassifier", .domain = "ai.onnx.ml", .spec = "ONNX-ML TreeEnsembleClassifier-5",
      .flags = OP_NO_GRADIENT, .min_in = 1,
      .max_in = 1, .min_out = 1, .max_out = 2, .attrs = classifier_attrs, .shape = trees_shape, .eval = classifier_eval },
    { 0 },
};
