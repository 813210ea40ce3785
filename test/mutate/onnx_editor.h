/* What the editors of ONNX files share: looking at a graph, and saying where a fault is (field
 * numbers: onnx.proto). */
#ifndef TEST_ONNX_EDITOR_H
#define TEST_ONNX_EDITOR_H

#include "message.h"
#include "mutation.h"

enum {
    VARINT = 0,
    BYTES = 2,
    FIXED32 = 5,
    MODEL_GRAPH = 7,
    GRAPH_NODE = 1,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_NAME = 3,
    NODE_OP = 4,
    NODE_ATTRIBUTE = 5,
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_F = 2,
    ATTRIBUTE_I = 3,
    ATTRIBUTE_S = 4,
    ATTRIBUTE_T = 5,
    ATTRIBUTE_INTS = 8,
    ATTRIBUTE_TYPE = 20,
    TENSOR_DIMS = 1,
    TENSOR_TYPE = 2,
    TENSOR_FLOATS = 4,
    TENSOR_NAME = 8,
    TENSOR_RAW = 9,
    FLOAT = 1,
    MAX_DIMS = 8,
};

struct editor {
    const struct site *site;
    struct arena *arena;
    struct message *graph;
    int n_nodes;
};

/* A float32 tensor as numbers that can be put back. */
struct numbers {
    struct message *tensor;
    float *v;
    int64_t n, dim[MAX_DIMS];
    int rank;
};

struct message *node_at(struct editor *x, int k);
const char *op_of(const struct message *n);
/* ops: separated by blanks. */
bool is_one_of(const struct message *n, const char *ops);
/* An attribute of a node, or NULL. */
struct message *attribute(struct message *n, const char *name);
/* The same, added when absent; type: AttributeProto.AttributeType. */
struct message *attribute_made(struct message *n, const char *name, int type);
/* At most 2 * MAX_DIMS numbers; 0 when absent. */
int int_list_of(struct message *n, const char *name, int64_t *out);
void set_ints(struct message *n, const char *name, const int64_t *v, int count);
float float_of(struct message *n, const char *name, float otherwise);
void set_float(struct message *n, const char *name, float v);
int64_t int_of(struct message *n, const char *name, int64_t otherwise);
void set_int(struct message *n, const char *name, int64_t v);
/* An initializer, or what a Constant node holds; NULL: neither. */
struct message *tensor_named(struct editor *x, const char *name);
/* False when it is no float32 tensor in this file. */
bool open_numbers(struct editor *x, const char *name, struct numbers *out);
void put_numbers(const struct numbers *w);
/* How many inputs of nodes read the value. */
int readers(struct editor *x, const char *value);
bool is_graph_output(struct editor *x, const char *value);
/* The node and its outputs count as the right place of the current fault. */
void place_node(struct editor *x, int k);
void place_readers(struct editor *x, const char *value);
/* The edit of node k is made: what it is called, and where it is. */
bool done(struct editor *x, int k, const char *causes, const char *what);
/* All nodes but one that read `from` read `to`; but -1: all. */
void rename_reads(struct editor *x, const char *from, const char *to, int but);

/* The edits: false when node k is no place for them. */
bool edit_pads(struct editor *x, int k);
bool edit_dilations(struct editor *x, int k);
bool edit_strides(struct editor *x, int k);
bool edit_ceil_mode(struct editor *x, int k);
bool edit_count_include_pad(struct editor *x, int k);
bool edit_epsilon(struct editor *x, int k);
bool edit_axis(struct editor *x, int k);
bool edit_alpha(struct editor *x, int k);
bool edit_gemm(struct editor *x, int k);
bool edit_resize(struct editor *x, int k);
bool edit_clip(struct editor *x, int k);
bool edit_activation_missing(struct editor *x, int k);
bool edit_activation_extra(struct editor *x, int k);
bool edit_transpose_extra(struct editor *x, int k);
bool edit_transpose_perm(struct editor *x, int k);
bool edit_operands(struct editor *x, int k);
bool edit_weight_element(struct editor *x, int k);
bool edit_weight_scale(struct editor *x, int k);
bool edit_weight_channels(struct editor *x, int k);
bool edit_weight_kernel(struct editor *x, int k);
bool edit_bias(struct editor *x, int k);
bool edit_scalar(struct editor *x, int k);
bool edit_norm_parameters(struct editor *x, int k);
bool edit_preprocessing(struct editor *x, int k);
bool edit_maxpool_zero_pad(struct editor *x, int k);
bool edit_flatten_order(struct editor *x, int k);
bool edit_transpose_missing(struct editor *x, int k);
bool edit_pool_kind(struct editor *x, int k);
bool edit_bias_of_another(struct editor *x, int k);
bool edit_gates(struct editor *x, int k);
bool edit_recurrent_bias(struct editor *x, int k);
bool edit_reset(struct editor *x, int k);
bool edit_direction(struct editor *x, int k);
bool edit_weights_half(struct editor *x, int k);
bool edit_norm_rolled(struct editor *x, int k);
bool edit_gelu(struct editor *x, int k);

#endif
