#include "compare/inputs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare/layout.h"
#include "compare/ports.h"
#include "compare/ranges.h"
#include "ops/random.h"

/* --- which input is which --- */

static bool has_default(const struct value *v) {
    return v->constant != NULL;
}

static bool dims_compatible(const struct value *s, const struct value *t, const int *permute) {
    for (int k = 0; k < t->rank; k++) {
        int64_t a = s->dim[permute[k]], b = t->dim[k];
        if (a >= 0 && b >= 0 && a != b)
            return false;
    }
    return true;
}

static int score_permutation(const struct value *s, const struct value *t, const int *permute) {
    int score = 0;
    for (int k = 0; k < t->rank; k++)
        if (s->dim[permute[k]] >= 0 && s->dim[permute[k]] == t->dim[k])
            score++;
    return score;
}

/* Can t be s, as it is or with channels moved? Fills the permutation. */
static bool compatible(const struct value *s, const struct value *t, int *permute) {
    if (dtype_is_float(s->dtype) != dtype_is_float(t->dtype) && s->dtype != DT_NONE &&
        t->dtype != DT_NONE && !dtype_is_int(t->dtype) && !dtype_is_int(s->dtype))
        return false;
    for (int k = 0; k < MAX_RANK; k++)
        permute[k] = k;
    if (s->rank < 0 || t->rank < 0)
        return true;
    if (s->rank != t->rank)
        return false;
    int best = -1, n = s->rank, tries[3][MAX_RANK];
    for (int k = 0; k < n; k++) {
        tries[0][k] = k;
        tries[1][k] = k == 0 ? 0 : k == n - 1 ? 1 : k + 1; /* channels first to last */
        tries[2][k] = k == 0 ? 0 : k == 1 ? n - 1 : k - 1; /* channels last to first */
    }
    for (int i = 0; i < (n >= 3 ? 3 : 1); i++) {
        if (!dims_compatible(s, t, tries[i]))
            continue;
        int score = score_permutation(s, t, tries[i]);
        if (score <= best)
            continue;
        best = score;
        memcpy(permute, tries[i], (size_t)n * sizeof *permute);
    }
    return best >= 0;
}

static int64_t bound_dim(const struct compare_options *o, const char *name, int rank, int k) {
    for (int i = 0; i < o->n_shapes; i++)
        if ((!o->shapes[i].name || strcmp(o->shapes[i].name, name) == 0) &&
            o->shapes[i].rank == rank)
            return o->shapes[i].dim[k];
    return -1;
}

/* A number for a free dimension: the same for the same symbol. */
static int64_t free_dim(int64_t *of_symbol, int64_t dim, int axis, int rank) {
    int64_t n = axis == 0 && rank > 1    ? 2
                : rank == 4 && axis >= 2 ? 32
                : rank == 5 && axis >= 2 ? 8
                : rank == 1              ? 4
                                         : 6;
    if (dim <= DIM_SYMBOL) {
        int64_t *slot = &of_symbol[DIM_SYMBOL - dim];
        if (*slot < 0)
            *slot = n;
        return *slot;
    }
    return n;
}

static int find_partner(const struct graph *s, const struct graph *g, const bool *taken,
                        const struct compare_options *o, int place, int *permute) {
    const struct value *t = g->inputs[place];
    for (int i = 0; i < o->n_map; i++)
        for (int k = 0; k < s->n_inputs; k++)
            if (strcmp(o->map[i].target, t->name) == 0 &&
                strcmp(o->map[i].source, s->inputs[k]->name) == 0 && !taken[k] &&
                compatible(s->inputs[k], t, permute))
                return k;
    for (int k = 0; k < s->n_inputs; k++)
        if (!taken[k] && strcmp(s->inputs[k]->name, t->name) == 0 &&
            compatible(s->inputs[k], t, permute))
            return k;
    for (int k = 0; k < s->n_inputs; k++)
        if (!taken[k] && same_input_name(s, k, g, place) && compatible(s->inputs[k], t, permute))
            return k;
    if (place < s->n_inputs && !taken[place] && s->inputs[place]->dtype == t->dtype &&
        compatible(s->inputs[place], t, permute))
        return place;
    for (int pass = 0; pass < 2; pass++)
        for (int k = 0; k < s->n_inputs; k++)
            if (!taken[k] && (pass || s->inputs[k]->dtype == t->dtype) &&
                !has_default(s->inputs[k]) && compatible(s->inputs[k], t, permute))
                return k;
    return -1;
}

enum status inputs_pair(struct input_pairs *out, struct model *source, struct model *target,
                        const struct compare_options *o, struct arena *a, struct err *e) {
    const struct graph *s = source->graph, *t = target->graph;
    *out = (struct input_pairs) { .n_source = s->n_inputs, .n_target = t->n_inputs };
    out->of_target = NEW_ARRAY(a, t->n_inputs + 1, int);
    out->view = NEW_ARRAY(a, t->n_inputs + 1, struct pair_view);
    out->dim = arena_array(a, (size_t)s->n_inputs + 1, sizeof *out->dim);
    out->target_dim = arena_array(a, (size_t)t->n_inputs + 1, sizeof *out->target_dim);
    bool *taken = NEW_ARRAY(a, s->n_inputs + 1, bool);
    int64_t *symbols = NEW_ARRAY(a, source->n_symbols + 1, int64_t);
    for (int i = 0; i < source->n_symbols; i++)
        symbols[i] = -1;
    int(*permute)[MAX_RANK] = arena_array(a, (size_t)t->n_inputs + 1, sizeof *permute);
    for (int i = 0; i < s->n_inputs; i++)
        for (int k = 0; k < s->inputs[i]->rank; k++) {
            int64_t bound = bound_dim(o, s->inputs[i]->name, s->inputs[i]->rank, k);
            out->dim[i][k] = bound >= 0 ? bound : s->inputs[i]->dim[k];
        }
    for (int i = 0; i < t->n_inputs; i++) {
        int k = find_partner(s, t, taken, o, i, permute[i]);
        out->of_target[i] = k;
        FAIL_IF(k < 0 && !has_default(t->inputs[i]), e, STATUS_MISMATCH,
                "input '%s' of the target corresponds to no input of the source; say which with "
                "--map source=target",
                t->inputs[i]->name);
        if (k < 0)
            continue;
        taken[k] = true;
        for (int j = 0; j < t->inputs[i]->rank && s->inputs[k]->rank >= 0; j++)
            if (out->dim[k][permute[i][j]] < 0 && t->inputs[i]->dim[j] >= 0) {
                int64_t code = out->dim[k][permute[i][j]];
                out->dim[k][permute[i][j]] = t->inputs[i]->dim[j];
                if (code <= DIM_SYMBOL && symbols[DIM_SYMBOL - code] < 0)
                    symbols[DIM_SYMBOL - code] = t->inputs[i]->dim[j];
            }
    }
    for (int i = 0; i < s->n_inputs; i++) {
        FAIL_IF(s->inputs[i]->rank < 0 && !has_default(s->inputs[i]), e, STATUS_UNSUPPORTED,
                "input '%s' has no declared rank; give --inputs or --input-shape",
                s->inputs[i]->name);
        for (int k = 0; k < s->inputs[i]->rank; k++)
            if (out->dim[i][k] < 0)
                out->dim[i][k] = free_dim(symbols, out->dim[i][k], k, s->inputs[i]->rank);
    }
    for (int i = 0; i < t->n_inputs; i++) {
        int k = out->of_target[i];
        if (k < 0)
            continue;
        int rank = s->inputs[k]->rank;
        struct pair_view *v = &out->view[i];
        *v = (struct pair_view) { .n_from = rank, .identity = true };
        memcpy(v->from, out->dim[k], sizeof v->from);
        for (int j = 0; j < rank; j++) {
            out->target_dim[i][j] = out->dim[k][permute[i][j]];
            if (permute[i][j] != j) {
                v->identity = false;
                v->n_permute = rank;
            }
        }
        memcpy(v->permute, permute[i], sizeof v->permute);
    }
    return OK;
}

/* May these be the same output? Known shapes hold equally many elements. */
static bool same_content(const struct value *a, const struct value *b) {
    int64_t n[2] = { 1, 1 };
    const struct value *v[2] = { a, b };
    for (int side = 0; side < 2; side++)
        for (int k = 0; k < v[side]->rank || v[side]->rank < 0; k++) {
            if (v[side]->rank < 0 || v[side]->dim[k] < 0)
                return true;
            n[side] *= v[side]->dim[k];
        }
    return n[0] == n[1];
}

/* Outputs of the source are given away in rounds: to those of the same name, to those known by it,
 * and where the counts agree to those at the same place and then to whatever may be the same. */
enum round { BY_NAME, BY_PORT, BY_PLACE, BY_SHAPE, ANY_LEFT, ROUNDS };

static bool fits_round(const struct graph *s, int k, const struct graph *t, int i,
                       enum round round) {
    const struct value *a = s->outputs[k], *b = t->outputs[i];
    switch (round) {
    case BY_NAME:
        return strcmp(a->name, b->name) == 0;
    case BY_PORT:
        return same_output_name(s, k, t, i);
    case BY_PLACE:
        return k == i && same_content(a, b);
    case BY_SHAPE:
        return same_content(a, b);
    default:
        return true;
    }
}

int output_partner(const struct graph *source, const struct graph *target, int i) {
    enum { MOST = 256 };
    bool taken[MOST] = { false }, done[MOST] = { false };
    int last = source->n_outputs == target->n_outputs ? ROUNDS : BY_PLACE;
    if (source->n_outputs > MOST || target->n_outputs > MOST)
        return source->n_outputs == target->n_outputs ? i : -1;
    for (int round = 0; round < last; round++)
        for (int k = 0; k < target->n_outputs; k++)
            for (int j = 0; !done[k] && j < source->n_outputs; j++) {
                if (taken[j] || !fits_round(source, j, target, k, (enum round)round))
                    continue;
                if (k == i)
                    return j;
                taken[j] = done[k] = true;
            }
    return -1;
}

/* --- contents --- */

/* Within a declared range, as what the range was learnt from: numbers at its ends throughout would
 * drive the values behind beyond theirs. */
static double within_range(const struct input_range *range, struct random *r, int k, double at) {
    double m = range->mean, sd = range->deviation, v;
    switch (k % 8) {
    case 0:
    case 4:
        v = m + sd * random_normal(r);
        break;
    case 2:
    case 6:
        v = m + 0.5 * sd * random_normal(r);
        break;
    case 3:
    case 7:
        v = m + sd * ((k % 8 == 3 ? 1 : -1) * at + 0.25 * random_normal(r));
        break;
    default:
        v = m + 2.5 * sd * (2 * random_uniform(r) - 1);
    }
    return v < range->low ? range->low : v > range->high ? range->high : v;
}

static void fill_float(struct tensor *t, const struct input_range *range, struct random *r, int k) {
    int64_t n = tensor_count(t);
    double m = range->mean, sd = range->deviation;
    for (int64_t i = 0; i < n; i++) {
        double v, at = 2 * (double)i / (double)(n > 1 ? n - 1 : 1) - 1;
        if (range->low <= range->high) {
            tensor_set_f64(t, i, (double)(float)within_range(range, r, k, at));
            continue;
        }
        switch (k % 8) {
        case 0:
            v = m + sd * random_normal(r);
            break;
        case 1:
            v = m + sd * (2 * random_uniform(r) - 0.5);
            break;
        case 2:
        case 6:
            v = m + 3 * sd * random_normal(r);
            break;
        case 4: /* far out, where a unit that sleeps near the mean wakes */
            v = m + 10 * sd * random_normal(r);
            break;
        case 5:
            v = m + sd * (random_normal(r) - 4);
            break;
        default: /* a ramp over the index, with noise: position shows in every value */
            v = m + sd * (2.5 * at * (k % 8 == 3 ? 1 : -1) + 0.25 * random_normal(r));
        }
        tensor_set_f64(t, i, (double)(float)v);
    }
}

/* Large magnitudes come to one input at a time, lest they drown what the others do. */
static void fill_int(struct tensor *t, const struct input_range *range, struct random *r, int k,
                     int input) {
    int64_t n = tensor_count(t), low = (int64_t)range->low, span = (int64_t)range->high - low + 1;
    for (int64_t i = 0; i < n; i++)
        if (range->wide && k % 4 == 2 &&
            (k / 4 + input) % 2 == 0) /* past 32 bits, and past what float32 holds exactly */
            tensor_set_i64(t, i,
                           (int64_t)((2 * random_uniform(r) - 1) * (i % 2 ? 0x1p26 : 0x1p34)));
        else
            tensor_set_i64(t, i,
                           low + (int64_t)(random_uniform(r) * (double)(span > 0 ? span : 1)));
}

static enum status make_array(struct tensor **out, const struct value *v, const int64_t *dim,
                              const struct input_range *range, struct random *r, int k, int input,
                              struct err *e) {
    enum dtype store = dtype_row(v->dtype)->widened;
    FAIL_IF(v->kind != KIND_TENSOR || v->dtype == DT_STRING || v->dtype == DT_NONE ||
                dtype_row(v->dtype)->class_ == CLASS_COMPLEX,
            e, STATUS_UNSUPPORTED, "input '%s' is not an array of real numbers: give --inputs",
            v->name);
    TRY(tensor_new(out, v->dtype, dtype_is_float(v->dtype) ? DT_F64 : store, v->rank, dim, e));
    if (dtype_is_float(v->dtype))
        fill_float(*out, range, r, k);
    else
        fill_int(*out, range, r, k, input);
    return OK;
}

static enum status derive_target(struct input_set *out, struct model *source, struct model *target,
                                 const struct input_pairs *p, int k, struct err *e) {
    for (int i = 0; i < p->n_source; i++)
        if (out->source[k][i])
            tensor_to_paged(out->source[k][i], out->recycler);
    for (int i = 0; i < p->n_target; i++) {
        int from = p->of_target[i];
        if (from < 0 || !out->source[k][from])
            continue;
        struct tensor *s = out->source[k][from];
        struct pair_view v = p->view[i];
        int64_t dim[MAX_RANK];
        memcpy(v.from, s->dim, sizeof v.from);
        for (int j = 0; j < s->rank; j++)
            dim[j] = s->dim[v.n_permute ? v.permute[j] : j];
        TRY(layout_apply(&out->target[k][i], s, &v, s->rank, dim, e));
        const struct value *tv = target->graph->inputs[i];
        if (tv->dtype != DT_NONE && tv->dtype != out->target[k][i]->dtype) {
            struct tensor *converted;
            TRY(tensor_convert(&converted, out->target[k][i],
                               dtype_is_float(tv->dtype) ? DT_F64 : dtype_row(tv->dtype)->widened,
                               e));
            converted->dtype = tv->dtype;
            tensor_free(out->target[k][i]);
            out->target[k][i] = converted;
        }
        tensor_to_paged(out->target[k][i], out->recycler);
    }
    (void)source;
    return OK;
}

bool inputs_flip(struct input_pairs *p, const struct model *source, const struct model *target) {
    bool any = false;
    for (int i = 0; i < p->n_target; i++) {
        int k = p->of_target[i], n = k < 0 ? 0 : source->graph->inputs[k]->rank;
        if (n < 3 || target->graph->inputs[i]->rank != n)
            continue;
        struct pair_view *v = &p->view[i];
        int first[MAX_RANK]; /* channels first to last */
        for (int j = 0; j < n; j++)
            first[j] = j == 0 ? 0 : j == n - 1 ? 1 : j + 1;
        bool fits = true, trivial = true;
        for (int j = 0; j < n; j++) {
            fits = fits && p->dim[k][first[j]] == p->target_dim[i][j] &&
                   p->dim[k][j] == p->target_dim[i][j];
            trivial = trivial && (p->dim[k][j] == 1 || first[j] == j);
        }
        if (!fits || trivial)
            continue;
        v->identity = v->n_permute != 0;
        v->n_permute = v->n_permute ? 0 : n;
        for (int j = 0; j < n; j++)
            v->permute[j] = v->n_permute ? first[j] : j;
        any = true;
    }
    return any;
}

enum status inputs_rederive(struct input_set *s, struct model *source, struct model *target,
                            const struct input_pairs *p, struct err *e) {
    for (int k = 0; k < s->n; k++) {
        for (int i = 0; i < p->n_target; i++) {
            tensor_free(s->target[k][i]);
            s->target[k][i] = NULL;
        }
        TRY(derive_target(s, source, target, p, k, e));
    }
    return OK;
}

static void set_alloc(struct input_set *s, int n, const struct input_pairs *p, struct arena *a) {
    *s = (struct input_set) { .n = n, .recycler = s->recycler };
    s->source = NEW_ARRAY(a, n + 1, struct tensor **);
    s->target = NEW_ARRAY(a, n + 1, struct tensor **);
    for (int k = 0; k < n; k++) {
        s->source[k] = NEW_ARRAY(a, p->n_source + 1, struct tensor *);
        s->target[k] = NEW_ARRAY(a, p->n_target + 1, struct tensor *);
    }
}

static bool has_half(const struct model *m) {
    for (int i = 0; i < m->graph->n_values; i++)
        if (m->graph->values[i]->dtype == DT_F16)
            return true;
    return false;
}

enum status inputs_make(struct input_set *out, struct model *source, struct model *target,
                        const struct input_pairs *p, int samples, uint64_t seed, int variant,
                        struct arena *a, struct err *e) {
    static const double spreads[INPUT_SPREADS] = { 1, 6, 0.25 };
    set_alloc(out, samples, p, a);
    out->made = true;
    struct input_range *ranges = NEW_ARRAY(a, p->n_source + 1, struct input_range);
    for (int i = 0; i < p->n_source; i++) {
        ranges[i] = input_range_of(source, i, p->dim, variant % INPUT_RANGES, a);
        ranges[i].deviation *= spreads[variant / INPUT_RANGES];
    }
    for (int i = 0; i < p->n_target; i++)
        if (p->of_target[i] >= 0 && dtype_is_float(source->graph->inputs[p->of_target[i]]->dtype))
            input_range_quantized(target, i, &ranges[p->of_target[i]], a);
    for (int i = 0; i < p->n_source; i++) /* past 65504 there is nothing to compare */
        ranges[i].wide = ranges[i].wide && !has_half(source) && !has_half(target);
    for (int k = 0; k < samples; k++) {
        for (int i = 0; i < p->n_source; i++) {
            const struct value *v = source->graph->inputs[i];
            struct random r = { seed * 1000003u + (uint64_t)k * 7919u + (uint64_t)i };
            if (!has_default(v))
                TRY(make_array(&out->source[k][i], v, p->dim[i], &ranges[i], &r, k, i, e));
        }
        TRY(derive_target(out, source, target, p, k, e));
    }
    return OK;
}

/* How many samples an array holds for an input: its leading axis counts them when the model's is
 * fixed and smaller. */
static int64_t samples_in(const struct value *v, const struct tensor *t) {
    if (v->rank < 0 || t->rank < 1)
        return 1;
    if (t->rank == v->rank + 1)
        return t->dim[0];
    if (t->rank == v->rank && v->rank > 0 && v->dim[0] > 0 && t->dim[0] > v->dim[0] &&
        t->dim[0] % v->dim[0] == 0)
        return t->dim[0] / v->dim[0];
    return 1;
}

static enum status take_sample(struct tensor **out, const struct value *v, const struct tensor *t,
                               int64_t n, int64_t k, struct err *e) {
    struct tensor part = *t;
    if (samples_in(v, t) > 1 || t->rank == v->rank + 1) {
        int64_t each = tensor_count(t) / (n > 0 ? n : 1);
        part.data = (char *)t->data + dtype_bytes(t->store, each * k);
        if (t->rank == v->rank + 1) {
            part.rank = v->rank;
            memmove(part.dim, part.dim + 1, (size_t)v->rank * sizeof *part.dim);
        } else {
            part.dim[0] = v->dim[0];
        }
    }
    part.buf = NULL;
    TRY(tensor_new(out, v->dtype == DT_NONE ? t->dtype : v->dtype, t->store, part.rank, part.dim,
                   e));
    memcpy((*out)->data, part.data, tensor_bytes(*out));
    return OK;
}

enum status inputs_given(struct input_set *out, struct model *source, struct model *target,
                         const struct input_pairs *p, const struct tensor *const *arrays,
                         struct arena *a, struct err *e) {
    int64_t n = 1;
    for (int i = 0; i < p->n_source; i++) {
        int64_t k = arrays[i] ? samples_in(source->graph->inputs[i], arrays[i]) : 1;
        FAIL_IF(k != 1 && n != 1 && k != n, e, STATUS_USAGE,
                "the input arrays hold different numbers of samples (%lld and %lld)", (long long)n,
                (long long)k);
        if (k != 1)
            n = k;
    }
    FAIL_IF(n < 1, e, STATUS_USAGE, "an input array holds no sample");
    if (n > 64)
        n = 64;
    set_alloc(out, (int)n, p, a);
    for (int k = 0; k < n; k++) {
        for (int i = 0; i < p->n_source; i++) {
            if (!arrays[i])
                continue;
            const struct value *v = source->graph->inputs[i];
            int64_t has = samples_in(v, arrays[i]);
            TRY(take_sample(&out->source[k][i], v, arrays[i], has, has == 1 ? 0 : k, e));
        }
        TRY(derive_target(out, source, target, p, k, e));
    }
    return OK;
}

void inputs_free(struct input_set *s, const struct model *source, const struct model *target) {
    for (int k = 0; k < s->n; k++) {
        for (int i = 0; i < source->graph->n_inputs; i++)
            tensor_free(s->source[k][i]);
        for (int i = 0; i < target->graph->n_inputs; i++)
            tensor_free(s->target[k][i]);
    }
    s->n = 0;
}
