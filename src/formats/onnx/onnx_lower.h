/* The way back of onnx_upgrade.h: a node of the IR as the operator set of the file writes it. */
#ifndef FORMATS_ONNX_ONNX_LOWER_H
#define FORMATS_ONNX_ONNX_LOWER_H

#include "formats/onnx/onnx.h"

struct onnx_lowered {
    const char *op, *domain;
    struct value **in; /* the file's inputs in order; NULL left out; none at the end */
    int n_in;
    struct attr *
        attrs; /* what the operator set knows; inputs that it states as attributes are among them */
    int n_attrs;
    const struct attr *missing; /* an attribute that the operator set lacks and that is not at its
                                   default, or NULL */
};

/* file_op: the operator's name in the file, NULL for a new node. */
enum status onnx_lower(struct arena *a, const struct node *n, const char *file_op, int version,
                       struct onnx_lowered *out, struct err *e);
/* Fails, by name, when a new node of this operator cannot be written for the operator set. */
enum status onnx_can_write(const struct node *n, int version, struct err *e);

/* Fails when the operator set cannot say over which axis the node's softmax runs. */
enum status onnx_check_axis(const struct node *n, int version, struct err *e);

/* The operator set in which the attribute (NULL: the operator) came; 1 when that was at 7 or
 * before. */
int onnx_attribute_since(const char *op, const char *attribute);

#endif
