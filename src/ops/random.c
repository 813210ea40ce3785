/* Operators that draw random numbers, and Dropout. */
#include "ops/random.h"

#include <math.h>
#include <string.h>

#include "ops/cast.h"
#include "ops/mathfn.h"
#include "ops/row.h"
#include "ops/twister.h"

/* SplitMix64 (Steele, Lea, Flood 2014): a counter through a mixing function. */
static uint64_t next(struct random *r) {
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

double random_uniform(struct random *r) {
    return (double)(next(r) >> 11) * 0x1p-53;
}

/* Box and Muller's transform, the cosine branch. */
double random_normal(struct random *r) {
    double u = 1 - random_uniform(r), v = random_uniform(r);
    return sqrt(-2 * log_d(u)) * cos_d(6.283185307179586 * v);
}

/* The node's own seed when it has one, else the run's and the node's place, so that two nodes
 * differ. */
static struct random start(const struct op_ctx *c) {
    const struct attr *seed = attr_find(c->node, "seed");
    struct random r = { c->seed ^ (uint64_t)c->node->id << 32 };
    if (seed && seed->type == ATTR_INT)
        r.state = (uint64_t)seed->i;
    else if (seed)
        memcpy(&r.state, &seed->f, sizeof r.state);
    next(&r);
    return r;
}

static void set_real(struct tensor *y, int64_t i, double v) {
    tensor_set_f64(y, i,
                   dtype_row(y->dtype)->bits < 32 ? cast_to_float(y->dtype, v, true, ROUND_UP) : v);
}

static enum status real_output(struct op_ctx *c) {
    return dtype_is_float(c->out[0]->dtype)
               ? OK
               : err_set(c->err, STATUS_UNSUPPORTED, "random numbers of type %s",
                         dtype_name(c->out[0]->dtype));
}

static enum status normal_eval(struct op_ctx *c) {
    double mean = attr_float(c->node, "mean"), scale = attr_float(c->node, "scale");
    struct random r = start(c);
    TRY(real_output(c));
    for (int64_t i = 0, n = tensor_count(c->out[0]); i < n; i++)
        set_real(c->out[0], i, mean + scale * random_normal(&r));
    return OK;
}

static enum status uniform_eval(struct op_ctx *c) {
    double low = attr_float(c->node, "low"), high = attr_float(c->node, "high");
    struct random r = start(c);
    TRY(real_output(c));
    for (int64_t i = 0, n = tensor_count(c->out[0]); i < n; i++)
        set_real(c->out[0], i, low + (high - low) * random_uniform(&r));
    return OK;
}

static enum status bernoulli_eval(struct op_ctx *c) {
    struct random r = start(c);
    for (int64_t i = 0, n = tensor_count(c->out[0]); i < n; i++)
        tensor_set_i64(c->out[0], i, random_uniform(&r) < tensor_f64(c->in[0], i));
    return OK;
}

/* The probabilities of a row are the softmax of its elements. */
static enum status multinomial_eval(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    int64_t classes = x->dim[1], samples = c->out[0]->dim[1];
    struct random r = start(c);
    double *sum = NEW_ARRAY(c->scratch, classes + 1, double);
    FAIL_IF(classes == 0 && samples > 0, c->err, STATUS_CORRUPT, "a draw from no classes");
    for (int64_t b = 0; b < x->dim[0]; b++) {
        double largest = -INFINITY, total = 0;
        for (int64_t k = 0; k < classes; k++)
            largest = fmax(largest, tensor_f64(x, b * classes + k));
        for (int64_t k = 0; k < classes; k++)
            sum[k] = total += exp_d(tensor_f64(x, b * classes + k) - largest);
        for (int64_t s = 0; s < samples; s++) {
            double u = random_uniform(&r) * total;
            int64_t k = 0;
            while (k < classes - 1 && sum[k] <= u)
                k++;
            tensor_set_i64(c->out[0], b * samples + s, k);
        }
    }
    return OK;
}

static enum status shape_from_attr(struct shape_ctx *c) {
    int rank;
    const int64_t *dim = attr_ints(c->node, "shape", &rank);
    SHAPE_FAIL_IF(rank > MAX_RANK, c, "a shape of rank %d", rank);
    c->out[0].dtype = attr_dtype(c->node, "dtype", DT_F32);
    c->out[0].rank = rank;
    for (int i = 0; i < rank; i++) {
        SHAPE_FAIL_IF(dim[i] < 0, c, "dimension %d of the shape is %lld", i, (long long)dim[i]);
        c->out[0].dim[i] = dim[i];
    }
    return OK;
}

static enum status shape_from_input(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    c->out[0].dtype = attr_dtype(c->node, "dtype", c->in[0].dtype);
    return OK;
}

static enum status multinomial_shape(struct shape_ctx *c) {
    int64_t samples = attr_int(c->node, "sample_size");
    SHAPE_FAIL_IF(c->in[0].rank >= 0 && c->in[0].rank != 2, c,
                  "the input has rank %d; 2 is asked for", c->in[0].rank);
    SHAPE_FAIL_IF(samples < 0, c, "sample_size is %lld", (long long)samples);
    c->out[0].dtype = attr_dtype(c->node, "dtype", DT_I32);
    c->out[0].rank = 2;
    c->out[0].dim[0] = c->in[0].rank < 0 ? DIM_UNKNOWN : c->in[0].dim[0];
    c->out[0].dim[1] = samples;
    return OK;
}

static enum status dropout_shape(struct shape_ctx *c) {
    for (int i = 0; i < c->n_out; i++)
        shape_copy(c, i, 0);
    if (c->n_out > 1)
        c->out[1].dtype = DT_BOOL;
    return OK;
}

/* In training x * mask / (1 - ratio), else a copy. With a seed the mask is that of the
 * specification's reference: an element is kept when the next number of the Mersenne Twister is not
 * below the ratio. */
static enum status dropout_eval(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    bool training = c->n_in > 2 && c->in[2] && tensor_i64(c->in[2], 0);
    double ratio = c->n_in > 1 && c->in[1] ? tensor_f64(c->in[1], 0) : 0.5;
    FAIL_IF(training && !(ratio >= 0 && ratio < 1), c->err, STATUS_CORRUPT,
            "the ratio of dropout is %g; it must be in [0, 1)", ratio);
    const struct attr *seed = attr_find(c->node, "seed");
    struct random r = start(c);
    struct twister t;
    twister_start(&t, seed ? (uint32_t)seed->i : 0);
    for (int64_t i = 0, n = tensor_count(x); i < n; i++) {
        bool kept =
            !training || ratio == 0 || (seed ? twister_uniform(&t) : random_uniform(&r)) >= ratio;
        double v = tensor_f64(x, i);
        if (op_wanted(c, 0))
            tensor_set_f64(c->out[0], i, !training ? v : kept ? v * (1 / (1 - ratio)) : 0);
        if (op_wanted(c, 1))
            tensor_set_i64(c->out[1], i, kept);
    }
    return OK;
}

static enum status dropout_grad(struct grad_ctx *c) {
    FAIL_IF(c->n_in > 2 && c->in[2] && tensor_i64(c->in[2], 0), c->err, STATUS_UNSUPPORTED,
            "the gradient of a Dropout in training mode");
    for (int64_t i = 0, n = tensor_count(c->in[0]); c->grad_in[0] && c->grad_out[0] && i < n; i++)
        ((double *)c->grad_in[0]->data)[i] += tensor_f64(c->grad_out[0], i);
    return OK;
}

#define SEED PLAIN("seed", FLOAT)
#define NORMAL FLOAT("mean", 0), FLOAT("scale", 1), SEED
#define UNIFORM FLOAT("high", 1), FLOAT("low", 0), SEED

/* clang-format off */
const struct op ops_random[] = {
    { ONNX("RandomNormal", 22, 0, 0), .flags = OP_RANDOM | OP_NO_GRADIENT, .attrs = ATTRS(NEEDED("shape", INTS), INT("dtype", 1), NORMAL),
      .shape = shape_from_attr, .eval = normal_eval },
    { ONNX("RandomNormalLike", 22, 1, 1), .flags = OP_RANDOM | OP_ANY_TYPE | OP_NO_GRADIENT, .attrs = ATTRS(INT("dtype", 0), NORMAL),
      .shape = shape_from_input, .eval = normal_eval },
    { ONNX("RandomUniform", 22, 0, 0), .flags = OP_RANDOM | OP_NO_GRADIENT, .attrs = ATTRS(NEEDED("shape", INTS), INT("dtype", 1), UNIFORM),
      .shape = shape_from_attr, .eval = uniform_eval },
    { ONNX("RandomUniformLike", 22, 1, 1), .flags = OP_RANDOM | OP_ANY_TYPE | OP_NO_GRADIENT, .attrs = ATTRS(INT("dtype", 0), UNIFORM),
      .shape = shape_from_input, .eval = uniform_eval },
    { ONNX("Bernoulli", 22, 1, 1), .flags = OP_RANDOM | OP_NO_GRADIENT, .attrs = ATTRS(INT("dtype", 0), SEED), .shape = shape_from_input,
      .eval = bernoulli_eval },
    { ONNX("Multinomial", 22, 1, 1), .flags = OP_RANDOM | OP_NO_GRADIENT, .attrs = ATTRS(INT("dtype", 6), INT("sample_size", 1), SEED),
      .shape = multinomial_shape, .eval = multinomial_eval },
    { .name = "Dropout", .domain = "", .spec = "ONNX Dropout-22", .min_in = 1, .max_in = 3, .min_out = 1, .max_out = 2,
      .attrs = ATTRS(PLAIN("seed", INT)), .shape = dropout_shape, .eval = dropout_eval, .grad = dropout_grad },
    { 0 },
};
