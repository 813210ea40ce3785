/* The ONNX format: probe, ModelProto, and the row of the registry. */
#include "formats/onnx/onnx.h"

#include <stdlib.h>
#include <string.h>

#include "formats/format.h"
#include "formats/onnx/onnx_write.h"

const char *onnx_string(struct onnx_reader *r, const struct pb_field *f) {
    if (f->wire != PB_BYTES)
        return "";
    return arena_strn(r->a, (const char *)r->base + f->begin, f->end - f->begin);
}

enum status onnx_bad_wire(struct onnx_reader *r, const struct cursor *c, const char *message) {
    return err_set(r->e, STATUS_CORRUPT, "the %s is cut short or malformed at byte %zu", message,
                   c->failed_at);
}

enum status onnx_deeper(struct onnx_reader *r) {
    FAIL_IF(r->depth >= ONNX_MAX_DEPTH, r->e, STATUS_CORRUPT, "messages are nested deeper than %d",
            (int)ONNX_MAX_DEPTH);
    r->depth++;
    return OK;
}

static enum status read_opset(struct onnx_reader *r, struct cursor c, struct opset *o) {
    struct pb_field f;
    *o = (struct opset) { "", 0 };
    while (pb_next(&c, &f)) {
        if (f.number == 1)
            o->domain = onnx_string(r, &f);
        else if (f.number == 2)
            o->version = (int64_t)f.value;
    }
    if (strcmp(o->domain, "ai.onnx") == 0)
        o->domain = "";
    FAIL_IF(o->version < 0 || o->version > INT32_MAX || (!o->domain[0] && o->version < 1), r->e,
            STATUS_CORRUPT, "operator set '%s' has version %lld", o->domain, (long long)o->version);
    FAIL_IF(!o->domain[0] && o->version > ONNX_NEWEST_OPSET, r->e, STATUS_UNSUPPORTED,
            "operator set %lld of ai.onnx; the newest known here is %d", (long long)o->version,
            (int)ONNX_NEWEST_OPSET);
    return c.failed ? onnx_bad_wire(r, &c, "OperatorSetIdProto") : OK;
}

enum status onnx_read_opsets(struct onnx_reader *r, struct span s, uint32_t field,
                             struct opsets *out) {
    struct cursor c = cursor_of(r->base, s.begin, s.end);
    struct pb_field f;
    while (pb_next(&c, &f)) {
        if (f.number != field || f.wire != PB_BYTES)
            continue;
        struct opset o;
        TRY(read_opset(r, pb_enter(&c, &f), &o));
        PUSH(r->a, out->items, out->n, o);
    }
    return c.failed ? onnx_bad_wire(r, &c, "list of operator sets") : OK;
}

int64_t onnx_opset(const struct onnx_reader *r, const char *domain) {
    for (int i = 0; i < r->opsets->n; i++)
        if (strcmp(r->opsets->items[i].domain, domain) == 0)
            return r->opsets->items[i].version;
    return 0;
}

static enum status read_property(struct onnx_reader *r, struct cursor c) {
    struct pb_field f;
    const char *key = "", *value = "";
    while (pb_next(&c, &f)) {
        if (f.number == 1)
            key = onnx_string(r, &f);
        else if (f.number == 2)
            value = onnx_string(r, &f);
    }
    model_add_property(r->m, &r->m->properties, &r->m->n_properties, key, value);
    return c.failed ? onnx_bad_wire(r, &c, "StringStringEntryProto") : OK;
}

static enum status read_facts(struct onnx_reader *r, struct span *graph) {
    struct cursor c = cursor_of(r->base, 0, r->size);
    struct pb_field f;
    const char *producer = "", *version = "";
    *graph = (struct span) { 0, 0 };
    while (pb_next(&c, &f)) {
        if (f.number == MODEL_IR_VERSION)
            r->notes->ir_version = (int64_t)f.value;
        else if (f.number == MODEL_PRODUCER_NAME)
            producer = onnx_string(r, &f);
        else if (f.number == MODEL_PRODUCER_VERSION)
            version = onnx_string(r, &f);
        else if (f.number == MODEL_DOC_STRING)
            r->m->description = onnx_string(r, &f);
        else if (f.number == MODEL_METADATA_PROPS && f.wire == PB_BYTES)
            TRY(read_property(r, pb_enter(&c, &f)));
        else if (f.number == MODEL_GRAPH && f.wire == PB_BYTES) {
            FAIL_IF(graph->end, r->e, STATUS_CORRUPT,
                    "the file has two main graphs; the second begins at byte %zu", f.begin);
            *graph = (struct span) { f.begin, f.end };
        }
    }
    if (c.failed)
        return onnx_bad_wire(r, &c, "ModelProto");
    FAIL_IF(!graph->end, r->e, STATUS_CORRUPT, "the file has no graph");
    r->m->producer = arena_printf(r->a, "%s%s%s", producer, *version ? " " : "", version);
    return OK;
}

static void state_version(struct onnx_reader *r) {
    struct model *m = r->m;
    const char *text = arena_printf(r->a, "IR %lld", (long long)r->notes->ir_version);
    for (int i = 0; i < r->opsets->n; i++) {
        const struct opset *o = &r->opsets->items[i];
        const char *version = arena_printf(r->a, "%lld", (long long)o->version);
        model_add_property(m, &m->opsets, &m->n_opsets, o->domain, version);
        text = arena_printf(r->a, "%s, %s %s", text, o->domain[0] ? o->domain : "opset", version);
    }
    m->format_version = text;
}

static enum status check_ir_version(struct onnx_reader *r) {
    int64_t v = r->notes->ir_version;
    FAIL_IF(v < 1 || v > 1000, r->e, STATUS_CORRUPT, "IR version %lld", (long long)v);
    FAIL_IF(v < 3, r->e, STATUS_UNSUPPORTED, "IR version %lld; versions from 3 on are read",
            (long long)v);
    return OK;
}

static enum status onnx_read(struct model *m, struct err *e) {
    struct err unheard;
    struct onnx_notes *notes = NEW(m->arena, struct onnx_notes);
    struct onnx_reader r = { .m = m,
                             .a = m->arena,
                             .e = e ? e : &unheard,
                             .base = m->files[0].data,
                             .size = m->files[0].size,
                             .notes = notes };
    r.opsets = &notes->opsets;
    r.nodes_left = 100000 + (int64_t)(r.size / 8);
    r.dense_left = (UINT64_C(16) << 20) + 2 * (uint64_t)r.size;
    strmap_init(&r.functions, r.a);
    strmap_init(&r.externals, r.a);
    m->format_data = notes;
    struct span graph;
    TRY(read_facts(&r, &graph));
    TRY(check_ir_version(&r));
    TRY(onnx_read_opsets(&r, (struct span) { 0, r.size }, MODEL_OPSET_IMPORT, &notes->opsets));
    state_version(&r);
    TRY(onnx_read_functions(&r));
    struct graph *main_graph;
    TRY(onnx_read_graph(&r, NULL, NULL, graph, &main_graph));
    PUSH(r.a, m->graphs, m->n_graphs, main_graph);
    return OK;
}

/* How likely the fields at the head are a ModelProto's: ir_version as a small varint comes first
 * from every known writer; without it, a walk over the fields in the head must show only numbers
 * and wire types that ModelProto has. */
static int onnx_probe(const unsigned char *head, size_t n, size_t file_size) {
    struct cursor c = cursor_of(head, 0, n);
    bool graph = false, version = false, opset = false;
    while (c.at < n) {
        uint64_t tag = cursor_varint(&c);
        uint32_t number = (uint32_t)(tag >> 3), wire = (uint32_t)(tag & 7);
        bool number_known = number == MODEL_IR_VERSION || (number >= 2 && number <= 8) ||
                            number == 14 || number == 20 || number == 25 || number == 26;
        bool is_int = number == MODEL_IR_VERSION || number == 5;
        if (c.failed || !number_known || wire != (is_int ? PB_VARINT : PB_BYTES))
            return 0;
        uint64_t v = cursor_varint(&c);
        if (c.failed)
            return 0;
        version |= number == MODEL_IR_VERSION && v >= 1 && v < 1000;
        graph |= number == MODEL_GRAPH;
        opset |= number == MODEL_OPSET_IMPORT;
        if (!is_int && v > file_size - c.at)
            return version ? 30 : 0; /* cut short */
        if (!is_int && v > n - c.at)
            break;
        if (!is_int)
            cursor_take(&c, (size_t)v);
    }
    return version && graph ? 90 : version || (graph && opset) ? 60 : 0;
}

const struct format format_onnx = {
    .name = "onnx",
    .title = "ONNX",
    .suffixes = ".onnx",
    .probe = onnx_probe,
    .read = onnx_read,
    .write_patched = onnx_write_patched,
    .operators = onnx_operators,
};
