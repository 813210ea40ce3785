/* TfIdfVectorizer: counts of n-grams of a pool in every row, weighted.
 *
 * An n-gram is n elements that lie `skip` + 1 apart, skip from 0 to max_skip_count; single elements
 * are counted for skip 0 only. */
#include <stdlib.h>
#include <string.h>

#include "ops/row.h"

struct pool_attrs {
    const int64_t *starts, *indexes; /* ngram_counts, ngram_indexes */
    const double *weights;
    int n_starts, n_indexes, n_weights;
    const struct attr *items; /* pool_int64s or pool_strings */
    bool strings;
    int64_t columns;
};

static enum status read_pool(const struct node *n, struct pool_attrs *p, struct err *e) {
    const struct attr *ints = attr_find(n, "pool_int64s"), *strings = attr_find(n, "pool_strings");
    *p = (struct pool_attrs) { .items = ints ? ints : strings, .strings = !ints };
    p->starts = attr_ints(n, "ngram_counts", &p->n_starts);
    p->indexes = attr_ints(n, "ngram_indexes", &p->n_indexes);
    p->weights = attr_floats(n, "weights", &p->n_weights);
    FAIL_IF(!p->items || (ints && strings), e, STATUS_CORRUPT,
            "one of pool_int64s and pool_strings is asked for");
    int64_t grams = 0;
    for (int i = 0; i < p->n_starts; i++) {
        int64_t end = i + 1 < p->n_starts ? p->starts[i + 1] : p->items->n;
        FAIL_IF(p->starts[i] < 0 || end < p->starts[i] || end > p->items->n, e, STATUS_CORRUPT,
                "ngram_counts[%d] is %lld in a pool of %lld", i, (long long)p->starts[i],
                (long long)p->items->n);
        grams += (end - p->starts[i]) / (i + 1);
    }
    FAIL_IF(grams > p->n_indexes, e, STATUS_CORRUPT, "%lld n-grams, but %d ngram_indexes",
            (long long)grams, p->n_indexes);
    for (int i = 0; i < p->n_indexes; i++) {
        FAIL_IF(p->indexes[i] < 0 || p->indexes[i] > INT32_MAX, e, STATUS_CORRUPT,
                "ngram_indexes[%d] is %lld", i, (long long)p->indexes[i]);
        if (p->indexes[i] >= p->columns)
            p->columns = p->indexes[i] + 1;
    }
    return OK;
}

static enum status tfidf_shape(struct shape_ctx *c) {
    struct pool_attrs p;
    TRY(read_pool(c->node, &p, c->err));
    shape_copy(c, 0, 0);
    c->out[0].dtype = DT_F32;
    SHAPE_FAIL_IF(c->in[0].rank == 0 || c->in[0].rank > 2, c,
                  "the input has rank %d; 1 or 2 is asked for", c->in[0].rank);
    if (c->in[0].rank > 0)
        c->out[0].dim[c->in[0].rank - 1] = p.columns;
    return OK;
}

static bool same_item(const struct pool_attrs *p, int64_t item, const struct tensor *x, int64_t i) {
    if (p->strings)
        return strcmp(p->items->strings[item], ((const char *const *)x->data)[i]) == 0;
    return p->items->ints[item] == tensor_i64(x, i);
}

/* A gram of the pool: its items and its output column. */
struct gram {
    int64_t first, column, number;
    int length;
};

/* Times that a gram is in a row at one distance. */
static int64_t occurrences(const struct pool_attrs *p, const struct gram *g, const struct tensor *x,
                           int64_t from, int64_t n, int64_t distance) {
    int64_t count = 0;
    for (int64_t i = 0; i < n && (g->length - 1) <= (n - 1 - i) / distance; i++) {
        int k = 0;
        while (k < g->length && same_item(p, g->first + k, x, from + i + k * distance))
            k++;
        count += k == g->length;
    }
    return count;
}

static enum status tfidf_eval(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct pool_attrs p;
    TRY(read_pool(c->node, &p, c->err));
    const char *mode = attr_str(c->node, "mode");
    bool once = strcmp(mode, "IDF") == 0, weighted = strcmp(mode, "TF") != 0;
    int64_t shortest = attr_int(c->node, "min_gram_length"),
            longest = attr_int(c->node, "max_gram_length");
    int64_t skips = attr_int(c->node, "max_skip_count"), n = x->dim[x->rank - 1],
            rows = x->rank == 2 ? x->dim[0] : 1;
    FAIL_IF(weighted && !once && strcmp(mode, "TFIDF") != 0, c->err, STATUS_CORRUPT,
            "mode '%s' is not known", mode);
    FAIL_IF(p.strings ? x->store != DT_STRING : !dtype_is_int(x->store), c->err, STATUS_CORRUPT,
            "a pool of another type than %s", dtype_name(x->dtype));
    FAIL_IF(weighted && p.n_weights && p.n_weights < p.n_indexes, c->err, STATUS_CORRUPT,
            "%d weights for %d n-grams", p.n_weights, p.n_indexes);
    skips = skips < n ? skips : n;
    int64_t number = 0;
    for (int i = 0; i < p.n_starts; i++) {
        int64_t end = i + 1 < p.n_starts ? p.starts[i + 1] : p.items->n;
        for (int64_t at = p.starts[i]; at + i < end; at += i + 1, number++) {
            struct gram g = { at, p.indexes[number], number, i + 1 };
            double weight = weighted && p.n_weights ? p.weights[number] : 1;
            for (int64_t r = 0; g.length >= shortest && g.length <= longest && r < rows; r++) {
                int64_t count = 0;
                for (int64_t skip = 0; skip <= (g.length == 1 ? 0 : skips); skip++)
                    count += occurrences(&p, &g, x, r * n, n, skip + 1);
                int64_t to = r * p.columns + g.column;
                double before = tensor_f64(c->out[0], to);
                tensor_set_f64(c->out[0], to,
                               once ? (count ? weight : before) : before + weight * (double)count);
            }
        }
    }
    return OK;
}

/* clang-format off */
const struct op ops_tfidf[] = {
    { ONNX("TfIdfVectorizer", 9, 1, 1), .flags = OP_ANY_TYPE | OP_NO_GRADIENT,
      .attrs = ATTRS(NEEDED("max_gram_length", INT), NEEDED("max_skip_count", INT),
      NEEDED("min_gram_length", INT), NEEDED("mode", STRING), NEEDED("ngram_counts", INTS), NEEDED("ngram_indexes", INTS),
      PLAIN("pool_int64s", INTS), PLAIN("pool_strings", STRINGS), PLAIN("weights", FLOATS)), .shape = tfidf_shape,
      .eval = tfidf_eval },
    { 0 },
};
