/* A quantized model in the form in which it is compared with a model of real numbers: the same
 * function, spelled out, and taken back when the comparison is over.
 *
 * Inputs and outputs that are quantized integers get a QuantizeLinear before, a DequantizeLinear
 * behind them, with the scale and zero point that the file declares. An operator on integers
 * (QLinearConv, com.microsoft's QLinearAdd, ...) becomes what it means: DequantizeLinear, the
 * operator on real numbers, QuantizeLinear (ONNX, QLinearConv; ONNX Runtime, ContribOperators.md);
 * likewise ConvInteger and MatMulInteger behind a DynamicQuantizeLinear. */
#ifndef PASSES_REAL_FORM_H
#define PASSES_REAL_FORM_H

#include "ir/patch.h"

struct spelled {                /* a node that stands in for one of the file */
    const struct node *instead; /* NULL: the node was taken away */
    struct node *of;
};

/* What takes the change back. */
struct real_form {
    struct model *model; /* NULL: nothing was changed */
    struct node **nodes;
    int n_nodes, n_values;
    struct value **inputs, **outputs;
    struct spelled *spelled;
    int n_spelled;
    int first_id; /* values with this id and above are not of the file */
};

/* Integers of 8 or 16 bits with one declared scale for all elements. */
bool value_on_grid(const struct value *v);

/* Changes the main graph's inputs i with inputs[i] and outputs i with outputs[i], all of which must
 * be value_on_grid. The real values bear the names of those that they stand before or behind. The
 * nodes have to be bound anew. */
void real_form_boundary(struct real_form *f, struct model *m, const bool *inputs,
                        const bool *outputs);
/* Spells out the main graph's operators on integers whose scales are constants; f as
 * real_form_boundary left it. */
void real_form_spell_out(struct real_form *f, struct model *m);
/* The node of the file that n stands in for; n itself when it is one. */
struct node *real_form_original(const struct real_form *f, struct node *n);
/* The same patch on the model as it was; false: it changes what is not in the file. */
bool real_form_translate(const struct real_form *f, struct patch *p);
/* The model as it was. */
void real_form_restore(struct real_form *f);

#endif
