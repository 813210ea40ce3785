/* The file being changed: overwritten bytes, added buffers, tensors and operator codes, and writing
 * it out. */
#include <stdlib.h>
#include <string.h>

#include "formats/tflite/tflite_write.h"

static const char MODEL_KINDS[] = "4ooooooooo", SUBGRAPH_KINDS[] = "ooooo4",
                  TENSOR_KINDS[] = "o14oo1oo1o4";
enum { BUFFER_ALIGN = 16, TENSOR_FIELDS = 11 };

static void count_users(struct file *f) {
    f->buffer_users = NEW_ARRAY(f->arena, f->buffers.n + 1, int);
    for (int g = 0; g < f->m->n_graphs; g++)
        for (size_t i = 0; i < f->graphs[g].tensors.n; i++) {
            struct fb_table t = fb_vec_table(&f->graphs[g].tensors, i);
            uint32_t b = fb_u32(&t, TENSOR_BUFFER, 0);
            if (b < f->buffers.n)
                f->buffer_users[b]++;
        }
}

enum status file_open(struct file *f, const struct model *m, struct arena *a, struct err *e) {
    *f = (struct file) {
        .m = m, .arena = a, .err = e, .fb = flatbuffer_of(m->files[0].data, m->files[0].size)
    };
    f->root = fb_root(&f->fb);
    f->codes = fb_vec(&f->root, MODEL_OPERATOR_CODES, 4);
    f->buffers = fb_vec(&f->root, MODEL_BUFFERS, 4);
    f->subgraphs = fb_vec(&f->root, MODEL_SUBGRAPHS, 4);
    f->graphs = NEW_ARRAY(f->arena, f->m->n_graphs, struct file_graph);
    for (int g = 0; g < f->m->n_graphs; g++) {
        struct file_graph *fg = &f->graphs[g];
        fg->table = fb_vec_table(&f->subgraphs, (size_t)g);
        fg->tensors = fb_vec(&fg->table, SUBGRAPH_TENSORS, 4);
        fg->operators = fb_vec(&fg->table, SUBGRAPH_OPERATORS, 4);
        fg->n_tensors = (int)fg->tensors.n;
    }
    count_users(f);
    return flatbuffer_check(&f->fb, f->err);
}

void file_overwrite(struct file *f, size_t at, const void *data, size_t n) {
    struct overwrite o = { at, n, arena_copy(f->arena, data, n) };
    PUSH(f->arena, f->overwrites, f->n_overwrites, o);
}

static int code_of(const struct fb_table *t) {
    int32_t code = fb_i32(t, CODE_BUILTIN, 0), old = fb_i8(t, CODE_DEPRECATED, 0);
    return code > old ? code : old;
}

uint32_t file_code(struct file *f, enum builtin code) {
    enum { ROOM = 256, PLACEHOLDER = 127 }; /* greater numbers than 127 do not fit the old field */
    for (size_t i = 0; i < f->codes.n; i++) {
        struct fb_table t = fb_vec_table(&f->codes, i);
        if (code_of(&t) == (int)code)
            return (uint32_t)i;
    }
    for (int i = 0; i < f->n_added_codes; i++)
        if (f->added_codes[i] == (int32_t)code)
            return (uint32_t)f->codes.n + (uint32_t)i;
    if (!f->code_refs)
        f->code_refs = fb_refs_of(f->arena, &f->codes, ROOM);
    struct fb_object *t = fb_new_table(f->arena, 4);
    fb_set_scalar(t, CODE_DEPRECATED, 1, (int)code < PLACEHOLDER ? (uint64_t)code : PLACEHOLDER);
    fb_set_scalar(t, CODE_VERSION, 4, 1);
    fb_set_scalar(t, CODE_BUILTIN, 4, (uint64_t)code);
    f->code_refs[f->codes.n + (size_t)f->n_added_codes].object = t;
    PUSH(f->arena, f->added_codes, f->n_added_codes, (int32_t)code);
    return (uint32_t)(f->codes.n + (size_t)f->n_added_codes - 1);
}

/* The bytes of a constant as a buffer has them, in the declared type. */
static enum status constant_bytes(struct file *f, const struct tensor *t, const void **data,
                                  size_t *n) {
    FAIL_IF(t->kind != KIND_TENSOR || t->dtype == DT_STRING || dtype_to_tflite(t->dtype) < 0,
            f->err, STATUS_UNSUPPORTED, "a constant of type %s", dtype_name(t->dtype));
    struct tensor *plain;
    TRY(tensor_convert(&plain, t, t->dtype, f->err));
    *n = dtype_bytes(t->dtype, tensor_count(t));
    *data = arena_copy(f->arena, plain->data, *n ? *n : 1);
    tensor_free(plain);
    return OK;
}

static uint32_t add_buffer(struct file *f, const void *data, size_t n) {
    enum { ROOM = 64 };
    size_t count = f->buffers.n + (size_t)f->n_added_buffers;
    if (!f->buffer_refs)
        f->buffer_refs = fb_refs_of(f->arena, &f->buffers, ROOM);
    else if (f->n_added_buffers && f->n_added_buffers % ROOM == 0)
        f->buffer_refs = arena_grow(f->arena, f->buffer_refs, (count + 1) * sizeof *f->buffer_refs,
                                    (count + ROOM + 1) * sizeof *f->buffer_refs);
    struct fb_object *t = fb_new_table(f->arena, 1);
    fb_set_ref(t, BUFFER_DATA,
               (struct fb_ref) { fb_new_vector(f->arena, data, n, 1, BUFFER_ALIGN), 0 });
    f->buffer_refs[count].object = t;
    f->n_added_buffers++;
    return (uint32_t)count;
}

static struct fb_ref *tensor_slot(struct file *f, int graph, int index) {
    enum { ROOM = 64 };
    struct file_graph *g = &f->graphs[graph];
    if (!g->tensor_refs)
        g->tensor_refs = fb_refs_of(f->arena, &g->tensors, ROOM);
    int added = g->n_tensors - (int)g->tensors.n;
    if (index == g->n_tensors && added && added % ROOM == 0)
        g->tensor_refs = arena_grow(f->arena, g->tensor_refs,
                                    ((size_t)g->n_tensors + 1) * sizeof *g->tensor_refs,
                                    ((size_t)g->n_tensors + ROOM + 1) * sizeof *g->tensor_refs);
    if (index == g->n_tensors)
        g->n_tensors++;
    return &g->tensor_refs[index];
}

/* Shape, signature and type of a tensor table; an unknown dim is 1 in the shape and -1 in the
 * signature. */
static void set_shape(struct file *f, struct fb_object *t, enum dtype dtype, int rank,
                      const int64_t *dim) {
    int32_t *shape = NEW_ARRAY(f->arena, rank + 1, int32_t),
            *signature = NEW_ARRAY(f->arena, rank + 1, int32_t);
    bool open = false;
    for (int i = 0; i < rank; i++) {
        shape[i] = dim[i] < 0 ? 1 : (int32_t)dim[i];
        signature[i] = dim[i] < 0 ? -1 : (int32_t)dim[i];
        open |= dim[i] < 0;
    }
    fb_set_ref(t, TENSOR_SHAPE,
               (struct fb_ref) { fb_new_vector(f->arena, shape, (size_t)rank, 4, 4), 0 });
    struct fb_ref s = { open ? fb_new_vector(f->arena, signature, (size_t)rank, 4, 4) : NULL, 0 };
    fb_set_ref(t, TENSOR_SHAPE_SIGNATURE, s);
    fb_set_scalar(t, TENSOR_TYPE, 1, (uint64_t)dtype_to_tflite(dtype));
}

enum status file_add_tensor(struct file *f, int graph, const char *name, enum dtype dtype, int rank,
                            const int64_t *dim, const struct tensor *t, int like, int *index) {
    FAIL_IF(dtype_to_tflite(dtype) < 0 || rank < 0, f->err, STATUS_UNSUPPORTED,
            "a new tensor '%s' of type %s and rank %d", name, dtype_name(dtype), rank);
    for (int i = 0; i < rank; i++)
        FAIL_IF(dim[i] > INT32_MAX, f->err, STATUS_UNSUPPORTED,
                "a new tensor '%s' with a dim of %lld", name, (long long)dim[i]);
    struct fb_object *o = fb_new_table(f->arena, TENSOR_FIELDS);
    set_shape(f, o, dtype, rank, dim);
    fb_set_ref(o, TENSOR_NAME,
               (struct fb_ref) { fb_new_text(f->arena, arena_str(f->arena, name)), 0 });
    fb_set_scalar(o, TENSOR_HAS_RANK, 1, 1);
    if (like >= 0) {
        struct fb_table old = fb_vec_table(&f->graphs[graph].tensors, (size_t)like);
        struct fb_table q = fb_sub(&old, TENSOR_QUANTIZATION);
        if (q.at)
            fb_set_ref(o, TENSOR_QUANTIZATION, (struct fb_ref) { NULL, q.at });
    }
    uint32_t buffer = 0; /* buffer 0 is the empty one */
    if (t) {
        const void *data;
        size_t n;
        TRY(constant_bytes(f, t, &data, &n));
        buffer = add_buffer(f, data, n);
    }
    fb_set_scalar(o, TENSOR_BUFFER, 4, buffer);
    *index = f->graphs[graph].n_tensors;
    tensor_slot(f, graph, *index)->object = o;
    return OK;
}

static enum status copy_tensor(struct file *f, int graph, int index, struct fb_object **out) {
    struct fb_table old = fb_vec_table(&f->graphs[graph].tensors, (size_t)index);
    *out = fb_copy_table(f->arena, &old, TENSOR_KINDS);
    FAIL_IF(!*out, f->err, STATUS_UNSUPPORTED,
            "tensor %d has fields newer than the schema calque knows", index);
    return OK;
}

enum status file_set_constant(struct file *f, int graph, int index, const struct tensor *t) {
    struct fb_table old = fb_vec_table(&f->graphs[graph].tensors, (size_t)index);
    const void *data;
    size_t n;
    TRY(constant_bytes(f, t, &data, &n));
    const struct value *v = ((const struct tflite_notes *)f->m->format_data)->tensors[graph][index];
    uint32_t buffer = fb_u32(&old, TENSOR_BUFFER, 0);
    struct fb_table sparsity = fb_sub(&old, TENSOR_SPARSITY), b = fb_vec_table(&f->buffers, buffer);
    struct fb_vector bytes = fb_vec(&b, BUFFER_DATA, 1);
    uint64_t offset = (uint64_t)fb_i64(&b, BUFFER_OFFSET, 0);
    size_t at = offset > 1 ? (size_t)offset : bytes.at,
           size = offset > 1 ? (size_t)fb_i64(&b, BUFFER_SIZE, 0) : bytes.n;
    TRY(flatbuffer_check(&f->fb, f->err));
    int64_t dims_before[MAX_RANK] = { 0 };
    struct fb_vector shape = fb_vec(&old, TENSOR_SHAPE, 4);
    for (size_t i = 0; i < shape.n && i < MAX_RANK; i++)
        dims_before[i] = fb_vec_i32(&shape, i);
    bool same_shape = dims_equal(dims_before, (int)shape.n, t->dim, t->rank);
    bool same_type = dtype_from_tflite(fb_i8(&old, TENSOR_TYPE, 0)) == t->dtype;
    if (same_shape && same_type && size == n && f->buffer_users[buffer] == 1 && !sparsity.at &&
        !v->is_variable) {
        file_overwrite(f, at, data, n);
        return OK;
    }
    struct fb_object *o;
    TRY(copy_tensor(f, graph, index, &o));
    fb_set_scalar(o, TENSOR_BUFFER, 4, add_buffer(f, data, n));
    fb_set_ref(o, TENSOR_SPARSITY, (struct fb_ref) { 0 });
    if (!same_shape || !same_type)
        set_shape(f, o, t->dtype, t->rank, t->dim);
    *tensor_slot(f, graph, index) = (struct fb_ref) { o, 0 };
    return OK;
}

enum status file_set_quant(struct file *f, int graph, int index, bool scale,
                           const struct tensor *t) {
    struct fb_table old = fb_vec_table(&f->graphs[graph].tensors, (size_t)index);
    struct fb_table q = fb_sub(&old, TENSOR_QUANTIZATION);
    struct fb_vector v = fb_vec(&q, scale ? QUANT_SCALE : QUANT_ZERO_POINT, scale ? 4 : 8);
    FAIL_IF((int64_t)v.n != tensor_count(t), f->err, STATUS_UNSUPPORTED,
            "another number of scales for tensor %d", index);
    for (size_t i = 0; i < v.n; i++) {
        float s = (float)tensor_f64(t, (int64_t)i);
        int64_t z = tensor_i64(t, (int64_t)i);
        if (scale)
            file_overwrite(f, v.at + 4 * i, &s, sizeof s);
        else
            file_overwrite(f, v.at + 8 * i, &z, sizeof z);
    }
    return flatbuffer_check(&f->fb, f->err);
}

enum status file_take_place(struct file *f, int graph, int a, int b, const int64_t *dim, int rank,
                            enum dtype dtype) {
    struct fb_object *o;
    FAIL_IF(dtype_to_tflite(dtype) < 0 || rank < 0, f->err, STATUS_UNSUPPORTED,
            "an output of type %s and rank %d", dtype_name(dtype), rank);
    TRY(copy_tensor(f, graph, a, &o));
    set_shape(f, o, dtype, rank, dim);
    fb_set_scalar(o, TENSOR_BUFFER, 4, 0);
    struct fb_ref quantization = { 0 };
    if (b >= 0) {
        struct fb_table from = fb_vec_table(&f->graphs[graph].tensors, (size_t)b);
        quantization.old = fb_sub(&from, TENSOR_QUANTIZATION).at;
    }
    fb_set_ref(o, TENSOR_QUANTIZATION, quantization);
    *tensor_slot(f, graph, a) = (struct fb_ref) { o, 0 };
    return OK;
}

static enum status new_subgraph(struct file *f, int k, struct fb_ref *out) {
    struct file_graph *g = &f->graphs[k];
    if (!g->tensor_refs && !g->operator_refs && !g->outputs)
        return OK;
    struct fb_object *t = fb_copy_table(f->arena, &g->table, SUBGRAPH_KINDS);
    FAIL_IF(!t, f->err, STATUS_UNSUPPORTED,
            "sub-graph %d has fields newer than the schema calque knows", k);
    if (g->tensor_refs)
        fb_set_ref(
            t, SUBGRAPH_TENSORS,
            (struct fb_ref) { fb_new_refs(f->arena, g->tensor_refs, (size_t)g->n_tensors), 0 });
    if (g->operator_refs)
        fb_set_ref(t, SUBGRAPH_OPERATORS,
                   (struct fb_ref) { fb_new_refs(f->arena, g->operator_refs, g->n_operators), 0 });
    if (g->outputs)
        fb_set_ref(
            t, SUBGRAPH_OUTPUTS,
            (struct fb_ref) { fb_new_vector(f->arena, g->outputs, (size_t)g->n_outputs, 4, 4), 0 });
    *out = (struct fb_ref) { t, 0 };
    return OK;
}

static enum status new_head(struct file *f, unsigned char **head, size_t *size) {
    struct fb_ref *graphs = fb_refs_of(f->arena, &f->subgraphs, 0);
    bool changed = f->code_refs || f->buffer_refs;
    *size = 0;
    for (int k = 0; k < f->m->n_graphs; k++) {
        TRY(new_subgraph(f, k, &graphs[k]));
        changed |= graphs[k].object != NULL;
    }
    if (!changed)
        return OK;
    struct fb_object *root = fb_copy_table(f->arena, &f->root, MODEL_KINDS);
    FAIL_IF(!root, f->err, STATUS_UNSUPPORTED,
            "the model has fields newer than the schema calque knows");
    fb_set_ref(root, MODEL_SUBGRAPHS,
               (struct fb_ref) { fb_new_refs(f->arena, graphs, f->subgraphs.n), 0 });
    if (f->code_refs)
        fb_set_ref(
            root, MODEL_OPERATOR_CODES,
            (struct fb_ref) {
                fb_new_refs(f->arena, f->code_refs, f->codes.n + (size_t)f->n_added_codes), 0 });
    if (f->buffer_refs)
        fb_set_ref(root, MODEL_BUFFERS,
                   (struct fb_ref) { fb_new_refs(f->arena, f->buffer_refs,
                                                 f->buffers.n + (size_t)f->n_added_buffers),
                                     0 });
    return fb_finish(f->arena, root, f->fb.data + 4, head, size, f->err);
}

/* Offsets from the start of the file (contents stored after the FlatBuffer) grow with what is put
 * in front. */
static void move_absolute(struct file *f, const struct fb_table *t, int slot, size_t shift) {
    size_t at = fb_field(t, slot, 8);
    uint64_t offset = (uint64_t)fb_i64(t, slot, 0);
    if (!at || offset <= 1)
        return;
    offset += shift;
    file_overwrite(f, at, &offset, sizeof offset);
}

static void move_all_absolute(struct file *f, size_t shift) {
    for (size_t i = 0; i < f->buffers.n; i++) {
        struct fb_table t = fb_vec_table(&f->buffers, i);
        move_absolute(f, &t, BUFFER_OFFSET, shift);
    }
    for (int g = 0; g < f->m->n_graphs; g++)
        for (size_t i = 0; i < f->graphs[g].operators.n; i++) {
            struct fb_table t = fb_vec_table(&f->graphs[g].operators, i);
            move_absolute(f, &t, OPERATOR_LARGE_OFFSET, shift);
        }
}

static int by_place(const void *a, const void *b) {
    const struct overwrite *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

enum status file_write_out(struct file *f, const char *path) {
    unsigned char *head = NULL;
    size_t size = 0, at = 0;
    TRY(new_head(f, &head, &size));
    if (size)
        move_all_absolute(f, size);
    TRY(flatbuffer_check(&f->fb, f->err));
    if (f->n_overwrites)
        qsort(f->overwrites, (size_t)f->n_overwrites, sizeof *f->overwrites, by_place);
    struct piece *pieces = NEW_ARRAY(f->arena, 2 * f->n_overwrites + 2, struct piece);
    size_t n = 0;
    if (size)
        pieces[n++] = (struct piece) { head, size };
    for (int i = 0; i < f->n_overwrites; i++) {
        const struct overwrite *o = &f->overwrites[i];
        FAIL_IF(o->at < at || o->n > f->fb.size - o->at, f->err, STATUS_UNSUPPORTED,
                "two edits of the same bytes (byte %zu)", o->at);
        pieces[n++] = (struct piece) { f->fb.data + at, o->at - at };
        pieces[n++] = (struct piece) { o->data, o->n };
        at = o->at + o->n;
    }
    pieces[n++] = (struct piece) { f->fb.data + at, f->fb.size - at };
    return file_write(path, pieces, n, f->err);
}
