/* The one graph form.
 *
 * Operators are named and mean what ONNX's newest operator set says (domain ""), whatever the
 * file's format or version: readers translate. Spatial operators carry their data layout as
 * attributes
 * (`layout`: "NCHW" default or "NHWC"; `kernel_layout`), so weights are never moved on reading.
 * What has no ONNX meaning has a domain of its own ("tflite", "com.microsoft", "ai.onnx.ml", or the
 * file's custom domain).
 *
 * The graph says what the file says: nothing folded, nothing moved. Everything lives in the model's
 * arena. */
#ifndef IR_IR_H
#define IR_IR_H

#include "base/arena.h"
#include "base/map.h"
#include "base/mapfile.h"
#include "tensor/tensor.h"

/* A dimension: >= 0 known; DIM_UNKNOWN; <= DIM_SYMBOL the symbol number DIM_SYMBOL - dim of the
 * model. */
enum { DIM_UNKNOWN = -1, DIM_SYMBOL = -2 };

/* Where a node or value came from. */
struct origin {
    const char *name; /* its name in the file ("#3" for operator 3 of a TFLite file), never NULL
                         after reading */
    const char *op;   /* the operator's name in the file ("CONV_2D"), NULL for values */
    int64_t offset;   /* byte offset in the file, -1 when it has none */
    int32_t graph;    /* sub-graph number in the file (0 main) */
    int32_t index;    /* node, initializer or tensor number in that sub-graph, -1 none */
};

enum attr_type {
    ATTR_NONE,
    ATTR_INT,
    ATTR_FLOAT,
    ATTR_STRING,
    ATTR_TENSOR,
    ATTR_GRAPH,
    ATTR_INTS,
    ATTR_FLOATS,
    ATTR_STRINGS,
    ATTR_TENSORS,
    ATTR_GRAPHS,
    ATTR_TYPE,
};

struct attr {
    const char *name;
    enum attr_type type;
    int64_t n;           /* elements of a list; length of a string */
    int64_t i;           /* ATTR_INT; ATTR_TYPE: the dtype */
    double f;            /* ATTR_FLOAT (float32 in ONNX, widened) */
    const char *s;       /* ATTR_STRING, NUL-terminated, may hold NULs before n */
    const int64_t *ints; /* ATTR_INTS */
    const double *floats;
    const char *const *strings;
    struct tensor *tensor;
    struct tensor **tensors;
    struct graph *graph;
    struct graph **graphs;
};

/* Scale and zero point that the file stores with a value (TFLite QuantizationParameters). For show
 * and for native runs: the graph has explicit QuantizeLinear/DequantizeLinear nodes. */
struct quant {
    int64_t n; /* 1 per tensor, else length of dim[axis] */
    const float *scale;
    const int64_t *zero_point;
    int axis;
    int64_t block_size; /* 0: not block-wise */
};

struct value {
    const char
        *name; /* as in the file; unique within a graph when the file has it so; "" for none */
    int id;    /* unique in the model, dense from 0 */
    enum tensor_kind kind;
    enum dtype dtype;         /* element type; DT_NONE when the file does not say */
    int rank;                 /* -1 unknown */
    int64_t dim[MAX_RANK];    /* see DIM_UNKNOWN */
    struct tensor *constant;  /* initializer or constant; store as in the file */
    struct quant *quant;      /* NULL when none */
    struct node *producer;    /* NULL for inputs and constants */
    int out_index;            /* which output of the producer */
    bool is_input, is_output; /* of the graph it belongs to */
    bool is_variable;         /* keeps its value from run to run (TFLite variable tensor) */
    struct graph *graph;      /* where it is defined */
    struct origin origin;
};

/* Options of a file's operator that do not change its meaning, but its arithmetic in integers. */
enum native_option {
    NATIVE_ASYMMETRIC = 1,     /* float inputs of integer weights are quantized with a zero point */
    NATIVE_POWER_OF_TWO = 2,   /* 16-bit sums: scales that are powers of two are shifted */
    NATIVE_IGNORES_SCALES = 4, /* the format's kernel computes on the integers as they are, which
                                  is not what the operator means */
};

struct op; /* a row of src/ops */

struct node {
    const char *op;       /* operator name, e.g. "Conv" */
    const char *domain;   /* "" for ai.onnx */
    const struct op *def; /* its row, or NULL when calque has none (set by ops_bind) */
    const char *name;     /* as in the file; may be "" */
    int id;               /* position in graph->nodes (graph_renumber) */
    struct value **in;    /* NULL entries: optional inputs left out */
    int n_in;
    struct value **out; /* NULL entries: outputs left out */
    int n_out;
    struct attr *attrs;
    int n_attrs;
    struct graph *body;  /* call of a model-local function: its body, instantiated */
    int32_t group;       /* nodes read from one operator of the file share it; -1 none */
    int version;         /* operator-set version the file declares for its domain; 0 none */
    unsigned native;     /* enum native_option: what only native runs ask for */
    struct graph *graph; /* where it stands */
    struct origin origin;
};

struct graph {
    const char *name;
    struct model *model;
    struct graph *parent; /* the graph that holds the node that holds this one, or NULL */
    struct node **nodes;  /* in the file's order, which must be topological (verify checks) */
    int n_nodes;
    struct value **values; /* all defined here, constants included */
    int n_values;
    struct value **inputs;
    int n_inputs;
    struct value **outputs; /* values may be inputs or of an outer graph */
    int n_outputs;
    int32_t index; /* sub-graph number in the file */
};

struct property {
    const char *key, *value;
};

struct signature { /* TFLite SignatureDef, SavedModel signature */
    const char *key;
    int32_t graph;
    const char **input_names, **output_names;
    int n_inputs, n_outputs;
    int *input_places, *output_places; /* which of the graph's inputs and outputs each is, -1
                                          unknown; NULL: not said */
};

struct model {
    struct arena *arena; /* owns all of it; model_free frees it and unmaps the files */
    const char *path;
    const char *format;         /* "onnx", "tflite" */
    const char *format_version; /* "IR 8, opset 17", "schema 3" */
    const char *producer;
    const char *description;
    struct graph *graph; /* the main graph */
    struct graph *
        *graphs; /* every graph of the file by number (TFLite subgraphs); graphs[0] == graph */
    int n_graphs;
    const char **symbols; /* names of dimension symbols */
    int n_symbols;
    struct strmap symbol_numbers; /* name -> its number (int *); made by model_symbol */
    struct property *properties;  /* metadata */
    int n_properties;
    struct property *opsets; /* domain, version as text */
    int n_opsets;
    struct signature *signatures;
    int n_signatures;
    struct mapfile *files; /* the file and its external data */
    int n_files;
    int next_value_id;
    int32_t next_group;
    int next_name;         /* number of the next name that a patch makes */
    struct patch *applied; /* the patch applied last, the first to be taken back; NULL: as read */
    const char **warnings;
    int n_warnings;
    bool fixed_point;  /* the format's kernels compute quantized groups in integers:
                          passes/fixed_point.h */
    void *format_data; /* the reader's own notes for the writer of the same format */
};

struct model *model_new(void);
void model_free(struct model *m);
void model_warn(struct model *m, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Adds a property to `list` of the model (properties or opsets). */
void model_add_property(struct model *m, struct property **list, int *n, const char *key,
                        const char *value);
/* The code of a symbol, made on first use. */
int64_t model_symbol(struct model *m, const char *name);
/* "N" or "3" or "?". */
const char *dim_text(const struct model *m, int64_t dim, char *buf, size_t size);

struct graph *graph_new(struct model *m, struct graph *parent, const char *name);
struct value *graph_add_value(struct graph *g, const char *name);
/* An unlinked value (for patches): not in graph->values yet. */
struct value *value_new(struct graph *g, const char *name);
/* The value's contents, and with them its kind, dtype and dims. */
void value_set_constant(struct value *v, struct tensor *t);
struct value *graph_add_constant(struct graph *g, const char *name, struct tensor *t);
void graph_add_input(struct graph *g, struct value *v);
void graph_add_output(struct graph *g, struct value *v);
/* Appends a node with room for n_in inputs and n_out outputs (all NULL); names are not copied. */
struct node *graph_add_node(struct graph *g, const char *op, const char *domain, int n_in,
                            int n_out);
/* An unlinked node (for patches). */
struct node *node_new(struct graph *g, const char *op, const char *domain, int n_in, int n_out);
void node_set_output(struct node *n, int i, struct value *v);
/* Numbers nodes by position. */
void graph_renumber(struct graph *g);

/* Attributes: set replaces; find gives NULL when absent. Lists are not copied (give arena memory).
 */
struct attr *node_attr(const struct node *n, const char *name);
struct attr *node_set_attr(struct node *n, const char *name, enum attr_type type);
void node_set_int(struct node *n, const char *name, int64_t v);
void node_set_float(struct node *n, const char *name, double v);
void node_set_string(struct node *n, const char *name, const char *v);
void node_set_ints(struct node *n, const char *name, const int64_t *v, int64_t n_v);
void node_set_floats(struct node *n, const char *name, const double *v, int64_t n_v);
void node_remove_attr(struct node *n, const char *name);
bool attr_equal(const struct attr *a, const struct attr *b);

/* "Conv" of domain ""; strcmp in one word. */
bool node_is(const struct node *n, const char *op);

/* How a node is called in reports: its name, else "#k" (with "s#k" in sub-graph s > 0). */
const char *node_label(const struct node *n, struct arena *a);

/* The uses of every value of a model: which node reads it at which input. Built once, then read. */
struct use {
    struct node *node;
    int input;
};
struct uses {
    struct use **of; /* by value id */
    int *n;
    int n_values;
};
struct uses *uses_build(const struct model *m, struct arena *a);
/* Calls visit for every graph of the model, sub-graphs of attributes and function bodies included.
 */
void model_each_graph(struct model *m, void (*visit)(struct graph *g, void *arg), void *arg);

#endif
