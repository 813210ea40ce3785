/* Products of StableHLO: DOT_GENERAL and CONVOLUTION. */
#include <string.h>

#include "formats/tflite/stablehlo.h"

/* Letters for the axes of one factor: batch and contracted ones are shared, the rest are new. */
static void name_axes(char *out, int rank, const struct long_list *batch,
                      const struct long_list *contract, char first_free) {
    for (int i = 0; i < rank; i++)
        out[i] = first_free++;
    for (int i = 0; i < batch->n; i++)
        out[batch->v[i]] = (char)('a' + i);
    for (int i = 0; i < contract->n; i++)
        out[contract->v[i]] = (char)('i' + i);
    out[rank] = '\0';
}

static int add_free(char *out, int at, const char *names, const struct long_list *batch,
                    const struct long_list *contract) {
    for (int i = 0; names[i]; i++)
        if (!hlo_contains(batch, i) && !hlo_contains(contract, i))
            out[at++] = names[i];
    return at;
}

/* The result's axes: batch, then what is left of the left factor, then of the right. */
static enum status read_hlo_dot(struct op_reader *x) {
    struct long_list batch[2], contract[2];
    char names[2][MAX_RANK + 1], result[2 * MAX_RANK + 1];
    TRY(need_inputs(x, 2));
    for (int k = 0; k < 2; k++) {
        TRY(hlo_axes(x, k, "batching_dimensions", raw_in(x, k)->rank, &batch[k]));
        TRY(hlo_axes(x, 2 + k, "contracting_dimensions", raw_in(x, k)->rank, &contract[k]));
        name_axes(names[k], raw_in(x, k)->rank, &batch[k], &contract[k], k ? 'A' : 'q');
    }
    TRY(hlo_need_count(x, &batch[1], "rhs_batching_dimensions", batch[0].n));
    TRY(hlo_need_count(x, &contract[1], "rhs_contracting_dimensions", contract[0].n));
    int at = 0;
    for (; at < batch[0].n; at++)
        result[at] = (char)('a' + at);
    at = add_free(result, at, names[0], &batch[0], &contract[0]);
    at = add_free(result, at, names[1], &batch[1], &contract[1]);
    result[at] = '\0';
    struct value *a = real_in(x, 0), *b = real_in(x, 1);
    struct node *n = emit(x, "Einsum", "", 2, 1, ROLE_MAIN);
    n->in[0] = a;
    n->in[1] = b;
    node_set_string(n, "equation",
                    arena_printf(x->r->m->arena, "%s,%s->%s", names[0], names[1], result));
    return deliver(x, 0, n, 0, ACTIVATION_NONE);
}

/* Slots of StablehloConvolutionOptions. */
enum {
    CONV_STRIDES,
    CONV_PADDING,
    CONV_LHS_DILATION,
    CONV_RHS_DILATION,
    CONV_REVERSAL,
    CONV_IN_BATCH,
    CONV_IN_FEATURE,
    CONV_IN_SPATIAL,
    CONV_KERNEL_IN,
    CONV_KERNEL_OUT,
    CONV_KERNEL_SPATIAL,
    CONV_OUT_BATCH,
    CONV_OUT_FEATURE,
    CONV_OUT_SPATIAL,
    CONV_GROUPS,
    CONV_BATCH_GROUPS
};

/* The axes of a tensor as ONNX orders them: two, then the spatial ones. */
static enum status conv_axes(struct op_reader *x, int first, int second, int spatial, int rank,
                             const char *what, int64_t *perm) {
    struct long_list list;
    TRY(hlo_axes(x, spatial, what, rank, &list));
    TRY(hlo_need_count(x, &list, what, rank - 2));
    perm[0] = fb_i64(&x->options2, first, 0);
    perm[1] = fb_i64(&x->options2, second, 0);
    memcpy(perm + 2, list.v, sizeof *perm * (size_t)list.n);
    for (int i = 0; i < 2; i++)
        FAIL_IF(perm[i] < 0 || perm[i] >= rank || hlo_contains(&list, perm[i]) ||
                    perm[0] == perm[1],
                x->r->err, STATUS_CORRUPT, "%s: axis %lld of %d", what, (long long)perm[i], rank);
    return OK;
}

/* A list with one positive entry a spatial axis; an absent list is ones. */
static enum status conv_list(struct op_reader *x, int slot, const char *name, int n,
                             struct long_list *out) {
    TRY(hlo_long_list(x, slot, name, out));
    for (int i = 0; !out->n && i < n; i++)
        out->v[i] = 1;
    out->n = out->n ? out->n : n;
    TRY(hlo_need_count(x, out, name, n));
    for (int i = 0; i < n; i++)
        FAIL_IF(out->v[i] < 1, x->r->err, STATUS_CORRUPT, "%s has %lld", name,
                (long long)out->v[i]);
    return OK;
}

/* The image [n, c, ...] with its padding (which may cut) and the zeros between its elements. */
static enum status padded_image(struct op_reader *x, struct value **v, int spatial) {
    struct long_list pads, between_list;
    int64_t low[MAX_RANK] = { 0 }, high[MAX_RANK] = { 0 }, interior[MAX_RANK] = { 0 };
    bool plain = true;
    TRY(conv_list(x, CONV_LHS_DILATION, "lhs_dilation", spatial, &between_list));
    TRY(hlo_long_list(x, CONV_PADDING, "padding", &pads));
    if (pads.n)
        TRY(hlo_need_count(x, &pads, "padding", 2 * spatial));
    for (int i = 0; i < spatial; i++) {
        low[2 + i] = pads.v[2 * i];
        high[2 + i] = pads.v[2 * i + 1];
        interior[2 + i] = between_list.v[i] - 1;
        plain &= !low[2 + i] && !high[2 + i] && !interior[2 + i];
    }
    if (plain)
        return OK;
    struct value *zero = made_real(x, "zero", (*v)->dtype, 0);
    struct node *n = emit(x, "STABLEHLO_PAD", "tflite", 2, 1, ROLE_HELPER);
    n->in[0] = *v;
    n->in[1] = zero;
    node_set_ints(n, "low", kept_ints(x, low, spatial + 2), spatial + 2);
    node_set_ints(n, "high", kept_ints(x, high, spatial + 2), spatial + 2);
    node_set_ints(n, "interior", kept_ints(x, interior, spatial + 2), spatial + 2);
    *v = between(x, "padded", (*v)->dtype, NULL);
    node_set_output(n, 0, *v);
    return OK;
}

/* The kernel [out, in, ...] turned round along the spatial axes that ask for it. */
static enum status reversed_kernel(struct op_reader *x, struct value **w, int spatial) {
    struct fb_vector turn = fb_vec(&x->options2, CONV_REVERSAL, 1);
    int64_t from[MAX_RANK], to[MAX_RANK], step[MAX_RANK];
    FAIL_IF(turn.n && turn.n != (size_t)spatial, x->r->err, STATUS_CORRUPT,
            "window_reversal has %zu elements, %d are needed", turn.n, spatial);
    bool any = false;
    for (int i = 0; i < spatial + 2; i++) {
        bool back = i >= 2 && turn.n && fb_vec_u8(&turn, (size_t)(i - 2));
        any |= back;
        from[i] = back ? -1 : 0;
        to[i] = back ? INT64_MIN : INT64_MAX;
        step[i] = back ? -1 : 1;
    }
    if (any)
        *w = hlo_sliced(x, *w, made_ints(x, "from", from, spatial + 2, -1),
                        made_ints(x, "to", to, spatial + 2, -1), step, spatial + 2);
    return OK;
}

static enum status read_hlo_convolution(struct op_reader *x) {
    struct long_list strides, dilations;
    int64_t image[MAX_RANK], kernel[MAX_RANK], result[MAX_RANK], back[MAX_RANK];
    TRY(need_inputs(x, 2));
    struct value *v = real_in(x, 0), *w = real_in(x, 1);
    int rank = v->rank, spatial = rank - 2;
    FAIL_IF(rank < 3 || w->rank != rank, x->r->err, STATUS_UNSUPPORTED, "an image of rank %d",
            rank);
    if (fb_i64(&x->options2, CONV_BATCH_GROUPS, 1) > 1)
        return refuse(x, "groups of the batch");
    TRY(conv_axes(x, CONV_IN_BATCH, CONV_IN_FEATURE, CONV_IN_SPATIAL, rank, "input", image));
    TRY(conv_axes(x, CONV_KERNEL_OUT, CONV_KERNEL_IN, CONV_KERNEL_SPATIAL, rank, "kernel", kernel));
    TRY(conv_axes(x, CONV_OUT_BATCH, CONV_OUT_FEATURE, CONV_OUT_SPATIAL, rank, "output", result));
    TRY(conv_list(x, CONV_STRIDES, "window_strides", spatial, &strides));
    TRY(conv_list(x, CONV_RHS_DILATION, "rhs_dilation", spatial, &dilations));
    v = hlo_transposed(x, v, image, rank);
    w = hlo_transposed(x, w, kernel, rank);
    TRY(padded_image(x, &v, spatial));
    TRY(reversed_kernel(x, &w, spatial));
    struct node *n = emit(x, "Conv", "", 2, 1, ROLE_MAIN);
    n->in[0] = v;
    n->in[1] = w;
    node_set_ints(n, "strides", kept_ints(x, strides.v, spatial), spatial);
    node_set_ints(n, "dilations", kept_ints(x, dilations.v, spatial), spatial);
    node_set_int(n, "group", fb_i64(&x->options2, CONV_GROUPS, 1));
    struct value *y = between(x, "Conv", v->dtype, NULL);
    node_set_output(n, 0, y);
    for (int i = 0; i < rank; i++)
        back[result[i]] = i;
    return hlo_give(x, hlo_transposed(x, y, back, rank));
}

read_fn *map_stablehlo_product(enum builtin code) {
    return code == BUILTIN_STABLEHLO_DOT_GENERAL   ? read_hlo_dot
           : code == BUILTIN_STABLEHLO_CONVOLUTION ? read_hlo_convolution
                                                   : NULL;
}
