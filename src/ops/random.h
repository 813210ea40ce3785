/* Random numbers: the same sequence for the same seed on every machine. */
#ifndef OPS_RANDOM_H
#define OPS_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state;
};

/* In [0, 1), on a grid of 2^-53. */
double random_uniform(struct random *r);
/* Mean 0, standard deviation 1. */
double random_normal(struct random *r);

#endif
