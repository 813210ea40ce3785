/* Writing a patched file. */
#include "base/mapfile.h"
#include "formats/tflite/tflite.h"
#include "ir/patch.h"

enum status tflite_write_patched(const struct model *m, const struct patch *const *patches, int n, const char *path,
                                 struct err *e) {
    for (int i = 0; i < n; i++)
        FAIL_IF(patches[i]->n > 0, e, STATUS_UNSUPPORTED, "the edit '%s' cannot be written to a TensorFlow Lite file", patches[i]->title);
    struct piece whole = { m->files[0].data, m->files[0].size };
    return file_write(path, &whole, 1, e);
}
