/* The arrays of ONNX's test_data_set_N folders: input_k.pb and output_k.pb, each one TensorProto,
 * SequenceProto or OptionalProto (onnx-ml.proto, onnx-data.proto). */
#ifndef FORMATS_ONNX_ONNX_DATA_H
#define FORMATS_ONNX_ONNX_DATA_H

#include "tensor/tensor.h"

/* Reads one file. Its bytes do not say which message they are: `kind` is that of the value it
 * belongs to (KIND_TENSOR, KIND_SEQUENCE, KIND_OPTIONAL or KIND_MAP). The array is on the heap:
 * free it with tensor_free. name, which may be NULL, is the message's name in a. */
enum status onnx_data_read(const char *path, enum tensor_kind kind, struct arena *a,
                           struct tensor **out, const char **name, struct err *e);

#endif
