/* The Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), seeded by one word. */
#ifndef OPS_TWISTER_H
#define OPS_TWISTER_H

#include <stdint.h>

struct twister {
    uint32_t state[624];
    int next;
};

void twister_start(struct twister *t, uint32_t seed);
/* In [0, 1), of 27 bits of one word and 26 of the next. */
double twister_uniform(struct twister *t);

#endif
