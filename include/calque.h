/* calque: compares, locates faults in and repairs converted models.
 *
 * The library never prints and never ends the process but when memory is exhausted (abort). Handles
 * are opaque; each is freed with its own function, and NULL may be given to any of these. What a
 * function returns as `const char *` belongs to the handle it was asked of and lives as long.
 * Functions that can fail return a status and fill `error`, which may be NULL. Different handles
 * may be used from different threads at the same time; one handle by one thread at a time. */
#ifndef CALQUE_H
#define CALQUE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CALQUE_API __attribute__((visibility("default")))
#else
#define CALQUE_API
#endif

/* How a call ended. */
enum calque_status {
    CALQUE_OK = 0,
    CALQUE_IO,          /* the operating system refused: missing file, no permission, disk full */
    CALQUE_CORRUPT,     /* the file is wrong */
    CALQUE_UNSUPPORTED, /* the file is fine, calque lacks something */
    CALQUE_MISMATCH,    /* two things that must agree do not */
    CALQUE_USAGE,       /* the call makes no sense */
    CALQUE_BUG          /* a defect of calque */
};

/* What is wrong and where. Filled when a call does not return CALQUE_OK. */
struct calque_error {
    enum calque_status status;
    char where[320]; /* file, offset or node; may be empty */
    char what[768];  /* what is wrong and what to do */
};

/* What a comparison came to. */
enum calque_verdict {
    CALQUE_PROVED,      /* equal canonical forms */
    CALQUE_SAME,        /* equal on the inputs within measured rounding */
    CALQUE_QUANTIZED,   /* differs only as the declared storage types explain */
    CALQUE_DIFFERENT,   /* another function; or a repair whose proof failed */
    CALQUE_INCONCLUSIVE /* something could not be run or matched, or was not exercised */
};

/* A model that was read. Its file stays mapped until it is closed and must not change meanwhile. */
struct calque_model;
/* What compare, locate or repair found. */
struct calque_result;

/* What the figures of a comparison are computed in; what is the same is always judged in float64.
 */
enum calque_precision {
    CALQUE_F64 = 0,
    CALQUE_F32,   /* the declared types */
    CALQUE_NATIVE /* as the format's own integer kernels compute */
};

/* How models are compared; a structure of zeros, or NULL, means the defaults. */
struct calque_options {
    const char *inputs; /* .npz or .npy by the source's input names, or a test_data_set folder;
                           NULL: made */
    int samples;        /* how many to make; 0: 8 */
    uint64_t seed;      /* of made inputs */
    int threads;        /* 0: one for each processor. Results do not depend on it */
    double timeout;     /* seconds; 0: none */
    double atol, rtol;  /* what outputs may be apart; 0 for both: measured rounding */
    enum calque_precision precision;
    /* Told, from the calling thread and often, what is being done and that `done` of `total` steps
     * of it are over; may be NULL. */
    void (*progress)(void *arg, const char *stage, int64_t done, int64_t total);
    void *progress_arg;
};

/* One fault, in the words of the report. Texts belong to the result; a text that is not known is
 * NULL. */
struct calque_fault {
    const char *node, *op, *output;                      /* in the target */
    const char *source_node, *source_op, *source_output; /* what it corresponds to */
    const char *cause; /* "pad-side", ..., "weights", "structure", "unknown": see calque_cause */
    const char *title; /* what is wrong, in plain words */
    const char *confidence; /* "proved", "replayed", "suspected" */
    double own_error;       /* largest difference when fed the source's values */
    double noise_floor;     /* what rounding may explain of it */
    double error_after_fix; /* NaN when there is no fix */
};

/* What is known of a cause. */
struct calque_cause {
    const char *name, *title, *what, *how, *fix;
};

/* "0.1.0". */
CALQUE_API const char *calque_version(void);

/* Reads the model at `path`; the format is found by content. On failure *model is NULL. */
CALQUE_API enum calque_status calque_model_open(const char *path, struct calque_model **model,
                                                struct calque_error *error);
/* Frees the model. Results made from it must be freed before. */
CALQUE_API void calque_model_close(struct calque_model *model);
/* "onnx", "tflite". */
CALQUE_API const char *calque_model_format(const struct calque_model *model);
/* Number of inputs and outputs of the main graph. */
CALQUE_API int calque_model_inputs(const struct calque_model *model);
CALQUE_API int calque_model_outputs(const struct calque_model *model);
/* Name of input or output i; NULL when there is none. */
CALQUE_API const char *calque_model_input_name(const struct calque_model *model, int i);
CALQUE_API const char *calque_model_output_name(const struct calque_model *model, int i);
/* The report of `calque inspect --format json`, made anew by each call. Free it with
 * calque_text_free. */
CALQUE_API enum calque_status calque_model_inspect(struct calque_model *model, char **json,
                                                   struct calque_error *error);

/* Runs the model in float64 on the arrays of the file `inputs` (.npz, .npy or a test_data_set
 * folder) and writes its outputs to the .npz `outputs`, in their declared types and keyed by their
 * names. */
CALQUE_API enum calque_status calque_model_run(struct calque_model *model, const char *inputs,
                                               const char *outputs, struct calque_error *error);

/* Are the two models the same function? A result is made even when the answer is `inconclusive`; on
 * failure *result is NULL. The models must outlive the result. */
CALQUE_API enum calque_status calque_compare(struct calque_model *source,
                                             struct calque_model *target,
                                             const struct calque_options *options,
                                             struct calque_result **result,
                                             struct calque_error *error);
/* The same, with the faulty nodes and their causes. */
CALQUE_API enum calque_status calque_locate(struct calque_model *source,
                                            struct calque_model *target,
                                            const struct calque_options *options,
                                            struct calque_result **result,
                                            struct calque_error *error);
/* The same, and writes the corrected target to `path`, which must be neither model's file
 * (CALQUE_USAGE). Nothing is written when the proof fails: the verdict then is not CALQUE_PROVED or
 * CALQUE_SAME. */
CALQUE_API enum calque_status calque_repair(struct calque_model *source,
                                            struct calque_model *target,
                                            const struct calque_options *options, const char *path,
                                            struct calque_result **result,
                                            struct calque_error *error);
CALQUE_API void calque_result_free(struct calque_result *result);

/* The verdict: of the repaired file when one was written, else of the target. */
CALQUE_API enum calque_verdict calque_result_verdict(const struct calque_result *result);
/* "proved", "same", "quantized", "different", "inconclusive". */
CALQUE_API const char *calque_verdict_name(enum calque_verdict verdict);
/* One sentence behind the verdict, or NULL. */
CALQUE_API const char *calque_result_why(const struct calque_result *result);
/* Number of faults; 0 for a result of calque_compare. */
CALQUE_API int calque_result_faults(const struct calque_result *result);
/* Fills `fault` with fault i. CALQUE_USAGE when there is none. */
CALQUE_API enum calque_status calque_result_fault(const struct calque_result *result, int i,
                                                  struct calque_fault *fault);
/* The reports of the program: for people and as JSON. They belong to the result. */
CALQUE_API const char *calque_result_text(struct calque_result *result);
CALQUE_API const char *calque_result_json(struct calque_result *result);

/* Cause i of all that calque knows, or by name. CALQUE_USAGE when there is none. The texts live for
 * ever. */
CALQUE_API enum calque_status calque_cause(int i, struct calque_cause *cause);
CALQUE_API enum calque_status calque_cause_find(const char *name, struct calque_cause *cause);

/* Frees a text that a function made. */
CALQUE_API void calque_text_free(char *text);

#ifdef __cplusplus
}
#endif

#endif
