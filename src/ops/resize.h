/* Attributes of every form of Resize, for tables of rows (ops/row.h). */
#ifndef OPS_RESIZE_H
#define OPS_RESIZE_H

#define RESIZE_ATTRS                                                                           \
    INT("antialias", 0), PLAIN("axes", INTS),                                                  \
        STRING("coordinate_transformation_mode", "half_pixel"), FLOAT("cubic_coeff_a", -0.75), \
        INT("exclude_outside", 0), FLOAT("extrapolation_value", 0),                            \
        STRING("keep_aspect_ratio_policy", "stretch"), STRING("mode", "nearest"),              \
        STRING("nearest_mode", "round_prefer_floor")

#endif
