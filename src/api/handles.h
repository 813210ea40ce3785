/* What the handles of calque.h hold, and how its errors and options become the library's own. */
#ifndef API_HANDLES_H
#define API_HANDLES_H

#include "base/status.h"
#include "calque.h"
#include "compare/result.h"

struct calque_model {
    struct model *model;
};

struct calque_result {
    struct arena *arena; /* reports and texts */
    struct result *result;
    double seconds;
};

/* Passes an error on to the caller, in the public form. */
enum calque_status api_fail(const struct err *e, struct calque_error *error);
/* A usage error of the call itself. */
enum calque_status api_misuse(struct calque_error *error, const char *what);

#endif
