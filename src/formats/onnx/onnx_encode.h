/* Pieces of the IR as ONNX messages. Each function writes the message's payload. */
#ifndef FORMATS_ONNX_ONNX_ENCODE_H
#define FORMATS_ONNX_ONNX_ENCODE_H

#include "formats/onnx/onnx.h"

/* TensorProto: dims, data_type, contents as raw_data (texts as string_data), and the name unless it
 * is NULL. */
enum status onnx_put_tensor(struct pb_writer *w, const struct tensor *t, const char *name,
                            struct err *e);
/* The same without a name, field by field: what a changed TensorProto gets in place of its old
 * contents. */
enum status onnx_put_contents(struct pb_writer *w, const struct tensor *t, struct err *e);
/* AttributeProto. Graphs cannot be written. */
enum status onnx_put_attribute(struct pb_writer *w, const struct attr *a, struct err *e);
/* TypeProto of a tensor with known dims. */
enum status onnx_put_tensor_type(struct pb_writer *w, const struct tensor *t, struct err *e);
/* Writes `inner` as a field. */
void onnx_put_message(struct pb_writer *w, uint32_t field, const struct pb_writer *inner);

#endif
