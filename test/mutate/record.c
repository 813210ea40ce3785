#include "record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const states[] = { "untouched", "none", "begun", "lost", "judged" };
enum { STATES = 5, MAX_KINDS = 96, LINE = 1024 };

static bool same_fault(const struct outcome *a, const struct outcome *b) {
    return a->number == b->number && a->fault == b->fault && strcmp(a->target, b->target) == 0;
}

static void keep(struct record *r, const struct outcome *o) {
    for (int i = r->n - 1; i >= 0; i--)
        if (same_fault(&r->list[i], o)) {
            r->list[i] = *o;
            return;
        }
    struct outcome *list = realloc(r->list, (size_t)(r->n + 1) * sizeof *list);
    if (!list)
        return;
    r->list = list;
    r->list[r->n++] = *o;
}

/* key, target, case, fault, state, kind, flags, seconds */
static bool parse(char *line, uint64_t key, struct outcome *o) {
    char *field[8], *p = line;
    for (int i = 0; i < 8; i++) {
        field[i] = p;
        p += strcspn(p, "\t\n");
        if (i < 7 && *p != '\t')
            return false;
        *p++ = '\0';
    }
    if (strtoull(field[0], NULL, 16) != key || strlen(field[6]) != 4)
        return false;
    *o = (struct outcome) { .number = atoi(field[2]), .fault = atoi(field[3]) };
    snprintf(o->target, sizeof o->target, "%s", field[1]);
    snprintf(o->kind, sizeof o->kind, "%s", field[5]);
    int state = 0;
    while (state < STATES && strcmp(states[state], field[4]) != 0)
        state++;
    if (state == STATES)
        return false;
    o->state = (enum outcome_state)state;
    o->detected = field[6][0] == '1';
    o->located = field[6][1] == '1';
    o->named = field[6][2] == '1';
    o->repaired = field[6][3] == '1';
    o->seconds = strtod(field[7], NULL);
    return true;
}

void record_read(struct record *r) {
    r->n = 0;
    FILE *f = fopen(r->path, "r");
    char line[LINE];
    struct outcome o;
    while (f && fgets(line, sizeof line, f))
        if (parse(line, r->key, &o))
            keep(r, &o);
    if (f)
        fclose(f);
}

void record_free(struct record *r) {
    free(r->list);
    *r = (struct record) { 0 };
}

bool record_add(struct record *r, const struct outcome *o) {
    keep(r, o);
    FILE *f = fopen(r->path, "a");
    if (!f)
        return false;
    fprintf(f, "%016" PRIx64 "\t%s\t%d\t%d\t%s\t%s\t%d%d%d%d\t%.2f\n", r->key, o->target, o->number,
            o->fault, states[o->state], o->kind, o->detected, o->located, o->named, o->repaired,
            o->seconds);
    return fclose(f) == 0;
}

bool record_has(const struct record *r, const char *target, int number) {
    for (int i = 0; i < r->n; i++)
        if (r->list[i].number == number && strcmp(r->list[i].target, target) == 0 &&
            r->list[i].state != OUTCOME_BEGUN)
            return true;
    return false;
}

static bool counts(const struct outcome *o) {
    return o->state == OUTCOME_JUDGED || o->state == OUTCOME_LOST;
}

int record_count(const struct record *r, const char *target) {
    int n = 0;
    for (int i = 0; i < r->n; i++)
        n += counts(&r->list[i]) && strcmp(r->list[i].target, target) == 0;
    return n;
}

int record_lose(struct record *r) {
    int lost = 0;
    for (int i = 0; i < r->n; i++)
        if (r->list[i].state == OUTCOME_BEGUN) {
            struct outcome o = r->list[i];
            o.state = OUTCOME_LOST;
            record_add(r, &o);
            lost++;
        }
    return lost;
}

void record_forget_begun(struct record *r) {
    int n = 0;
    for (int i = 0; i < r->n; i++)
        if (r->list[i].state != OUTCOME_BEGUN)
            r->list[n++] = r->list[i];
    r->n = n;
}

/* --- the table --- */

struct score {
    char kind[40];
    int made, detected, located, named, repaired;
};

struct table {
    struct score rows[MAX_KINDS];
    int n;
};

static struct score *row_of(struct table *t, const char *kind) {
    for (int i = 0; i < t->n; i++)
        if (strcmp(t->rows[i].kind, kind) == 0)
            return &t->rows[i];
    struct score *row = &t->rows[t->n < MAX_KINDS - 1 ? t->n++ : MAX_KINDS - 1];
    snprintf(row->kind, sizeof row->kind, "%s", kind);
    return row;
}

static void count(struct score *s, const struct outcome *o) {
    s->made++;
    s->detected += o->detected;
    s->located += o->located;
    s->named += o->named;
    s->repaired += o->repaired;
}

static void print_row(const struct score *s) {
    printf("%-30s %5d %9d %9d %9d %9d\n", s->kind, s->made, s->detected, s->located, s->named,
           s->repaired);
}

bool record_print(const struct record *r) {
    struct table table = { .n = 0 };
    struct score sum = { .kind = "all" };
    int untouched = 0, alarms = 0, files = 0, lost = 0;
    double slowest = 0;
    for (int i = 0; i < r->n; i++) {
        const struct outcome *o = &r->list[i];
        untouched += o->state == OUTCOME_UNTOUCHED;
        alarms += o->state == OUTCOME_UNTOUCHED && o->detected;
        if (!counts(o))
            continue;
        files += o->fault == 0;
        lost += o->state == OUTCOME_LOST;
        slowest = o->seconds > slowest ? o->seconds : slowest;
        count(row_of(&table, o->kind), o);
        count(&sum, o);
    }
    printf("\n%-30s %5s %9s %9s %9s %9s\n", "fault", "made", "detected", "located", "named",
           "repaired");
    for (int i = 0; i < table.n; i++)
        print_row(&table.rows[i]);
    print_row(&sum);
    double n = sum.made ? sum.made : 1;
    printf("%-30s %5s %7.1f %% %7.1f %% %7.1f %% %7.1f %%\n", "", "", 100 * sum.detected / n,
           100 * sum.located / n, 100 * sum.named / n, 100 * sum.repaired / n);
    printf("%d faults in %d files; false alarms on untouched files: %d of %d; lost: %d; slowest "
           "case: %.1f s\n",
           sum.made, files, alarms, untouched, lost, slowest);
    return sum.made > 0 && alarms == 0 && sum.detected >= 0.98 * n && sum.located >= 0.95 * n &&
           sum.named >= 0.90 * n && sum.repaired >= 0.90 * n;
}
