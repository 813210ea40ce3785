/* The ONNX reader's inside: what its files share. Nothing outside this folder includes it but the
 * data files' header onnx_data.h and the tests of this folder.
 *
 * Field numbers are those of onnx.proto (onnx/onnx on GitHub). */
#ifndef FORMATS_ONNX_ONNX_H
#define FORMATS_ONNX_ONNX_H

#include "base/map.h"
#include "ir/ir.h"
#include "wire/protobuf.h"

enum { ONNX_NEWEST_OPSET = 28, ONNX_MAX_DEPTH = 64 };

enum onnx_model_field {
    MODEL_IR_VERSION = 1,
    MODEL_PRODUCER_NAME = 2,
    MODEL_PRODUCER_VERSION = 3,
    MODEL_DOC_STRING = 6,
    MODEL_GRAPH = 7,
    MODEL_OPSET_IMPORT = 8,
    MODEL_METADATA_PROPS = 14,
    MODEL_FUNCTIONS = 25,
};

enum onnx_graph_field {
    GRAPH_NODE = 1,
    GRAPH_NAME = 2,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    GRAPH_VALUE_INFO = 13,
    GRAPH_SPARSE_INITIALIZER = 15,
};

enum onnx_node_field {
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_NAME = 3,
    NODE_OP_TYPE = 4,
    NODE_ATTRIBUTE = 5,
    NODE_DOMAIN = 7,
    NODE_OVERLOAD = 8,
};

enum onnx_attribute_field {
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_F = 2,
    ATTRIBUTE_I = 3,
    ATTRIBUTE_S = 4,
    ATTRIBUTE_T = 5,
    ATTRIBUTE_G = 6,
    ATTRIBUTE_FLOATS = 7,
    ATTRIBUTE_INTS = 8,
    ATTRIBUTE_STRINGS = 9,
    ATTRIBUTE_TENSORS = 10,
    ATTRIBUTE_GRAPHS = 11,
    ATTRIBUTE_TP = 14,
    ATTRIBUTE_TYPE = 20,
    ATTRIBUTE_REF_ATTR_NAME = 21,
    ATTRIBUTE_SPARSE_TENSOR = 22,
};

/* AttributeProto.AttributeType */
enum onnx_attribute_type {
    ONNX_FLOAT = 1,
    ONNX_INT = 2,
    ONNX_STRING = 3,
    ONNX_TENSOR = 4,
    ONNX_GRAPH = 5,
    ONNX_FLOATS = 6,
    ONNX_INTS = 7,
    ONNX_STRINGS = 8,
    ONNX_TENSORS = 9,
    ONNX_GRAPHS = 10,
    ONNX_SPARSE_TENSOR = 11,
    ONNX_SPARSE_TENSORS = 12,
    ONNX_TYPE_PROTO = 13,
    ONNX_TYPE_PROTOS = 14,
};

enum onnx_tensor_field {
    TENSOR_DIMS = 1,
    TENSOR_DATA_TYPE = 2,
    TENSOR_SEGMENT = 3,
    TENSOR_FLOAT_DATA = 4,
    TENSOR_INT32_DATA = 5,
    TENSOR_STRING_DATA = 6,
    TENSOR_INT64_DATA = 7,
    TENSOR_NAME = 8,
    TENSOR_RAW_DATA = 9,
    TENSOR_DOUBLE_DATA = 10,
    TENSOR_UINT64_DATA = 11,
    TENSOR_EXTERNAL_DATA = 13,
    TENSOR_DATA_LOCATION = 14,
};

enum onnx_function_field {
    FUNCTION_NAME = 1,
    FUNCTION_INPUT = 4,
    FUNCTION_OUTPUT = 5,
    FUNCTION_ATTRIBUTE = 6,
    FUNCTION_NODE = 7,
    FUNCTION_OPSET_IMPORT = 9,
    FUNCTION_DOMAIN = 10,
    FUNCTION_ATTRIBUTE_PROTO = 11,
    FUNCTION_VALUE_INFO = 12,
    FUNCTION_OVERLOAD = 13,
};

/* Bytes of a message. */
struct span {
    size_t begin, end;
};

struct opset {
    const char *domain; /* "" for ai.onnx */
    int64_t version;
};

struct opsets {
    struct opset *items;
    int n;
};

/* A FunctionProto and how far its expansion has come. */
struct onnx_function {
    struct span span;
    const char *domain, *name;
    struct opsets opsets;
    bool open; /* being expanded: a call now is a recursion */
    int n_calls;
};

/* Where each graph of the IR lies in the file, by graph->index. */
struct onnx_graph_place {
    struct span span;
    struct onnx_function *function; /* body of a function, or NULL for a GraphProto */
};

/* A file of external data: its place relative to the model's folder. */
struct onnx_external {
    const char *location;
    struct mapfile file;
};

/* model->format_data */
struct onnx_notes {
    int64_t ir_version;
    struct opsets opsets;
    struct onnx_graph_place *graphs;
    int n_graphs;
    struct onnx_external *externals;
    int n_externals;
};

struct onnx_reader {
    struct model *m;
    struct arena *a; /* the model's */
    struct err *e;
    const unsigned char *base;
    size_t size;
    struct onnx_notes *notes;
    struct strmap functions;     /* "domain:name:overload" -> struct onnx_function */
    struct strmap externals;     /* location -> struct mapfile */
    const struct opsets *opsets; /* of the graph being read */
    int depth;
    int64_t nodes_left;  /* what the expansion of functions may still make */
    uint64_t dense_left; /* bytes that sparse tensors may still unfold to */
    int large_touched;   /* large fields read since mapped pages were let go */
};

/* Names in reach: those of one graph, then those of the graphs around it. */
struct onnx_scope {
    struct strmap values;
    const struct onnx_scope *outer;
    struct graph *graph;
    const struct node *call; /* in a function's body: the calling node, for attribute references */
    const struct onnx_function *function;
    struct pb_field *large; /* the fields of LARGE_FIELD bytes and more, as far as walked */
    int n_large;
};

/* A walk over the fields of a scope's message. Each graph is walked once a kind of field; what a
 * walk met of LARGE_FIELD bytes or more, initializers above all, the next one passes without
 * touching the file. */
struct onnx_walk {
    struct cursor c;
    int next; /* of scope->large */
};
struct onnx_walk onnx_walk_of(const struct onnx_reader *r, struct span s);
bool onnx_next(struct onnx_reader *r, struct onnx_scope *scope, struct onnx_walk *w,
               struct pb_field *f);
/* Says that a large field was read: every few of them the reader lets the mapped pages go. */
void onnx_touched(struct onnx_reader *r, const struct pb_field *f);

/* The text of a field, NUL-terminated in the arena. */
const char *onnx_string(struct onnx_reader *r, const struct pb_field *f);
/* "message ends inside a field at byte N" */
enum status onnx_bad_wire(struct onnx_reader *r, const struct cursor *c, const char *message);
/* Goes one message deeper; fails past ONNX_MAX_DEPTH. */
enum status onnx_deeper(struct onnx_reader *r);

enum status onnx_read_tensor(struct onnx_reader *r, struct span s, struct tensor **out,
                             const char **name);
/* A SparseTensorProto, unfolded: its name is that of its values. */
enum status onnx_read_sparse(struct onnx_reader *r, struct span s, struct tensor **out,
                             const char **name);
/* onnx_external.c */
enum status onnx_read_external(struct onnx_reader *r, struct span tensor, const char *name,
                               uint64_t want, const void **data);

/* onnx_type.c: a ValueInfoProto's name and type; v may be NULL to learn the name alone. */
enum status onnx_read_value_info(struct onnx_reader *r, struct span s, struct value *v,
                                 const char **name);
enum status onnx_read_type(struct onnx_reader *r, struct span s, struct value *v);

/* onnx_attribute.c: all attributes of a node (field NODE_ATTRIBUTE), references to a function's
 * attributes resolved. */
enum status onnx_read_attributes(struct onnx_reader *r, const struct onnx_scope *scope,
                                 struct node *n, struct span s, uint32_t field);

/* onnx_graph.c */
enum status onnx_read_graph(struct onnx_reader *r, struct graph *parent,
                            const struct onnx_scope *outer, struct span s, struct graph **out);
enum status onnx_read_opsets(struct onnx_reader *r, struct span s, uint32_t field,
                             struct opsets *out);
int64_t onnx_opset(const struct onnx_reader *r, const char *domain);
/* onnx_function.c */
enum status onnx_read_functions(struct onnx_reader *r);
enum status onnx_expand_call(struct onnx_reader *r, struct node *call, const char *overload);
/* The nodes of a graph or function (field), read into the scope's graph; names must be in the
 * scope. */
enum status onnx_declare_outputs(struct onnx_reader *r, struct onnx_scope *scope, struct span s,
                                 uint32_t field);
enum status onnx_read_nodes(struct onnx_reader *r, struct onnx_scope *scope, struct span s,
                            uint32_t field);
enum status onnx_declare(struct onnx_reader *r, struct onnx_scope *scope, const char *name,
                         struct value **out);
struct value *onnx_lookup(const struct onnx_scope *scope, const char *name, bool *found);

/* origin.op of an output that the newest version of its operator has not. */
#define ONNX_DROPPED "dropped"

/* onnx_upgrade.c: gives n, read literally, the newest operator set's meaning and appends it (or
 * what it becomes) to its graph. */
enum status onnx_upgrade(struct onnx_reader *r, struct node *n);

/* onnx_operators.c: every operator of the specification, and ONNX Runtime's that are read. */
struct format_operators;
void onnx_operators(struct arena *a, struct format_operators *out);

extern const struct format format_onnx;

#endif
