/* Fast kernels: the same bits as the reference kernel of src/ops, sooner. One table, kernels.c. */
#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include "kernels/pack.h"
#include "ops/op.h"

/* A faster kernel for this node, or NULL. It has the reference kernel's contract; what it cannot do
 * (a layout, a dtype) it hands to kernel_reference. *fills says that it writes every element of its
 * outputs, so that they may come undefined. */
op_eval_fn *kernel_find(const struct node *n, bool *fills);

/* The reference kernel, on zeroed outputs as it expects them. */
enum status kernel_reference(struct op_ctx *c);

/* Whether the kernel of node n takes input i, constant float weights, as the file stores them
 * (float16, bfloat16, or float32 in a float64 run): it converts them as it packs them, so that no
 * whole copy in the type of the run is made. */
bool kernel_takes_stored(const struct node *n, int i);
/* Input i came so. */
bool kernel_got_stored(const struct op_ctx *c, int i);
/* Puts a whole copy in the type of the run in its place, for a kernel that needs one after all. */
enum status kernel_widen(struct op_ctx *c, int i);

/* The packed form of input i under `tag`: from the model's cache when the input is a constant of
 * the model, else new in scratch (ready is false). */
struct packed *kernel_packed(struct op_ctx *c, int i, uint64_t tag, size_t bytes);

/* The function of isa.h that an elementwise node applies, -1 where there is none; v: its float
 * attributes in order. */
int kernel_unary_id(const struct node *n, double v[2]);
int kernel_gelu_id(const struct node *n, double v[2]);
int kernel_binary_id(const struct node *n);

/* One a family; the reference's contract. */
enum status kernel_conv(struct op_ctx *c);
enum status kernel_conv_transpose(struct op_ctx *c);
enum status kernel_matmul(struct op_ctx *c);
enum status kernel_gemm(struct op_ctx *c);
enum status kernel_unary(struct op_ctx *c);
enum status kernel_gelu(struct op_ctx *c);
enum status kernel_clip(struct op_ctx *c);
enum status kernel_binary(struct op_ctx *c);
enum status kernel_softmax(struct op_ctx *c);
enum status kernel_pool(struct op_ctx *c);
enum status kernel_pool_any(struct op_ctx *c);
enum status kernel_rnn(struct op_ctx *c);
enum status kernel_batch_norm(struct op_ctx *c);
enum status kernel_layer_norm(struct op_ctx *c);
enum status kernel_lrn(struct op_ctx *c);
enum status kernel_quantize(struct op_ctx *c);
enum status kernel_dequantize(struct op_ctx *c);
enum status kernel_gather(struct op_ctx *c);
enum status kernel_concat(struct op_ctx *c);
enum status kernel_fixed_conv(struct op_ctx *c);
enum status kernel_fixed_product(struct op_ctx *c);
enum status kernel_fixed_add(struct op_ctx *c);
enum status kernel_fixed_quantize(struct op_ctx *c);
enum status kernel_conv_integer(struct op_ctx *c);
enum status kernel_matmul_integer(struct op_ctx *c);
enum status kernel_qlinear_conv(struct op_ctx *c);
enum status kernel_qlinear_matmul(struct op_ctx *c);
enum status kernel_qgemm(struct op_ctx *c);

#endif
