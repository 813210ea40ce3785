/* What the parts of shape inference share. */
#ifndef EXEC_INFER_H
#define EXEC_INFER_H

#include "exec/exec.h"

struct infer {
    struct model *m;
    struct arena *a;       /* of the facts */
    struct arena *scratch; /* reset before every node of the outermost graph */
    struct fact *facts;    /* by value id */
    int64_t
        *symbols; /* by symbol number: the number that the bound inputs give it, or its own code */
    bool dims_declared; /* the declared dims hold for the bound inputs */
    int depth;          /* of sub-graphs */
};

/* Infers all nodes of g in order; facts of its inputs and of outer values are set. */
void infer_graph(struct infer *x, struct graph *g);
/* If, Loop, Scan, SequenceMap and calls of functions: infers their graphs and fills out[]. False:
 * not such a node. */
bool infer_control(struct infer *x, const struct node *n, const struct fact *in, struct fact *out);
/* The outputs' contents where the inputs' are known in part; their facts are set. */
void infer_parts(struct infer *x, const struct node *n, const struct fact *in);
/* Sets the fact of a value; what it leaves unknown comes from the file's declaration. */
void infer_set(struct infer *x, const struct value *v, const struct fact *f);

#endif
