/* Reading a model: versions, sub-graphs, signatures, metadata. */
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "formats/format.h"
#include "formats/tflite/tflite.h"

extern const struct format format_tflite;

static const char *text_field(struct tfl_reader *r, const struct fb_table *t, int slot) {
    size_t n;
    const char *s = fb_text(t, slot, &n);
    return s ? arena_strn(r->m->arena, s, n) : "";
}

static enum status tensor_number(struct tfl_reader *r, const struct graph *g, int32_t index,
                                 struct value **out) {
    FAIL_IF(index < 0 || index >= g->n_values, r->err, STATUS_CORRUPT,
            "tensor %d, the sub-graph has others", index);
    *out = r->notes->tensors[g->index][index];
    return OK;
}

static enum status read_interface(struct tfl_reader *r, struct graph *g, const struct fb_table *t) {
    struct fb_vector inputs = fb_vec(t, SUBGRAPH_INPUTS, 4),
                     outputs = fb_vec(t, SUBGRAPH_OUTPUTS, 4);
    struct value *v = NULL;
    for (size_t i = 0; i < inputs.n; i++) {
        TRY(tensor_number(r, g, fb_vec_i32(&inputs, i), &v));
        graph_add_input(g, v);
    }
    for (size_t i = 0; i < outputs.n; i++) {
        TRY(tensor_number(r, g, fb_vec_i32(&outputs, i), &v));
        graph_add_output(g, v);
    }
    return OK;
}

static enum status read_subgraph_shell(struct tfl_reader *r, int k) {
    struct fb_table t = fb_vec_table(&r->subgraphs, (size_t)k);
    TRY(flatbuffer_check(&r->fb, r->err));
    struct graph *g = graph_new(r->m, NULL, text_field(r, &t, SUBGRAPH_NAME));
    g->index = k;
    r->m->graphs[k] = g;
    if (k == 0)
        r->m->graph = g;
    TRY(tflite_read_tensors(r, g, &t));
    return read_interface(r, g, &t);
}

static enum status read_operators(struct tfl_reader *r, int k) {
    struct fb_table t = fb_vec_table(&r->subgraphs, (size_t)k);
    struct fb_vector operators = fb_vec(&t, SUBGRAPH_OPERATORS, 4);
    for (size_t i = 0; i < operators.n; i++) {
        struct fb_table op = fb_vec_table(&operators, i);
        TRY(flatbuffer_check(&r->fb, r->err));
        TRY(tflite_read_operator(r, r->m->graphs[k], &op, (int)i));
    }
    return OK;
}

enum status tflite_read_subgraph(struct tfl_reader *r, int k) {
    enum { MAX_DEPTH = 64 };
    if (r->visited[k] == 2)
        return OK;
    FAIL_IF(r->visited[k] == 1, r->err, STATUS_CORRUPT, "sub-graph %d calls itself", k);
    FAIL_IF(r->depth == MAX_DEPTH, r->err, STATUS_UNSUPPORTED,
            "calls of sub-graphs nest deeper than %d", (int)MAX_DEPTH);
    r->visited[k] = 1;
    r->depth++;
    enum status s = read_operators(r, k);
    r->depth--;
    r->visited[k] = 2;
    return s == OK || k == 0 ? s : err_at(r->err, "sub-graph %d", k);
}

/* Where a tensor stands among the inputs (or outputs) of a sub-graph; -1: nowhere. */
static int place_of(const struct fb_vector *list, uint32_t tensor) {
    for (size_t i = 0; i < list->n; i++)
        if (fb_vec_i32(list, i) == (int32_t)tensor)
            return (int)i;
    return -1;
}

/* Names of a signature's inputs or outputs: TensorMap { name, tensor_index }. */
static void read_tensor_maps(struct tfl_reader *r, const struct fb_table *t, int slot,
                             const struct fb_vector *list, const char ***names, int **places,
                             int *n) {
    struct fb_vector maps = fb_vec(t, slot, 4);
    int n_places = 0;
    for (size_t i = 0; i < maps.n; i++) {
        struct fb_table map = fb_vec_table(&maps, i);
        const char *name = text_field(r, &map, 0);
        int place = place_of(list, fb_u32(&map, 1, 0));
        PUSH(r->m->arena, *names, *n, name);
        PUSH(r->m->arena, *places, n_places, place);
    }
}

static void read_signatures(struct tfl_reader *r, const struct fb_table *model) {
    struct fb_vector list = fb_vec(model, MODEL_SIGNATURES, 4);
    for (size_t i = 0; i < list.n; i++) {
        struct fb_table t = fb_vec_table(&list, i);
        struct signature s = { .key = text_field(r, &t, 2), .graph = fb_i32(&t, 4, 0) };
        struct fb_vector in = { 0 }, out = { 0 };
        if (s.graph >= 0 && (size_t)s.graph < r->subgraphs.n) {
            struct fb_table g = fb_vec_table(&r->subgraphs, (size_t)s.graph);
            in = fb_vec(&g, SUBGRAPH_INPUTS, 4);
            out = fb_vec(&g, SUBGRAPH_OUTPUTS, 4);
        }
        read_tensor_maps(r, &t, 0, &in, &s.input_names, &s.input_places, &s.n_inputs);
        read_tensor_maps(r, &t, 1, &out, &s.output_names, &s.output_places, &s.n_outputs);
        PUSH(r->m->arena, r->m->signatures, r->m->n_signatures, s);
    }
}

static void read_metadata(struct tfl_reader *r, const struct fb_table *model) {
    struct fb_vector list = fb_vec(model, MODEL_METADATA, 4);
    for (size_t i = 0; i < list.n; i++) {
        struct fb_table t = fb_vec_table(&list, i);
        uint32_t buffer = fb_u32(&t, 1, 0);
        const char *value = "";
        if (buffer < r->buffers.n) {
            struct fb_table b = fb_vec_table(&r->buffers, buffer);
            struct fb_vector data = fb_vec(&b, BUFFER_DATA, 1);
            const unsigned char *p = r->fb.data + data.at;
            bool text = data.n > 0 && data.n <= 4096;
            size_t n = data.n;
            while (text && n > 0 && p[n - 1] == 0)
                n--;
            for (size_t k = 0; text && k < n; k++)
                text = p[k] >= 0x20 && p[k] < 0x7f;
            value = text ? arena_strn(r->m->arena, (const char *)p, n)
                         : arena_printf(r->m->arena, "%zu bytes", data.n);
        }
        model_add_property(r->m, &r->m->properties, &r->m->n_properties, text_field(r, &t, 0),
                           value);
    }
}

static void read_opsets(struct tfl_reader *r) {
    for (size_t i = 0; i < r->codes.n; i++) {
        struct fb_table t = fb_vec_table(&r->codes, i);
        int32_t code = fb_i32(&t, CODE_BUILTIN, 0), old = fb_i8(&t, CODE_DEPRECATED, 0);
        const struct builtin_row *row = builtin_row(code > old ? code : old);
        const char *name = row ? row->name : "?";
        if (row && (code > old ? code : old) == BUILTIN_CUSTOM)
            name = text_field(r, &t, CODE_CUSTOM);
        char version[16];
        snprintf(version, sizeof version, "%d", fb_i32(&t, CODE_VERSION, 1));
        model_add_property(r->m, &r->m->opsets, &r->m->n_opsets, name, version);
    }
}

static enum status read_model(struct tfl_reader *r, const struct fb_table *model) {
    struct model *m = r->m;
    uint32_t version = fb_u32(model, MODEL_VERSION, 0);
    r->codes = fb_vec(model, MODEL_OPERATOR_CODES, 4);
    r->subgraphs = fb_vec(model, MODEL_SUBGRAPHS, 4);
    r->buffers = fb_vec(model, MODEL_BUFFERS, 4);
    TRY(flatbuffer_check(&r->fb, r->err));
    FAIL_IF(version != 3, r->err, STATUS_UNSUPPORTED, "schema version %u; calque reads version 3",
            version);
    FAIL_IF(r->subgraphs.n == 0, r->err, STATUS_CORRUPT, "the model has no sub-graph");
    FAIL_IF(r->subgraphs.n > 65536, r->err, STATUS_UNSUPPORTED, "%zu sub-graphs", r->subgraphs.n);
    m->format_version = "schema 3";
    m->description = text_field(r, model, MODEL_DESCRIPTION);
    m->n_graphs = (int)r->subgraphs.n;
    m->graphs = NEW_ARRAY(m->arena, m->n_graphs, struct graph *);
    r->notes->tensors = NEW_ARRAY(m->arena, m->n_graphs, struct value **);
    r->quant = NEW_ARRAY(m->arena, m->n_graphs, struct quant_values *);
    r->resources = NEW_ARRAY(m->arena, m->n_graphs, struct resources);
    r->visited = NEW_ARRAY(m->arena, m->n_graphs, unsigned char);
    for (int k = 0; k < m->n_graphs; k++)
        if (read_subgraph_shell(r, k) != OK)
            return err_at(r->err, "sub-graph %d", k);
    for (int k = 0; k < m->n_graphs; k++)
        TRY(tflite_read_subgraph(r, k));
    read_opsets(r);
    read_signatures(r, model);
    read_metadata(r, model);
    for (int i = 0; i < m->n_properties; i++)
        if (strcmp(m->properties[i].key, "min_runtime_version") == 0)
            m->producer = arena_printf(m->arena, "needs runtime %s", m->properties[i].value);
    return flatbuffer_check(&r->fb, r->err);
}

enum status tflite_read(struct model *m, struct err *e) {
    struct err own = { 0 };
    struct tfl_reader r = { .m = m, .err = e ? e : &own };
    r.fb = flatbuffer_of(m->files[0].data, m->files[0].size);
    r.notes = NEW(m->arena, struct tflite_notes);
    intmap_init(&r.notes->roles, m->arena);
    intmap_init(&r.notes->constants, m->arena);
    m->format = "tflite";
    m->format_data = r.notes;
    m->fixed_point = true;
    struct fb_table model = fb_root(&r.fb);
    TRY(flatbuffer_check(&r.fb, r.err));
    return read_model(&r, &model);
}

/* Certain with the identifier; else the root must be a table whose first field is version 3 and
 * that has sub-graphs. */
static int probe(const unsigned char *head, size_t n, size_t file_size) {
    if (n < 8)
        return 0;
    if (memcmp(head + 4, "TFL3", 4) == 0)
        return 100;
    struct flatbuffer fb = flatbuffer_of(head, n);
    struct fb_table t = fb_root(&fb);
    if (!t.at || fb.failed) /* the root may lie past the head */
        return load_u32le(head) >= n && load_u32le(head) < file_size && load_u32le(head) % 4 == 0
                   ? 2
                   : 0;
    return fb_u32(&t, MODEL_VERSION, 0) == 3 && fb_field(&t, MODEL_SUBGRAPHS, 4) && !fb.failed ? 60
                                                                                               : 0;
}

const struct format format_tflite = {
    .name = "tflite",
    .title = "TensorFlow Lite",
    .suffixes = ".tflite .lite",
    .probe = probe,
    .read = tflite_read,
    .write_patched = tflite_write_patched,
    .operators = tflite_operators,
};
