/* ONNX files. */
#include "fuzz_model.h"

FUZZ_FORMAT(onnx)
