/* What became of every fault: a line each in a file, so that a run may be made in pieces, by
 * several processes, and told as one table. */
#ifndef TEST_RECORD_H
#define TEST_RECORD_H

#include <stdbool.h>
#include <stdint.h>

enum outcome_state {
    OUTCOME_UNTOUCHED, /* the pair before any fault: `detected` says a false alarm */
    OUTCOME_NONE,      /* no fault could be made for this case */
    OUTCOME_BEGUN,     /* being judged; what stays so is done again by the next run */
    OUTCOME_LOST,      /* its process was killed while judging: counts as not detected */
    OUTCOME_JUDGED,
};

struct outcome {
    char target[512], kind[40];
    int number; /* of the case in its file, -1 for the untouched pair */
    int fault;  /* of the case */
    enum outcome_state state;
    bool detected, located, named, repaired;
    double seconds; /* of the whole case */
};

struct record {
    const char *path;
    uint64_t key; /* of the programs and the seed: other keys' lines are left alone */
    struct outcome *list;
    int n;
};

/* Reads the lines of this key again. */
void record_read(struct record *r);
void record_free(struct record *r);
/* Writes a line; a later one of the same fault stands for an earlier. False: it cannot be written.
 */
bool record_add(struct record *r, const struct outcome *o);
/* Has this case been judged, lost, or found impossible? */
bool record_has(const struct record *r, const char *target, int number);
/* How many faults of the target have an outcome. */
int record_count(const struct record *r, const char *target);
/* What is begun has been lost. Returns how many. */
int record_lose(struct record *r);
/* Drops what is begun. */
void record_forget_begun(struct record *r);
/* Prints the table; true when all thresholds are met. */
bool record_print(const struct record *r);

#endif
