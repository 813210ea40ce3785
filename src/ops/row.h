/* Shorthands for the tables of rows that end every family. */
#ifndef OPS_ROW_H
#define OPS_ROW_H

#include "ops/op.h"

#define ATTRS(...)              \
    (const struct attr_def[]) { \
        __VA_ARGS__, {          \
            0                   \
        }                       \
    }
/* One attribute with its default. */
#define INT(name_, default_) \
    { .name = name_, .type = ATTR_INT, .i = default_ }
#define FLOAT(name_, default_) \
    { .name = name_, .type = ATTR_FLOAT, .f = default_ }
#define STRING(name_, default_) \
    { .name = name_, .type = ATTR_STRING, .s = default_ }
/* An attribute of type ATTR_<type>_ without a default. */
#define PLAIN(name_, type_) \
    { .name = name_, .type = ATTR_##type_ }
#define NEEDED(name_, type_) \
    { .name = name_, .type = ATTR_##type_, .required = true }

/* The head of an ONNX row with one output: name, version, least and most inputs. */
#define ONNX(name_, since, least, most)                                             \
    .name = name_, .domain = "", .spec = "ONNX " name_ "-" #since, .min_in = least, \
    .max_in = most, .min_out = 1, .max_out = 1
#define ONNX_ML(name_, since, least, most)                                                       \
    .name = name_, .domain = "ai.onnx.ml", .spec = "ONNX-ML " name_ "-" #since, .min_in = least, \
    .max_in = most, .min_out = 1, .max_out = 1
#define MICROSOFT(name_, least, most)                                                      \
    .name = name_, .domain = "com.microsoft", .spec = "ONNX Runtime com.microsoft." name_, \
    .min_in = least, .max_in = most, .min_out = 1, .max_out = 1

/* The declared type of an input is one that the operator does not have. */
enum status op_bad_type(struct op_ctx *c, int input);

#endif
