#include "formats/recognise.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "wire/zip.h"

static bool begins(const struct mapfile *f, const char *bytes, size_t n, size_t at) {
    return f->size >= at + n && memcmp(f->data + at, bytes, n) == 0;
}

static bool holds(const struct mapfile *f, const char *text) {
    size_t n = strlen(text);
    const unsigned char *p = f->data, *end = f->data + f->size;
    while ((size_t)(end - p) >= n && (p = memchr(p, text[0], (size_t)(end - p) - n + 1))) {
        if (memcmp(p, text, n) == 0)
            return true;
        p++;
    }
    return false;
}

static const struct recognised unknown = { 0 };

static struct recognised model(const char *title) {
    return (struct recognised) { title, true, true };
}

static struct recognised no_model(const char *title) {
    return (struct recognised) { title, false, true };
}

/* --- zip: what is inside decides --- */

struct entries {
    bool pickle, code, constants, exported, keras, weights_h5, manifest, npy;
};

static bool ends_with(const unsigned char *name, size_t n, const char *suffix) {
    size_t k = strlen(suffix);
    return n >= k && memcmp(name + n - k, suffix, k) == 0;
}

static void look_at_name(struct entries *s, const unsigned char *name, size_t n) {
    s->pickle |= ends_with(name, n, "data.pkl");
    s->constants |= ends_with(name, n, "constants.pkl");
    s->code |= ends_with(name, n, ".py");
    s->exported |= ends_with(name, n, "serialized_exported_program.json") ||
                   ends_with(name, n, "models/model.json") || ends_with(name, n, "archive_format");
    s->keras |= n == 11 && memcmp(name, "config.json", n) == 0;
    s->weights_h5 |= ends_with(name, n, "model.weights.h5");
    s->manifest |= ends_with(name, n, "Manifest.json");
    s->npy |= ends_with(name, n, ".npy");
}

static bool zip_entries(const struct mapfile *f, struct entries *s) {
    *s = (struct entries) { 0 };
    struct arena *a = arena_new();
    struct zip z;
    enum status status = zip_open(&z, f->data, f->size, a, NULL);
    for (int i = 0; i < z.n; i++)
        look_at_name(s, (const unsigned char *)z.entries[i].name, strlen(z.entries[i].name));
    arena_free(a);
    return status == OK;
}

static struct recognised zip_content(const struct mapfile *f) {
    struct entries s;
    if (!zip_entries(f, &s))
        return no_model("a zip archive without its directory (cut short?)");
    if (s.exported)
        return model("PyTorch ExportedProgram (.pt2)");
    if (s.pickle && s.code)
        return model("TorchScript");
    if (s.pickle)
        return model("PyTorch checkpoint (state_dict)");
    if (s.keras && s.weights_h5)
        return model("Keras v3 (.keras)");
    if (s.manifest)
        return model("zipped Core ML package");
    return no_model(s.npy ? "NumPy arrays (.npz)" : "a zip archive");
}

/* --- formats of other kinds --- */

static struct recognised hdf5_content(const struct mapfile *f) {
    if (holds(f, "model_config"))
        return model("Keras HDF5 model");
    return model(holds(f, "layer_names") ? "Keras HDF5 weights" : "HDF5");
}

/* A SavedModel and a Core ML model begin like ONNX: field 1 a version, field 2 of length-delimited
 * type. In ONNX that is a text, in these a message, whose first byte is a tag below the printable
 * characters. A SavedModel's is nearly the whole file. */
static struct recognised versioned_protobuf(const struct mapfile *f) {
    struct cursor c = cursor_of(f->data, 0, f->size);
    uint64_t tag = cursor_varint(&c), version = cursor_varint(&c), second = cursor_varint(&c),
             n = cursor_varint(&c);
    if (c.failed || tag != 8 || version > 100 || second != 18 || n == 0 || n > cursor_left(&c))
        return unknown;
    const unsigned char *inner = f->data + c.at;
    if (inner[0] >= ' ')
        return unknown;
    if (version == 1 && cursor_left(&c) - n < 64 && n > 64)
        return model("TensorFlow SavedModel");
    return model("Core ML (.mlmodel)");
}

/* GraphDef: node { name: text, op: text ... }. */
static struct recognised graph_def(const struct mapfile *f) {
    struct cursor c = cursor_of(f->data, 0, f->size);
    uint64_t tag = cursor_varint(&c), n = cursor_varint(&c);
    if (c.failed || tag != 10 || n < 4 || n > cursor_left(&c))
        return unknown;
    uint64_t name_tag = cursor_varint(&c), name = cursor_varint(&c);
    if (c.failed || name_tag != 10 || name == 0 || name + 2 > n || name > cursor_left(&c))
        return unknown;
    for (uint64_t i = 0; i < name; i++)
        if (!isprint(f->data[c.at + i]))
            return unknown;
    cursor_take(&c, (size_t)name);
    if (cursor_varint(&c) != 18)
        return unknown;
    return model("TensorFlow frozen GraphDef");
}

static bool safetensors(const struct mapfile *f) {
    return f->size > 9 && load_u64le(f->data) <= f->size - 8 && f->data[8] == '{' &&
           load_u64le(f->data) > 2;
}

static struct recognised pickle(const struct mapfile *f) {
    /* PyTorch before 1.6 begins with the pickled number 0x1950a86a20f9469cfc6c. */
    if (begins(f, "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12, 2))
        return model("PyTorch checkpoint (before 1.6)");
    return model("a Python pickle");
}

static bool is_text(const struct mapfile *f) {
    size_t n = f->size < 512 ? f->size : 512;
    for (size_t i = 0; i < n; i++)
        if (f->data[i] < 32 && !isspace(f->data[i]))
            return false;
    return n > 0;
}

static struct recognised text_content(const struct mapfile *f) {
    struct mapfile head = *f;
    head.size = f->size < 4096 ? f->size : 4096;
    if (head.data[0] == '<' && holds(&head, "<net "))
        return model("OpenVINO IR (.xml)");
    if (head.data[0] == '{' && (holds(&head, "modelTopology") || holds(&head, "class_name")))
        return model("Keras or TensorFlow.js model description (JSON)");
    return no_model(head.data[0] == '{' || head.data[0] == '[' ? "JSON text" : "text");
}

struct recognised recognise_file(const struct mapfile *f) {
    static const struct {
        const char *bytes;
        size_t n, at;
        const char *title;
    } others[] = {
        { "\xff\xd8\xff", 3, 0, "a JPEG image" },
        { "\x89PNG", 4, 0, "a PNG image" },
        { "BM", 2, 0, "a BMP image" },
        { "RIFF", 4, 0, "a RIFF file (audio or video)" },
        { "\x93NUMPY", 6, 0, "a NumPy array (.npy)" },
        { "\x1f\x8b", 2, 0, "gzip-compressed data" },
        { "\xfd"
          "7zXZ",
          5, 0, "xz-compressed data" },
        { "\x7f"
          "ELF",
          4, 0, "an executable" },
        { "%PDF", 4, 0, "a PDF document" },
        { "ustar", 5, 257, "a tar archive" },
    };
    if (f->size == 0)
        return unknown;
    if (begins(f, "PK\3\4", 4, 0))
        return zip_content(f);
    if (begins(f, "\x89HDF\r\n\x1a\n", 8, 0))
        return hdf5_content(f);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (begins(f, others[i].bytes, others[i].n, others[i].at))
            return no_model(others[i].title);
    if (f->size > 48 && begins(f, "\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8, f->size - 8))
        return model("TensorFlow checkpoint index");
    if (safetensors(f))
        return model("safetensors");
    if (f->data[0] == 0x80 && f->size > 2 && f->data[1] >= 2 && f->data[1] <= 5)
        return pickle(f);
    struct recognised r = versioned_protobuf(f);
    if (!r.title)
        r = graph_def(f);
    if (!r.title && is_text(f))
        r = text_content(f);
    return r;
}

struct recognised recognise_folder(const char *path) {
    static const char *const inside[][2] = { { "saved_model.pb", "TensorFlow SavedModel" },
                                             { "Manifest.json", "Core ML package (.mlpackage)" },
                                             { "variables/variables.index",
                                               "TensorFlow SavedModel without its graph" } };
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
        char name[4096];
        int n = snprintf(name, sizeof name, "%s/%s", path, inside[i][0]);
        if (n > 0 && (size_t)n < sizeof name && file_same(name, name))
            return model(inside[i][1]);
    }
    return no_model("a folder without a model of a known kind");
}
