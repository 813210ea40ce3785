/* com.microsoft operators on packed weights: MatMulBnb4 and GatherBlockQuantized. Weights are
 * dequantized with one rounding for each sign. */
#include <string.h>

#include "ops/call.h"
#include "ops/move.h"
#include "ops/row.h"
#include "ops/split.h"

/* --- MatMulBnb4: A, packed B [N * K / 2], the largest magnitude of each block --- */

/* The values of bitsandbytes (quant_type 0: FP4, 1: NF4) by code. */
static const float code_values[2][16] = {
    { 0, 0.0052083333F, 0.66666667F, 1, 0.33333333F, 0.5F, 0.16666667F, 0.25F, -0.0F,
      -0.0052083333F, -0.66666667F, -1, -0.33333333F, -0.5F, -0.16666667F, -0.25F },
    { -1, -0.6961928009986877F, -0.5250730514526367F, -0.39491748809814453F, -0.28444138169288635F,
      -0.18477343022823334F, -0.09105003625154495F, 0, 0.07958029955625534F, 0.16093020141124725F,
      0.24611230194568634F, 0.33791524171829224F, 0.44070982933044434F, 0.5626170039176941F,
      0.7229568362236023F, 1 },
};

struct bnb {
    int64_t k, n, block;
    int type;
    bool transposed;
};

static enum status read_bnb(const struct node *n, struct bnb *b, struct err *e) {
    int64_t type = attr_int(n, "quant_type");
    *b = (struct bnb) { attr_int(n, "K"), attr_int(n, "N"), attr_int(n, "block_size"), (int)type,
                        attr_int(n, "transB") != 0 };
    FAIL_IF(type != 0 && type != 1, e, STATUS_CORRUPT, "quant_type %lld", (long long)type);
    FAIL_IF(b->k < 1 || b->n < 1 || b->block < 1 || b->k > INT32_MAX || b->n > INT32_MAX, e,
            STATUS_CORRUPT, "a matrix of %lld by %lld in blocks of %lld", (long long)b->n,
            (long long)b->k, (long long)b->block);
    return OK;
}

static enum status shape_bnb(struct shape_ctx *c) {
    struct bnb b;
    TRY(read_bnb(c->node, &b, c->err));
    shape_copy(c, 0, 0);
    if (c->in[0].rank < 1)
        return OK;
    int64_t *last = &c->out[0].dim[c->in[0].rank - 1], inner = b.transposed ? b.k : b.n;
    SHAPE_FAIL_IF(*last >= 0 && *last != inner, c, "A has %lld columns, %lld are asked for",
                  (long long)*last, (long long)inner);
    *last = b.transposed ? b.n : b.k;
    return OK;
}

/* The weights as [inner, columns]; the first of two codes is in the high half of a byte. */
static enum status unpack_bnb(struct op_ctx *c, const struct bnb *b, struct tensor **out) {
    const struct tensor *packed = c->in[1], *largest = c->in[2];
    int64_t n = b->n * b->k, rows = b->transposed ? b->k : b->n,
            columns = b->transposed ? b->n : b->k;
    FAIL_IF(packed->store != DT_U8 || tensor_count(packed) != (n + 1) / 2 ||
                tensor_count(largest) != (n + b->block - 1) / b->block,
            c->err, STATUS_CORRUPT, "%lld bytes and %lld scales for %lld weights",
            (long long)tensor_count(packed), (long long)tensor_count(largest), (long long)n);
    TRY(tensor_new(out, c->in[0]->dtype, c->in[0]->store, 2, (int64_t[]) { rows, columns },
                   c->err));
    for (int64_t i = 0; i < n; i++) {
        unsigned code = ((const uint8_t *)packed->data)[i / 2] >> (i % 2 ? 0 : 4) & 15;
        int64_t o = i / b->k, k = i % b->k;
        tensor_set_f64(*out, b->transposed ? k * columns + o : o * columns + k,
                       (double)code_values[b->type][code] * tensor_f64(largest, i / b->block));
    }
    return OK;
}

static enum status matmul_bnb(struct op_ctx *c) {
    struct bnb b;
    struct tensor *weights;
    TRY(read_bnb(c->node, &b, c->err));
    TRY(unpack_bnb(c, &b, &weights));
    enum status s = op_call(c, "MatMul", c->precision,
                            (const struct tensor *const[]) { c->in[0], weights }, 2, &c->out[0], 1);
    tensor_free(weights);
    return s;
}

/* --- GatherBlockQuantized: data, indices, scales, zero points --- */

struct blocks {
    int gather, quantize, bits; /* axes; bits 0: elements are not packed */
    int64_t size;               /* of a block; 0: all of the axis */
    int rank;
    int64_t dim[MAX_RANK]; /* of the data, unpacked */
};

static enum status read_blocks(const struct node *n, const struct fact *data, struct blocks *b,
                               struct err *e) {
    *b = (struct blocks) { .rank = data->rank, .size = attr_int(n, "block_size") };
    memcpy(b->dim, data->dim, sizeof b->dim);
    TRY(axis_normalise(attr_int(n, "gather_axis"), b->rank, &b->gather, e));
    TRY(axis_normalise(attr_int(n, "quantize_axis"), b->rank, &b->quantize, e));
    FAIL_IF(b->size < 0, e, STATUS_CORRUPT, "block_size is %lld", (long long)b->size);
    int64_t bits = attr_int(n, "bits");
    if (data->dtype != DT_U8)
        return OK;
    FAIL_IF(bits != 2 && bits != 4 && bits != 8, e, STATUS_UNSUPPORTED, "weights of %lld bits",
            (long long)bits);
    b->bits = (int)bits;
    if (b->dim[b->rank - 1] >= 0)
        b->dim[b->rank - 1] *= 8 / bits;
    return OK;
}

static enum status shape_blocks(struct shape_ctx *c) {
    const struct fact *data = &c->in[0], *indices = &c->in[1];
    struct blocks b;
    int64_t dim[2 * MAX_RANK];
    int rank = 0;
    c->out[0].dtype = c->in[2].dtype;
    if (data->rank < 1 || indices->rank < 0)
        return OK;
    TRY(read_blocks(c->node, data, &b, c->err));
    for (int i = 0; i < b.gather; i++)
        dim[rank++] = b.dim[i];
    for (int i = 0; i < indices->rank; i++)
        dim[rank++] = indices->dim[i];
    for (int i = b.gather + 1; i < b.rank; i++)
        dim[rank++] = b.dim[i];
    FAIL_IF(rank > MAX_RANK, c->err, STATUS_UNSUPPORTED, "a result of rank %d", rank);
    fact_set(&c->out[0], c->in[2].dtype, rank, dim);
    return OK;
}

/* Element i of a tensor whose rows of `last` numbers are packed, the lowest bits first. */
static double number_at(const struct tensor *t, int bits, int64_t last, int64_t i) {
    if (!bits || bits == 8)
        return tensor_f64(t, i);
    int per = 8 / bits;
    int64_t row = (last + per - 1) / per, at = i % last;
    return (double)(((const uint8_t *)t->data)[i / last * row + at / per] >> (at % per * bits) &
                    ((1u << bits) - 1));
}

static double block_value(const struct op_ctx *c, const struct blocks *b, int64_t flat) {
    const struct tensor *scales = c->in[2], *zeros = input_given(c, 3) ? c->in[3] : NULL;
    int64_t rest = flat, at[MAX_RANK], place = 0;
    for (int i = b->rank - 1; i >= 0; i--) {
        at[i] = rest % b->dim[i];
        rest /= b->dim[i];
    }
    at[b->quantize] = b->size ? at[b->quantize] / b->size : 0;
    for (int i = 0; i < b->rank; i++)
        place = place * scales->dim[i] + (scales->dim[i] == 1 ? 0 : at[i]);
    double zero = zeros     ? number_at(zeros, b->bits, scales->dim[b->rank - 1], place)
                  : b->bits ? (double)(1 << (b->bits - 1))
                            : 0;
    double q = number_at(c->in[0], b->bits, b->dim[b->rank - 1], flat) - zero;
    return q * tensor_f64(scales, place);
}

static enum status check_blocks(struct op_ctx *c, const struct blocks *b) {
    const struct tensor *scales = c->in[2];
    int64_t last = b->rank ? scales->dim[b->rank - 1] : 1,
            packed = b->bits ? (last * b->bits + 7) / 8 : last;
    FAIL_IF(scales->rank != b->rank, c->err, STATUS_CORRUPT,
            "scales of rank %d for data of rank %d", scales->rank, b->rank);
    for (int i = 0; i < b->rank; i++) {
        int64_t most = i != b->quantize ? b->dim[i]
                       : b->size        ? (b->dim[i] + b->size - 1) / b->size
                                        : 1;
        FAIL_IF(scales->dim[i] != most && scales->dim[i] != 1, c->err, STATUS_CORRUPT,
                "axis %d of the scales has %lld elements instead of %lld", i,
                (long long)scales->dim[i], (long long)most);
    }
    FAIL_IF(input_given(c, 3) &&
                (!last || tensor_count(c->in[3]) != tensor_count(scales) / last * packed),
            c->err, STATUS_CORRUPT, "%lld zero points do not fit",
            (long long)tensor_count(c->in[3]));
    return OK;
}

static enum status gather_blocks(struct op_ctx *c) {
    const struct tensor *data = c->in[0], *indices = c->in[1];
    struct fact f = { .dtype = data->dtype, .rank = data->rank };
    struct blocks b;
    memcpy(f.dim, data->dim, sizeof f.dim);
    TRY(read_blocks(c->node, &f, &b, c->err));
    TRY(check_blocks(c, &b));
    int64_t inner = dims_product(b.dim, b.gather + 1, b.rank), n = b.dim[b.gather],
            picks = tensor_count(indices);
    for (int64_t i = 0; i < tensor_count(c->out[0]); i++) {
        int64_t row = i / inner, at = tensor_i64(indices, row % picks);
        at = at < 0 ? at + n : at;
        bool inside = at >= 0 && at < n; /* zero outside, as ONNX Runtime has it */
        double v = inside ? block_value(c, &b, (row / picks * n + at) * inner + i % inner) : 0;
        tensor_set_f64(c->out[0], i, v);
    }
    return OK;
}

/* clang-format off */
const struct op ops_contrib_weights[] = {
    { MICROSOFT("MatMulBnb4", 3, 3), .flags = OP_NO_GRADIENT | OP_VIEW,
      .attrs = ATTRS(NEEDED("K", INT), NEEDED("N", INT), NEEDED("block_size", INT), NEEDED("quant_type", INT), INT("training_mode", 0),
                     INT("transB", 1)), .shape = shape_bnb, .eval = matmul_bnb },
    { MICROSOFT("GatherBlockQuantized", 3, 4), .flags = OP_NO_GRADIENT,
      .attrs = ATTRS(INT("bits", 4), INT("block_size", 128), INT("gather_axis", 0), INT("quantize_axis", 1)), .shape = shape_blocks,
      .eval = gather_blocks },
    { 0 },
};
