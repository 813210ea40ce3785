/* Operators: one row each, and what its functions get to see.
 *
 * A family is one file, src/ops/<family>.c, that ends with its table of rows
 *     const struct op ops_<family>[] = { { "Relu", ... }, ..., { 0 } };
 * and is listed once in families.def. A row holds meaning only: formats map onto it in their own
 * folders.
 *
 * How a node is run (op_run): the shape rule sees the facts of all inputs, contents included, and
 * states the outputs' declared dtype, rank and dims; outputs whose dims are all known are then
 * allocated, the kernel fills them. A kernel whose output shape depends on what it computes leaves
 * dims unknown in the rule and calls op_output itself.
 *
 * Element types in kernels. Inputs arrive contiguous, with store one of F64 F32 I64 I32 I16 I8 U64
 * U32 U16 U8 BOOL C64 C128 STRING. Floats are all stored as F64 (PREC_F64) or as F32 (other
 * precisions; float64 stays F64): float16, bfloat16 and float8 values are held widened, and op_run
 * rounds what a kernel wrote to the declared type when the precision is not F64.
 * int4/uint4/int2/uint2 are held as int8/uint8; the kernel keeps them in range.
 *
 * Reproducible arithmetic: each kernel states the order of its floating-point operations in a
 * comment. Sums of products are one fma chain per output in the stated order; nothing else is
 * contracted (-ffp-contract=off). exp, tanh, ... come from ops/mathfn.h, never from libm. */
#ifndef OPS_OP_H
#define OPS_OP_H

#include "base/pool.h"
#include "ir/ir.h"

struct pack_cache;
struct follower;
struct op_cores;

enum precision {
    PREC_F64,    /* every float in float64: the meaning */
    PREC_F32,    /* the declared types: float32 arithmetic, float16 results rounded */
    PREC_NATIVE, /* as the format's own kernels compute, integers in integer arithmetic */
};

/* What is known of a value: complete at run time, partial before. dim as in struct value. */
struct fact {
    enum tensor_kind kind;
    enum dtype dtype;
    int rank; /* -1 unknown */
    int64_t dim[MAX_RANK];
    const struct tensor *value; /* contents, or NULL when unknown */
    const struct tensor *parts; /* contents of which some are symbols or unknown (int64 entries, see
                                   part_of_dim); NULL when nothing or all of it is known */
    bool absent;                /* optional input left out / output not wanted */
};

struct shape_ctx {
    const struct node *node;
    struct model *model; /* for symbols */
    struct arena *arena; /* scratch */
    int n_in, n_out;
    const struct fact *in;
    struct fact *out; /* preset: KIND_TENSOR, DT_NONE, rank -1 */
    struct err *err;
};

struct op_ctx {
    const struct node *node;
    enum precision precision;
    struct pool *pool;     /* may be NULL */
    struct arena *scratch; /* reset after the node */
    int n_in, n_out;
    const struct tensor *const *in; /* NULL: left out */
    struct tensor **out;            /* NULL until allocated; op_wanted says whether anybody asks */
    const struct fact *out_fact;
    uint64_t seed;    /* for operators that draw random numbers */
    bool round_casts; /* false: Cast to a narrower float keeps the value (comparison of meanings);
                         default true */
    /* Runs a sub-graph of the node: feeds its inputs, gives new references to its outputs (free
     * them). Set by exec. */
    enum status (*run_graph)(struct op_ctx *c, const struct graph *g, struct tensor *const *inputs,
                             int n_inputs, struct tensor **outputs, int n_outputs);
    void *exec;                /* exec's own */
    const struct op_env *env;  /* what the node is run with (for call.h) */
    struct pack_cache *packs;  /* src/kernels' cache of packed weights; NULL: none is kept */
    struct recycler *recycler; /* may be NULL */
    struct follower *follower; /* src/kernels': nodes to compute along with this one; NULL: none */
    const struct op_cores *cores; /* src/kernels': faster inner loops; NULL: the reference's */
    bool fills; /* the kernel writes every element of its outputs: they need not be zeroed */
    struct err *err;
};

typedef enum status op_shape_fn(struct shape_ctx *c);
typedef enum status op_eval_fn(struct op_ctx *c);

/* Reverse mode: given inputs, outputs and the gradients of the outputs, adds to the gradients of
 * the inputs. All float64, PREC_F64. grad_in[i] is zeroed and has in[i]'s shape, or NULL when not
 * wanted. */
struct grad_ctx {
    const struct node *node;
    struct arena *scratch;
    int n_in, n_out;
    const struct tensor *const *in, *const *out;
    const struct tensor *const *grad_out; /* NULL: zero */
    struct tensor **grad_in;
    struct err *err;
};
typedef enum status op_grad_fn(struct grad_ctx *c);

/* An attribute an operator knows: its type and default ("" in `s` = no default string). */
struct attr_def {
    const char *name;
    enum attr_type type;
    bool required;
    int64_t i;
    double f;
    const char *s;
};

enum op_flags {
    OP_ELEMENTWISE = 1, /* output element i depends on the inputs' (broadcast) elements i only */
    OP_COMMUTATIVE = 2, /* in the first two inputs */
    OP_RANDOM = 4,      /* draws numbers; outputs cannot be compared */
    OP_DATA_SHAPE = 8,  /* output shape depends on computed contents */
    OP_MOVES =
        16, /* only moves data: every output element is an input element or a constant fill */
    OP_SUBGRAPH = 32,      /* runs sub-graphs */
    OP_STATE = 64,         /* reads or writes a variable */
    OP_VIEW = 128,         /* the kernel makes its outputs itself (op_output, op_output_alias) */
    OP_KINDS = 256,        /* takes sequences, optionals or maps; all others get tensors only */
    OP_NO_GRADIENT = 1024, /* no derivative worth the name: integers, truths, indices, texts or
                              random numbers, steps that are flat almost everywhere */
    OP_ANY_TYPE = 512, /* takes texts or complex numbers; of all others only those that move data or
                          run sub-graphs do */
};

struct op {
    const char *name, *domain;
    const char *spec;   /* where the meaning is defined: "ONNX Conv-22", "TFLite MIRROR_PAD" */
    int min_in, max_in; /* max -1: variadic */
    int min_out, max_out;
    unsigned flags;
    unsigned whole;               /* bits: inputs that must be integers (indices, axes, sizes) */
    const struct attr_def *attrs; /* ends with a NULL name; NULL: none */
    op_shape_fn *shape;
    op_eval_fn *eval;
    op_grad_fn *grad; /* NULL: OP_NO_GRADIENT, or a sub-graph that tape.h goes through */
};

/* The row, or NULL. */
const struct op *op_find(const char *domain, const char *name);
/* All rows in the order of families.def; ends with NULL. */
const struct op *const *op_all(void);
/* Sets node->def for every node of the model. */
void ops_bind(struct model *m);
/* Checks counts of inputs and outputs and attributes' presence and types against the row: a clear
 * error, or OK. */
enum status op_check(const struct node *n, struct err *e);

/* Attribute values with the row's default. Asking for an attribute that the row does not list is a
 * BUG (assert). */
int64_t attr_int(const struct node *n, const char *name);
double attr_float(const struct node *n, const char *name);
const char *attr_str(const struct node *n, const char *name);
/* A type attribute (an ONNX TensorProto.DataType number): `otherwise` when absent or 0, DT_NONE
 * when unknown. */
enum dtype attr_dtype(const struct node *n, const char *name, enum dtype otherwise);
/* Lists: NULL and *count = 0 when absent. */
const int64_t *attr_ints(const struct node *n, const char *name, int *count);
const double *attr_floats(const struct node *n, const char *name, int *count);
struct graph *attr_graph(const struct node *n, const char *name);
/* NULL when absent. */
const struct attr *attr_find(const struct node *n, const char *name);

/* --- for shape rules (shape.c) --- */
/* Fails with the node's label in front. */
#define SHAPE_FAIL_IF(cond, c, ...) FAIL_IF(cond, (c)->err, STATUS_CORRUPT, __VA_ARGS__)
bool fact_known(const struct fact *f); /* rank and every dim known */
/* Output i is like input j (dtype and shape). The commonest rule, `shape_same`, is that with 0 and
 * 0. */
void shape_copy(struct shape_ctx *c, int out, int in);
enum status shape_same(struct shape_ctx *c);
/* NumPy broadcasting of facts a and b into rank and dims; unknown stays unknown. */
enum status shape_broadcast(struct shape_ctx *c, const struct fact *a, const struct fact *b,
                            struct fact *out);
enum status shape_broadcast_all(struct shape_ctx *c); /* all inputs -> output 0, dtype of input 0 */
/* Integer contents of a small known tensor as a list in scratch; false when the contents are
 * unknown. */
bool fact_ints(struct shape_ctx *c, const struct fact *f, const int64_t **v, int64_t *n);
/* An entry of contents known in part: a number as it is, an unknown dimension or a symbol as a code
 * far outside of what a shape holds. */
int64_t part_of_dim(int64_t dim);
bool part_is_code(int64_t part);
/* The entry as a dimension: the number (DIM_UNKNOWN when negative), DIM_UNKNOWN or the symbol. */
int64_t dim_of_part(int64_t part);
/* Like fact_ints, but also for contents known in part. */
bool fact_parts(struct shape_ctx *c, const struct fact *f, const int64_t **v, int64_t *n);
/* What is true of both facts (branches of an If, states of a Loop): the rest of f becomes unknown.
 */
void fact_join(struct fact *f, const struct fact *other);
/* -rank <= axis < rank, made non-negative. */
enum status axis_normalise(int64_t axis, int rank, int *out, struct err *e);

/* --- for kernels --- */
/* Allocates output i (when not there yet) with the declared dtype; the store follows the precision.
 */
enum status op_output(struct op_ctx *c, int i, enum dtype dtype, int rank, const int64_t *dim);
bool op_wanted(const struct op_ctx *c, int i);
/* Makes output i another view of input j's elements with other dims (no copying). */
enum status op_output_alias(struct op_ctx *c, int i, int j, int rank, const int64_t *dim);
/* How values of a declared type are stored at run time. */
enum dtype store_of(enum dtype declared, enum precision p);

/* --- running one node --- */
struct op_env {
    enum precision precision;
    struct pool *pool;
    struct arena *scratch;
    uint64_t seed;
    bool keep_casts; /* Cast to a narrower float keeps the value */
    /* A faster kernel for the node or NULL; set by exec from src/kernels. *fills: see op_ctx. */
    op_eval_fn *(*fast)(const struct node *n, bool *fills);
    enum status (*run_graph)(struct op_ctx *c, const struct graph *g, struct tensor *const *inputs,
                             int n_inputs, struct tensor **outputs, int n_outputs);
    void *exec;
    struct pack_cache *packs;  /* may be NULL */
    struct recycler *recycler; /* may be NULL */
    struct follower *follower; /* may be NULL */
};
/* Runs node n on `in` (stores as kernels want them: see tensor_for_kernel). out[i] are new
 * references, NULL where the node has no such output. Errors carry the node's label and operator.
 */
enum status op_run(const struct op_env *env, const struct node *n, const struct tensor *const *in,
                   struct tensor **out, struct err *e);
/* Input converted to the store kernels want (an alias when it is that already). Free with
 * tensor_free. */
enum status tensor_for_kernel(struct tensor **out, const struct tensor *t, enum precision p,
                              struct err *e);
/* The shape rule alone, on facts. Unknown operators: outputs stay unknown and STATUS_UNSUPPORTED.
 */
enum status op_shape(const struct node *n, struct model *m, struct arena *scratch,
                     const struct fact *in, struct fact *out, struct err *e);

#endif
