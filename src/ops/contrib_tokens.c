/* com.microsoft operators on tokens and keys: NGramRepeatBlock, MurmurHash3. */
#include <math.h>
#include <string.h>

#include "ops/row.h"
#include "ops/split.h"

/* --- NGramRepeatBlock: ids [batch, length], scores [batch, words] --- */

static enum status shape_block(struct shape_ctx *c) {
    TRY(need_shape(c, 0, 2, NULL));
    TRY(need_shape(c, 1, 2, NULL));
    SHAPE_FAIL_IF(attr_int(c->node, "ngram_size") < 1, c, "ngram_size is %lld",
                  (long long)attr_int(c->node, "ngram_size"));
    shape_copy(c, 0, 1);
    return OK;
}

/* A word that would repeat an n-gram of the row gets minus infinity. */
static enum status block_repeats(struct op_ctx *c) {
    const struct tensor *ids = c->in[0], *scores = c->in[1];
    int64_t n = attr_int(c->node, "ngram_size"), length = ids->dim[1], words = scores->dim[1];
    FAIL_IF(ids->dim[0] != scores->dim[0], c->err, STATUS_CORRUPT,
            "%lld rows of ids, %lld of scores", (long long)ids->dim[0], (long long)scores->dim[0]);
    for (int64_t i = 0; i < tensor_count(scores); i++)
        tensor_set_f64(c->out[0], i, tensor_f64(scores, i));
    for (int64_t b = 0; b < ids->dim[0]; b++)
        for (int64_t at = 0; at + n <= length; at++) {
            bool same = true;
            for (int64_t k = 0; same && k < n - 1; k++)
                same = tensor_i64(ids, b * length + at + k) ==
                       tensor_i64(ids, b * length + length - n + 1 + k);
            int64_t word = tensor_i64(ids, b * length + at + n - 1);
            FAIL_IF(same && (word < 0 || word >= words), c->err, STATUS_CORRUPT,
                    "id %lld of %lld words", (long long)word, (long long)words);
            if (same)
                tensor_set_f64(c->out[0], b * words + word, -INFINITY);
        }
    return OK;
}

static enum status block_grad(struct grad_ctx *c) {
    for (int64_t i = 0; c->grad_in[1] && c->grad_out[0] && i < tensor_count(c->in[1]); i++)
        if (tensor_f64(c->out[0], i) == tensor_f64(c->in[1], i))
            ((double *)c->grad_in[1]->data)[i] += ((const double *)c->grad_out[0]->data)[i];
    return OK;
}

/* --- MurmurHash3 (Appleby's x86 form of 32 bits) of the bytes of each element --- */

static uint32_t turn(uint32_t x, int by) {
    return x << by | x >> (32 - by);
}

static uint32_t scatter(uint32_t k) {
    return turn(k * 0xcc9e2d51u, 15) * 0x1b873593u;
}

static uint32_t murmur(const unsigned char *p, size_t n, uint32_t h) {
    uint32_t rest = 0;
    for (size_t i = 0; i + 4 <= n; i += 4) {
        uint32_t k = (uint32_t)p[i] | (uint32_t)p[i + 1] << 8 | (uint32_t)p[i + 2] << 16 |
                     (uint32_t)p[i + 3] << 24;
        h = turn(h ^ scatter(k), 13) * 5 + 0xe6546b64u;
    }
    for (size_t i = n % 4; i > 0; i--)
        rest = rest << 8 | p[n / 4 * 4 + i - 1];
    h ^= scatter(rest);
    h ^= (uint32_t)n;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

/* An element's bytes in the declared type, lowest first. */
static enum status bytes_of(struct op_ctx *c, const struct tensor *t, int64_t i,
                            unsigned char *bytes, size_t *n) {
    uint64_t bits = 0;
    float narrow;
    double real;
    switch (t->dtype) {
    case DT_F32:
        narrow = (float)tensor_f64(t, i);
        memcpy(&bits, &narrow, sizeof narrow);
        *n = 4;
        break;
    case DT_F64:
        real = tensor_f64(t, i);
        memcpy(&bits, &real, sizeof real);
        *n = 8;
        break;
    case DT_I32:
    case DT_U32:
    case DT_I64:
    case DT_U64:
        bits = (uint64_t)tensor_i64(t, i);
        *n = t->dtype == DT_I32 || t->dtype == DT_U32 ? 4 : 8;
        break;
    default:
        return op_bad_type(c, 0);
    }
    for (size_t k = 0; k < *n; k++)
        bytes[k] = (unsigned char)(bits >> 8 * k);
    return OK;
}

static enum status shape_hash(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    c->out[0].dtype = attr_int(c->node, "positive") ? DT_U32 : DT_I32;
    return OK;
}

static enum status hash(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    uint32_t seed = (uint32_t)attr_int(c->node, "seed");
    for (int64_t i = 0; i < tensor_count(x); i++) {
        unsigned char bytes[8];
        const void *at = bytes;
        size_t n = 0;
        if (x->dtype == DT_STRING) {
            at = ((const char *const *)x->data)[i];
            n = strlen(at);
        } else {
            TRY(bytes_of(c, x, i, bytes, &n));
        }
        uint32_t h = murmur(at, n, seed);
        tensor_set_i64(c->out[0], i, c->out[0]->dtype == DT_U32 ? (int64_t)h : (int32_t)h);
    }
    return OK;
}

/* clang-format off */
const struct op ops_contrib_tokens[] = {
    { MICROSOFT("NGramRepeatBlock", 2, 2), .attrs = ATTRS(NEEDED("ngram_size", INT)), .shape = shape_block, .eval = block_repeats,
      .grad = block_grad },
    { MICROSOFT("MurmurHash3", 1, 1), .flags = OP_ANY_TYPE | OP_NO_GRADIENT, .attrs = ATTRS(INT("positive", 1), INT("seed", 0)),
      .shape = shape_hash, .eval = hash },
    { 0 },
};
