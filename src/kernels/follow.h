/* Elementwise nodes that are computed along with the node before them.
 *
 * A convolution or matrix product hands each finished part of its output to the nodes that follow,
 * while the part lies in the nearest cache. They compute what their own kernels would, element by
 * element, so no bit changes. A value that nobody is to see is not written at all. */
#ifndef KERNELS_FOLLOW_H
#define KERNELS_FOLLOW_H

#include "kernels/isa.h"
#include "ops/op.h"

enum { FOLLOWERS = 4 };

/* One node of the chain; `in` and `shown` are the caller's, the rest is set by follow_begin. */
struct follow_step {
    const struct node *node;
    const struct tensor *const *in; /* its inputs, NULL for the one that it takes from the chain */
    bool shown;                     /* the value that it takes is wanted on its own */
    struct tensor *out;             /* a new reference; NULL: the node has not been computed */
    int unary, binary;              /* a function of isa.h, or -1 each: clip */
    double a, b;                    /* attributes of the function */
    const struct tensor *low, *high;
    const struct tensor *other; /* of a binary function: element (i / run) % period goes with i */
    int64_t run, period;
    bool other_first;
};

struct follower {
    int n;     /* steps that the caller proposes */
    int begun; /* those that are computed, from the first on */
    int done;  /* those of them that the kernel computes itself, see follow_written */
    struct follow_step step[FOLLOWERS];
};

/* Whether n's kernel takes followers; whether f can follow a node that makes v. */
bool kernel_leads(const struct node *n);
bool kernel_follows(const struct node *f, const struct value *v);

/* For kernels that lead, once output 0 has its memory and its kernel will write all of it. */
void follow_begin(struct op_ctx *c);
/* What a kernel may do with the values as it writes them. */
struct follow_written {
    bool hidden; /* nobody asks for output 0 itself */
    const void
        *other; /* to add to each value, or NULL; `other_step` apart for rows of the output */
    int64_t other_step;
    void *sum; /* where the sums go, or NULL */
    bool limits;
    double limit[2];
    void *limited; /* where the values or sums go once they are limited */
};
/* When the first steps add (if `adds`: an array like the output, or like a row of `columns`
 * elements of it) and limit the values (Relu, Clip), the kernel may do so as it writes them: true,
 * with what is to be done. Follows follow_begin; from then on the steps are the kernel's. */
bool follow_written(const struct op_ctx *c, bool adds, int64_t columns, struct follow_written *w);
/* Elements [at, at + n) of output 0 are there. May be called from several threads. */
void follow_part(const struct op_ctx *c, int64_t at, int64_t n);
/* The same for a block: rows [m0, m1) and columns [n0, n1) of a matrix of `columns`, from element
 * `at` on. */
void follow_block(const struct op_ctx *c, int64_t at, int64_t columns, int64_t m0, int64_t m1,
                  int64_t n0, int64_t n1);

#endif
