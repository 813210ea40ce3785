/* TensorFlow Lite files. */
#include "fuzz_model.h"

FUZZ_FORMAT(tflite)
