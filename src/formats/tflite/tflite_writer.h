/* Inside tflite_write*.c: the state of a file being written and what its parts share. */
#ifndef FORMATS_TFLITE_WRITER_H
#define FORMATS_TFLITE_WRITER_H

#include "formats/tflite/tflite_write.h"

/* A node as it was. */
struct before {
    struct node *node, was;
    bool here; /* still in its graph */
};

/* One operator of the file: its nodes are before[first .. first + n). */
struct group {
    int first, n, here;
    bool touched, written;
    bool exposed; /* a value inside it is read from outside: its parts are written apart */
    bool rewired; /* the old operator with other tensors, which stands where `last` does */
    struct fb_ref ref;
    const struct node *last;
};

struct writer {
    struct file file;
    struct model *m;
    struct arena *arena;
    struct err *err;
    struct before *before;
    int n_before;
    struct intmap before_of; /* node -> number in `before` */
    struct group **groups;   /* [graph][operator] */
    struct constant_was {
        struct value *value;
        struct tensor *was;
    } * constants;
    int n_constants;
    struct intmap place; /* value -> tensor number where it is not its own */
    struct uses *uses;
    struct intmap absorbed; /* node -> 1: written as a part of another operator */
};

static inline uint64_t writer_key(const void *p) {
    return (uint64_t)(uintptr_t)p;
}

/* --- the model before and after (tflite_write_change.c) --- */

/* How the nodes and constants of the model are before the patches. */
void writer_remember(struct writer *w);
/* The node as it was, NULL: it is new. */
const struct node *writer_node_was(const struct writer *w, const struct node *n);
/* It is written as a part of another operator. */
bool writer_is_absorbed(const struct writer *w, const struct node *n);
/* The node is not taken out. */
bool writer_in_graph(const struct node *p);
/* The file has, or will have, a tensor for the value; its number. */
bool writer_has_tensor(const struct writer *w, const struct value *v);
int writer_tensor_of(const struct writer *w, const struct value *v);
/* A value that quantization puts between an operator and its tensor stands for the tensor. */
const struct value *writer_seen_through(const struct value *v);
/* The node that alone reads the value, or NULL. */
const struct node *writer_only_reader(const struct writer *w, const struct value *v);
/* The same operator with the same attributes. */
bool writer_same_op(const struct node *a, const struct node *b);
/* Marks the operators of the file that a patch changed. */
void writer_find_touched(struct writer *w);
/* What the file does not declare of an added node's outputs is found by their shape rules. Patches
 * are taken back after writing, and shapes are not part of them: the values made by a patch are its
 * own. */
void writer_declare_outputs(struct writer *w, struct graph *g);
/* An added operator that only moves data moves the integers. */
bool writer_moves_only(const struct node *n);
/* The old tensor whose type and scale the value of an added mover has, -1: it is what the IR says.
 */
int writer_carried_by(const struct writer *w, const struct value *v);
/* Tensor number of a value, added to the file where it has none. */
enum status writer_need_tensor(struct writer *w, const struct value *v, int *out);

/* --- operators (tflite_write_operator.c) --- */

/* The table of the file's operator that the node was read from. */
struct fb_table writer_old_operator(const struct writer *w, const struct node *n);
/* The next operator of the written sub-graph. */
void writer_push_operator(struct writer *w, int graph, struct fb_ref ref);
/* The old operator with other tensors. */
enum status writer_make_rewired(struct writer *w, const struct node *n, const int32_t *in, int n_in,
                                const int32_t *out, int n_out, struct fb_ref *ref);
bool writer_same_tensors(const struct fb_vector *old, const int32_t *now, int n);
/* A node on its own, as one operator or several. */
enum status writer_node(struct writer *w, struct node *n);

#endif
