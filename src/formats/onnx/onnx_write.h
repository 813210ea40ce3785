/* Writing a patched ONNX file: the patches are applied to the graph, the graph is held against what
 * it was, and each difference becomes a splice of the file's bytes. */
#ifndef FORMATS_ONNX_ONNX_WRITE_H
#define FORMATS_ONNX_ONNX_WRITE_H

#include "formats/onnx/onnx_splice.h"
#include "ir/patch.h"

/* A NodeProto and the nodes of the IR that were read from it (none for a Constant). */
struct file_node {
    size_t start; /* of the field */
    struct span span;
    const struct node **was; /* as before the patches */
    struct node **now;       /* the same nodes after them */
    int n, n_alive;
    bool moved, hoisted;
};

/* A graph before the patches. */
struct graph_before {
    struct graph *graph;
    struct span span;
    bool is_function;
    const struct onnx_function *function;
    struct node **nodes;
    struct node *copies; /* of *nodes */
    int n_nodes;
    struct value **inputs, **outputs;
    struct file_node *files; /* by number of the NodeProto */
    int n_files;
    struct value **scheduled; /* constants to be put in as initializers */
    int n_scheduled;
    struct strmap renamed; /* old name -> value, for values of this graph whose name changed */
    bool touched;
};

struct onnx_writer {
    struct model *m;
    const struct onnx_notes *notes;
    struct arena *a; /* of the writing */
    struct err *e;
    struct splices s;
    struct graph_before *graphs;
    int n_graphs;
    /* By value id; values that a patch made have no old name. */
    const char **old_name;
    struct tensor **old_constant;
    struct intmap alive; /* address of a node that is in a graph now */
    struct intmap known; /* address of a node that was in a graph before */
    struct strmap stale; /* names whose stated types no longer hold */
};

/* onnx_rewrite.c: the differences of one graph. */
enum status onnx_rewrite_graph(struct onnx_writer *w, struct graph_before *b);
/* Then, sub-graphs first: nodes put in and moved, constants put in. */
enum status onnx_rewrite_finish(struct onnx_writer *w, struct graph_before *b);
/* The value's name in the changed file; puts constants that the file does not have yet on the list.
 */
enum status onnx_written_name(struct onnx_writer *w, const struct value *v, const char **name);

/* The value that had this name in the file, in the graph or around it; NULL when none had. */
const struct value *onnx_old_value(struct onnx_writer *w, const struct graph_before *b,
                                   const char *name);

/* onnx_rewrite_node.c */
enum status onnx_rewrite_node(struct onnx_writer *w, struct graph_before *b, struct file_node *f);
enum status onnx_new_node(struct onnx_writer *w, struct graph_before *b, const struct node *n,
                          struct pb_writer *out);
int onnx_graph_version(const struct onnx_writer *w, const struct graph_before *b,
                       const char *domain);

/* onnx_rewrite_constant.c */
enum status onnx_rewrite_constant(struct onnx_writer *w, struct graph_before *b,
                                  const struct value *v);

enum status onnx_write_patched(const struct model *m, const struct patch *const *patches, int n,
                               const char *path, struct err *e);

#endif
