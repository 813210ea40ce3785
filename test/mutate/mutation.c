#include "mutation.h"

#include <string.h>

uint64_t chance_next(struct chance *c) { /* splitmix64 */
    uint64_t z = c->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

int chance_below(struct chance *c, int n) {
    return n > 0 ? (int)(chance_next(c) % (uint64_t)n) : 0;
}

void mutation_place(struct mutation *m, struct arena *a, const char *name) {
    if (*name && m->n_places < PLACES)
        m->places[m->n_places++] = arena_str(a, name);
}

bool mutation_is_at(const struct mutation *m, const char *name) {
    for (int i = 0; name && i < m->n_places; i++)
        if (strcmp(m->places[i], name) == 0)
            return true;
    return false;
}

static bool edit_once(const struct edit_table *t, struct editor *x, struct site *s, int which,
                      struct mutation *made, int n_before) {
    int n = t->nodes(x), start = n ? chance_below(s->chance, n) : 0;
    s->m = &made[n_before];
    for (int i = 0; i < n; i++) {
        int k = (start + i) % n;
        bool touched = false;
        for (int f = 0; f < n_before; f++)
            touched = touched || t->is_touched(x, k, &made[f]);
        *s->m = (struct mutation) { .kind = t->rows[which].kind };
        if (!touched && t->rows[which].edit(x, k))
            return true;
    }
    return false;
}

int edit_file(const struct edit_table *t, struct editor *x, struct site *s, const char *kind, int n,
              struct mutation *made) {
    int count = 0, first = -1, kinds = 0;
    for (; t->rows[kinds].kind; kinds++)
        if (strcmp(t->rows[kinds].kind, kind) == 0)
            first = kinds;
    if (first < 0)
        return 0;
    for (int k = 0; k < 8 * n && count < n; k++) {
        bool good =
            edit_once(t, x, s, k == 0 ? first : chance_below(s->chance, kinds), made, count);
        count += good;
        if (!good && k == 0)
            return 0;
    }
    return count;
}
