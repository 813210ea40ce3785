#include "ops/twister.h"

enum { WORDS = 624, MIDDLE = 397 };

void twister_start(struct twister *t, uint32_t seed) {
    t->state[0] = seed;
    for (uint32_t i = 1; i < WORDS; i++)
        t->state[i] = UINT32_C(1812433253) * (t->state[i - 1] ^ t->state[i - 1] >> 30) + i;
    t->next = WORDS;
}

static void refill(struct twister *t) {
    uint32_t *s = t->state;
    for (int i = 0; i < WORDS; i++) {
        uint32_t y = (s[i] & UINT32_C(0x80000000)) | (s[(i + 1) % WORDS] & UINT32_C(0x7fffffff));
        s[i] = s[(i + MIDDLE) % WORDS] ^ y >> 1 ^ (y & 1 ? UINT32_C(0x9908b0df) : 0);
    }
    t->next = 0;
}

static uint32_t word(struct twister *t) {
    if (t->next == WORDS)
        refill(t);
    uint32_t y = t->state[t->next++];
    y ^= y >> 11;
    y ^= (y << 7) & UINT32_C(0x9d2c5680);
    y ^= (y << 15) & UINT32_C(0xefc60000);
    return y ^ y >> 18;
}

double twister_uniform(struct twister *t) {
    uint32_t high = word(t) >> 5, low = word(t) >> 6;
    return ((double)high * 67108864.0 + (double)low) * 0x1p-53;
}
