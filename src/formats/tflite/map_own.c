#include "formats/tflite/tflite.h"

read_fn *map_own(enum builtin code) {
    (void)code;
    return NULL;
}
