/* Inside the TFLite format: the schema's numbers, the reader's state, and what the writer needs to
 * know of a file.
 *
 * How an operator is read: its table of options and its tensors become one or several IR nodes of
 * one group. An integer tensor with a scale is seen through DequantizeLinear by operators that
 * compute, and written through QuantizeLinear; a fused activation is a node of its own before that.
 */
#ifndef FORMATS_TFLITE_H
#define FORMATS_TFLITE_H

#include "ir/ir.h"
#include "wire/flatbuffer.h"

enum builtin {
#define BUILTIN(number, name, options, options2) BUILTIN_##name = number,
#include "formats/tflite/builtins.def"
#undef BUILTIN
    BUILTIN_COUNT
};

struct builtin_row {
    const char *name;
    uint8_t options, options2; /* numbers in the unions BuiltinOptions and BuiltinOptions2 */
};
/* NULL when the number is not of schema 3. */
const struct builtin_row *builtin_row(int number);

/* Slots of the tables (schema.fbs, in order of declaration). */
enum {
    MODEL_VERSION,
    MODEL_OPERATOR_CODES,
    MODEL_SUBGRAPHS,
    MODEL_DESCRIPTION,
    MODEL_BUFFERS,
    MODEL_METADATA_BUFFER,
    MODEL_METADATA,
    MODEL_SIGNATURES,
    MODEL_EXTERNAL_GROUPS,
    MODEL_EXTERNAL_BUFFERS
};
enum { CODE_DEPRECATED, CODE_CUSTOM, CODE_VERSION, CODE_BUILTIN };
enum { SUBGRAPH_TENSORS, SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS, SUBGRAPH_OPERATORS, SUBGRAPH_NAME };
enum {
    TENSOR_SHAPE,
    TENSOR_TYPE,
    TENSOR_BUFFER,
    TENSOR_NAME,
    TENSOR_QUANTIZATION,
    TENSOR_IS_VARIABLE,
    TENSOR_SPARSITY,
    TENSOR_SHAPE_SIGNATURE,
    TENSOR_HAS_RANK,
    TENSOR_VARIANT,
    TENSOR_EXTERNAL_BUFFER
};
enum {
    OPERATOR_CODE,
    OPERATOR_INPUTS,
    OPERATOR_OUTPUTS,
    OPERATOR_OPTIONS_TYPE,
    OPERATOR_OPTIONS,
    OPERATOR_CUSTOM_OPTIONS,
    OPERATOR_CUSTOM_FORMAT,
    OPERATOR_MUTATING,
    OPERATOR_INTERMEDIATES,
    OPERATOR_LARGE_OFFSET,
    OPERATOR_LARGE_SIZE,
    OPERATOR_OPTIONS2_TYPE,
    OPERATOR_OPTIONS2
};
enum { BUFFER_DATA, BUFFER_OFFSET, BUFFER_SIZE };
enum {
    QUANT_MIN,
    QUANT_MAX,
    QUANT_SCALE,
    QUANT_ZERO_POINT,
    QUANT_DETAILS_TYPE,
    QUANT_DETAILS,
    QUANT_AXIS
};
enum { PADDING_SAME, PADDING_VALID };
enum activation {
    ACTIVATION_NONE,
    ACTIVATION_RELU,
    ACTIVATION_RELU_N1_TO_1,
    ACTIVATION_RELU6,
    ACTIVATION_TANH,
    ACTIVATION_SIGN_BIT,
    ACTIVATION_SATURATE /* not of the schema: to the largest finite floats, see map_elementwise.c */
};

/* DT_NONE: not a type calque has (resource, variant). */
enum dtype dtype_from_tflite(int type);
/* -1: TFLite lacks the type. */
int dtype_to_tflite(enum dtype t);

/* What a node is to the operator it was read from. */
enum node_role { ROLE_MAIN, ROLE_DEQUANTIZE, ROLE_QUANTIZE, ROLE_ACTIVATION, ROLE_HELPER };
/* Where a constant's contents come from. */
enum constant_source { FROM_TENSOR, FROM_SCALE, FROM_ZERO_POINT, FROM_OPTIONS, FROM_INPUT };

struct constant_note {
    const struct value *value;
    enum constant_source source;
    int32_t graph, index; /* tensor number, or operator number for FROM_OPTIONS and FROM_INPUT */
    int32_t slot;         /* FROM_INPUT: which input of the operator */
};

/* Kept in model->format_data for the writer. */
struct tflite_notes {
    struct intmap roles;     /* node pointer -> enum node_role */
    struct intmap constants; /* value pointer -> number in `notes` */
    struct constant_note *notes;
    int n_notes;
    struct value ***tensors; /* [graph][tensor] */
};
enum node_role tflite_role(const struct model *m, const struct node *n);
const struct constant_note *tflite_constant_note(const struct model *m, const struct value *v);

/* A resource (variable or table): what it holds now. */
struct resource {
    const char *name;
    struct value *now, *keys; /* variable: its value; table: values and keys */
};

/* The resources that a sub-graph has met, and the tensors that are handles of them. */
struct resources {
    struct resource **items;
    int n;
    struct handle {
        const struct value *value;
        struct resource *resource;
    } * handles;
    int n_handles;
};

struct tfl_reader {
    struct model *m;
    struct flatbuffer fb;
    struct fb_vector codes, buffers, subgraphs, metadata;
    struct tflite_notes *notes;
    struct quant_values { /* constants made of a tensor's scale and zero point, made on first use */
        struct value *scale, *zero_point;
    } * *quant;
    struct resources *resources; /* by sub-graph */
    unsigned char *visited;      /* by sub-graph: 1 being read, 2 read; finds cycles */
    int depth;
    struct err *err;
};

/* One operator being read. */
struct op_reader {
    struct tfl_reader *r;
    struct graph *g;
    struct fb_table op, options, options2;
    enum builtin code;
    const char *op_name; /* "CONV_2D"; custom code for custom operators */
    const char *name;    /* "#3" */
    int32_t index, group;
    int version;
    struct value **in, **out;
    int n_in, n_out;
    struct node *last; /* last node emitted */
};

typedef enum status read_fn(struct op_reader *x);

/* --- making nodes and values (tflite_emit.c) --- */
struct node *emit(struct op_reader *x, const char *op, const char *domain, int n_in, int n_out,
                  enum node_role role);
/* A value between nodes of the group, like `like` in shape when that is not NULL. */
struct value *between(struct op_reader *x, const char *suffix, enum dtype dtype,
                      const struct value *like);
/* Emits a node of domain "" with one output, which is a new value between. */
struct value *then1(struct op_reader *x, const char *op, struct value *a, const struct value *like);
struct value *then2(struct op_reader *x, const char *op, struct value *a, struct value *b,
                    const struct value *like);
/* Constants that no tensor of the file holds. slot < 0: made from options, else from that input. */
struct value *made_ints(struct op_reader *x, const char *suffix, const int64_t *v, int64_t n,
                        int slot);
struct value *made_real(struct op_reader *x, const char *suffix, enum dtype dtype, double v);
struct value *made_tensor(struct op_reader *x, const char *suffix, struct tensor *t, int slot);

bool value_quantized(const struct value *v);
/* Input i as it is in the file; NULL when left out. */
struct value *raw_in(const struct op_reader *x, int i);
/* Input i as a real number: dequantized when it is quantized. */
struct value *real_in(struct op_reader *x, int i);
/* The same for an integer tensor of any width with a scale (biases are int32 or int64). */
struct value *scaled_in(struct op_reader *x, int i);
/* Output i is output k of node n after the activation and quantization. */
enum status deliver(struct op_reader *x, int i, struct node *n, int k, enum activation act);
/* Output i, which has a scale, is v quantized. */
enum status deliver_quantized(struct op_reader *x, int i, struct value *v);
/* The same for a value made by then1/then2: renames it away. */
enum status deliver_value(struct op_reader *x, int i, struct value *v, enum activation act);
/* True when no arithmetic is needed between input i and output k: neither is quantized, or both
 * alike. */
bool same_quant(const struct op_reader *x, int i, int k);
/* Input i of an operator that only moves data, and whether it passes as it is: where input and
 * output have one scale. Output i of such an operator. */
struct value *moved_in(struct op_reader *x, int i, bool *raw);
enum status moved_out(struct op_reader *x, int i, struct node *n, bool raw);
/* A copy that lives as long as the model. */
int64_t *kept_ints(struct op_reader *x, const int64_t *v, int64_t n);
enum status activation_read(const struct op_reader *x, int slot, enum activation *out);

/* Contents of constant input i as integers (arena); false when it is not a constant. */
bool const_ints(const struct op_reader *x, int i, const int64_t **v, int64_t *n);
enum status need_const_ints(const struct op_reader *x, int i, const char *what, const int64_t **v,
                            int64_t *n);
enum status need_inputs(const struct op_reader *x, int least);
enum status refuse(const struct op_reader *x, const char *what);

/* --- families (map_*.c): the reader of a built-in, or NULL --- */
read_fn *map_elementwise(enum builtin code);
read_fn *map_spatial(enum builtin code);
read_fn *map_data(enum builtin code);
read_fn *map_slice(enum builtin code);
read_fn *map_reduce(enum builtin code);
read_fn *map_own(enum builtin code);
read_fn *map_control(enum builtin code);
read_fn *map_stablehlo(enum builtin code);
read_fn *map_stablehlo_product(enum builtin code);
/* map_own.c: the name of the reduction that a sub-graph of one operator on its two inputs is: add,
 * mul, max, min; set where it gives its second input. */
enum status tflite_reducer(struct op_reader *x, int32_t body, const char **name);

/* --- tflite_read.c --- */
enum status tflite_read(struct model *m, struct err *e);
/* Reads the operators of a sub-graph unless that is done; fails when it is being read (it calls
 * itself). */
enum status tflite_read_subgraph(struct tfl_reader *r, int k);
/* --- tflite_tensor.c: values of a sub-graph's tensors --- */
enum status tflite_read_tensors(struct tfl_reader *r, struct graph *g,
                                const struct fb_table *table);
/* --- tflite_sparse.c: a sparse tensor's bytes made dense in the arena --- */
enum status tflite_densify(struct tfl_reader *r, const struct fb_table *sparsity, struct tensor *t,
                           const unsigned char *data, size_t size);

/* tflite_op.c: what reads a built-in, or NULL. */
read_fn *tflite_reader(enum builtin code);
enum status tflite_read_operator(struct tfl_reader *r, struct graph *g, const struct fb_table *op,
                                 int index);
/* The sub-graph that an operator calls, read. */
enum status tflite_subgraph(struct op_reader *x, int32_t number, struct graph **out);

/* tflite_operators.c: why a built-in is not read, or NULL; every built-in for the table of
 * operators.
 */
const char *tflite_refused(enum builtin code);
struct format_operators;
void tflite_operators(struct arena *a, struct format_operators *out);

struct patch;
enum status tflite_write_patched(const struct model *m, const struct patch *const *patches, int n,
                                 const char *path, struct err *e);

#endif
