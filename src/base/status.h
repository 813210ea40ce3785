/* Status codes and the error record that travels with them.
 *
 * Every function that can fail returns `enum status` and takes a `struct err *` last. The message
 * is made once, where the fault is known; callers may prepend the place. Only src/cli prints or
 * exits. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdarg.h>

enum status {
    OK = 0,
    STATUS_IO,          /* the operating system refused: missing file, no permission, disk full */
    STATUS_CORRUPT,     /* the file is wrong */
    STATUS_UNSUPPORTED, /* the file is fine, we lack it */
    STATUS_MISMATCH,    /* two things that must agree do not */
    STATUS_USAGE,       /* the caller asked for something that makes no sense */
    STATUS_BUG,         /* we are wrong */
};

struct err {
    enum status code;
    char where[320]; /* file, offset or node; may be empty */
    char what[768];  /* what is wrong and what to do */
};

#if defined(__GNUC__)
#define PRINTF_LIKE(a, b) __attribute__((format(printf, a, b)))
#else
#define PRINTF_LIKE(a, b)
#endif

/* Fills `e` (which may be NULL) and returns `code`. */
enum status err_set(struct err *e, enum status code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "place: " in front of the place already recorded, and returns e->code. */
enum status err_at(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* "io", "corrupt", "unsupported", "mismatch", "usage", "bug" or "ok". */
const char *status_name(enum status s);

/* Passes a failure on. */
#define TRY(call)                         \
    do {                                  \
        enum status try_status_ = (call); \
        if (try_status_ != OK)            \
            return try_status_;           \
    } while (0)

/* Fails when `cond` holds: FAIL_IF(n < 0, e, STATUS_CORRUPT, "length %d is negative", n). */
#define FAIL_IF(cond, e, ...)                 \
    do {                                      \
        if (cond)                             \
            return err_set((e), __VA_ARGS__); \
    } while (0)

#endif
