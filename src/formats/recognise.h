/* What a file is that no reader here takes: the name of its format by content, for a refusal that
 * helps. */
#ifndef FORMATS_RECOGNISE_H
#define FORMATS_RECOGNISE_H

#include <stdbool.h>

#include "base/mapfile.h"

struct recognised {
    const char *title; /* "PyTorch checkpoint (state_dict)"; NULL: unknown */
    bool
        is_model; /* holds a graph or weights, which calque cannot read yet; else no model at all */
    bool certain; /* beats a reader that is not sure itself */
};

struct recognised recognise_file(const struct mapfile *f);
/* A folder: SavedModel, .mlpackage. */
struct recognised recognise_folder(const char *path);

#endif
