/* Inside the TFLite writer. The patches are applied to the model; what differs from the file then
 * is written: bytes in place where sizes allow, else new tables in front of the old file
 * (wire/flatbuilder.h). */
#ifndef FORMATS_TFLITE_WRITE_H
#define FORMATS_TFLITE_WRITE_H

#include "base/map.h"
#include "base/mapfile.h"
#include "formats/tflite/tflite.h"
#include "wire/flatbuilder.h"

/* One built-in operator that an IR node becomes. */
struct lowered {
    enum builtin code;
    struct lowered_field {
        int slot, width;
        uint64_t bits;
    } fields[10];
    int n_fields;
    struct lowered_input {
        struct value *value; /* a value of the graph, or NULL */
        struct tensor *made; /* a constant to add to the file */
        bool previous;       /* what the operator before it in the list gives */
    } * in;
    int n_in;
    int activation_slot;   /* -1: it cannot fuse one */
    int64_t dim[MAX_RANK]; /* shape of what it gives to the next in the list */
    int rank;
};

enum { MAX_LOWERED = 3 };
struct lowering {
    const struct node *node;
    struct arena *arena;
    struct err *err;
    struct lowered op[MAX_LOWERED];
    int n;
};
/* The node as one to three operators; STATUS_UNSUPPORTED says why not. */
enum status tflite_lower(struct lowering *l, const struct node *n, struct arena *a, struct err *e);
/* Number of the fused activation that the node is, or -1. */
int tflite_activation_of(const struct node *n);
/* Fields of the operators that are kept under their own names. */
bool tflite_own_fields(struct lowered *op, const struct node *n);
/* The built-in that an elementwise ONNX operator is. */
bool tflite_elementwise(const char *op, enum builtin *code, int *activation_slot);
/* Fields of an options table in schema order, for fb_copy_table. */
const char *tflite_option_kinds(const struct builtin_row *row);
/* What an absent field of an options table reads as. */
uint64_t tflite_option_default(const struct builtin_row *row, int slot);

/* --- the file being changed (tflite_file.c) --- */
struct overwrite {
    size_t at, n;
    const void *data;
};

struct file_graph {
    struct fb_table table;
    struct fb_vector tensors, operators;
    struct fb_ref *tensor_refs; /* NULL until a tensor is added or replaced */
    int n_tensors;
    struct fb_ref *operator_refs; /* NULL: unchanged */
    size_t n_operators;
    int32_t *outputs; /* NULL: unchanged */
    int n_outputs;
};

struct file {
    const struct model *m;
    struct arena *arena;
    struct err *err;
    struct flatbuffer fb;
    struct fb_table root;
    struct fb_vector codes, buffers, subgraphs;
    struct file_graph *graphs;
    struct fb_ref *code_refs, *buffer_refs; /* NULL until something is added */
    int32_t *added_codes;                   /* built-in numbers */
    int n_added_codes, n_added_buffers;
    int *buffer_users;
    struct overwrite *overwrites;
    int n_overwrites;
};

/* Prepares f, which must not move afterwards. */
enum status file_open(struct file *f, const struct model *m, struct arena *a, struct err *e);
void file_overwrite(struct file *f, size_t at, const void *data, size_t n);
/* Index of an operator code for a built-in, added when the file has none. */
uint32_t file_code(struct file *f, enum builtin code);
/* Tensor number of a new tensor; t: its constant contents or NULL. like: an old tensor whose
 * quantization it takes, -1. */
enum status file_add_tensor(struct file *f, int graph, const char *name, enum dtype dtype, int rank,
                            const int64_t *dim, const struct tensor *t, int like, int *index);
/* New contents of tensor `index`. */
enum status file_set_constant(struct file *f, int graph, int index, const struct tensor *t);
enum status file_set_quant(struct file *f, int graph, int index, bool scale,
                           const struct tensor *t);
/* Tensor `a` becomes what `b` is but keeps its name; used when an output's place is taken by
 * another value. */
enum status file_take_place(struct file *f, int graph, int a, int b, const int64_t *dim, int rank,
                            enum dtype dtype);
enum status file_write_out(struct file *f, const char *path);

#endif
