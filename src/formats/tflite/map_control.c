#include "formats/tflite/tflite.h"

read_fn *map_control(enum builtin code) {
    (void)code;
    return NULL;
}
