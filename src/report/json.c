#define _XOPEN_SOURCE 700
#include "report/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/sha256.h"
#include "base/strbuf.h"
#include "report/facts.h"

json_t *json_number(double v) {
    if (isnan(v))
        return json_string("nan");
    if (isinf(v))
        return json_string(v > 0 ? "inf" : "-inf");
    return json_real(v);
}

/* Length of the UTF-8 character at s, or 0 when the bytes are not one (RFC 3629). */
static size_t utf8_length(const unsigned char *s) {
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xed && s[1] > 0x9f;
    bool beyond = s[0] == 0xf4 && s[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : n;
}

json_t *json_text(const char *s) {
    if (!s)
        return json_null();
    json_t *t = json_string(s);
    if (t)
        return t;
    struct arena *a = arena_new();
    struct strbuf b;
    strbuf_init(&b, a);
    while (*s) {
        size_t n = utf8_length((const unsigned char *)s);
        if (n)
            strbuf_addn(&b, s, n);
        else
            strbuf_add(&b, "\xef\xbf\xbd");
        s += n ? n : 1;
    }
    t = json_string(b.p);
    arena_free(a);
    return t;
}

json_t *json_texts(const char *const *items, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_text(items[i]));
    return list;
}

json_t *json_dims(const struct model *m, const int64_t *dim, int rank) {
    if (rank < 0)
        return json_null();
    json_t *list = json_array();
    for (int k = 0; k < rank; k++) {
        char text[64];
        json_array_append_new(list, dim[k] >= 0
                                        ? json_integer(dim[k])
                                        : json_text(dim_text(m, dim[k], text, sizeof text)));
    }
    return list;
}

static json_t *json_values(const struct model *m, struct value *const *values, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        const struct value *v = values[i];
        json_t *o = json_object();
        json_object_set_new(o, "name", json_text(v->name));
        json_object_set_new(o, "dtype",
                            v->dtype == DT_NONE ? json_null() : json_text(dtype_name(v->dtype)));
        json_object_set_new(o, "shape", json_dims(m, v->dim, v->rank));
        json_array_append_new(list, o);
    }
    return list;
}

/* Files above this are hashed on request only. */
static const size_t large_file = (size_t)64 << 20;

json_t *json_model(struct model *m, bool hash) {
    struct model_facts facts;
    model_facts(m, &facts);
    json_t *o = json_object();
    json_object_set_new(o, "file", json_text(m->path));
    json_object_set_new(o, "format", json_text(m->format));
    json_object_set_new(o, "format_version", json_text(m->format_version));
    json_object_set_new(o, "producer", json_text(m->producer));
    json_object_set_new(o, "bytes", json_integer(facts.bytes));
    char digest[65];
    bool digested = m->n_files > 0 && (hash || m->files[0].size <= large_file);
    if (digested)
        sha256_hex(m->files[0].data, m->files[0].size, digest);
    json_object_set_new(o, "sha256", digested ? json_string(digest) : json_null());
    json_object_set_new(o, "nodes", json_integer(facts.nodes));
    json_object_set_new(o, "parameters", json_integer(facts.parameters));
    json_object_set_new(o, "parameter_bytes", json_integer(facts.parameter_bytes));
    json_object_set_new(o, "inputs", json_values(m, m->graph->inputs, m->graph->n_inputs));
    json_object_set_new(o, "outputs", json_values(m, m->graph->outputs, m->graph->n_outputs));
    return o;
}

json_t *json_begin(const char *verb) {
    json_t *root = json_object();
    json_object_set_new(root, "calque", json_string(CALQUE_VERSION));
    json_object_set_new(root, "schema", json_integer(1));
    json_object_set_new(root, "verb", json_string(verb));
    return root;
}

void json_end(json_t *root, const struct style *s, json_t *warnings) {
    struct rusage usage = { 0 };
    getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
    json_int_t peak = usage.ru_maxrss;
#else
    json_int_t peak = (json_int_t)usage.ru_maxrss * 1024;
#endif
    json_object_set_new(root, "seconds", json_number(s->seconds));
    json_object_set_new(root, "peak_bytes", json_integer(peak));
    json_object_set_new(root, "warnings", warnings ? warnings : json_array());
}

const char *json_print(json_t *root, struct arena *a) {
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
    const char *out = arena_printf(a, "%s\n", text ? text : "{}");
    free(text);
    json_decref(root);
    return out;
}
