/* Recurrent layers: fast against reference. */
#include "kernels/kernel_test.h"

static void one_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 50) ? DT_F32 : DT_F64;
    enum values kind = random_chance(r, 70) ? ORDINARY : (enum values)random_in(r, 0, SPECIAL);
    static const char *const names[] = { "RNN", "GRU", "LSTM" };
    int which = (int)random_in(r, 0, 2), gates = which == 0 ? 1 : which == 1 ? 3 : 4;
    bool both = random_chance(r, 30), batch_first = random_chance(r, 40);
    int64_t d = both ? 2 : 1, steps = random_chance(r, 4) ? 0 : random_in(r, 1, 6),
            batch = random_in(r, 1, 10);
    int64_t inputs = random_in(r, 1, 20),
            hidden = random_chance(r, 20) ? random_in(r, 40, 70) : random_in(r, 1, 20);
    int64_t x[3] = { batch_first ? batch : steps, batch_first ? steps : batch, inputs },
            state[3] = { d, batch, hidden };
    if (batch_first) {
        state[0] = batch;
        state[1] = d;
    }
    bench_begin(b, "", names[which], which == 2 ? 8 : 6, which == 2 ? 3 : 2);
    node_set_string(b->node, "direction",
                    both                   ? "bidirectional"
                    : random_chance(r, 30) ? "reverse"
                                           : "forward");
    node_set_int(b->node, "hidden_size", hidden);
    node_set_int(b->node, "layout", batch_first);
    if (which == 1)
        node_set_int(b->node, "linear_before_reset", random_chance(r, 50));
    if (which == 2)
        node_set_int(b->node, "input_forget", random_chance(r, 20));
    if (random_chance(r, 10))
        node_set_float(b->node, "clip", 0.5);
    bool constant = random_chance(r, 70);
    bench_input(b, 0, t, 3, x, kind, false);
    bench_input(b, 1, t, 3, (int64_t[]) { d, gates * hidden, inputs }, kind, constant);
    bench_input(b, 2, t, 3, (int64_t[]) { d, gates * hidden, hidden }, kind, constant);
    if (random_chance(r, 70))
        bench_input(b, 3, t, 2, (int64_t[]) { d, 2 * gates * hidden }, kind, constant);
    if (random_chance(r, 50))
        bench_input(b, 5, t, 3, state, kind, false);
    if (which == 2 && random_chance(r, 50))
        bench_input(b, 6, t, 3, state, kind, false);
    if (which == 2 && random_chance(r, 40))
        bench_input(b, 7, t, 2, (int64_t[]) { d, 3 * hidden }, kind, constant);
    bench_compare(b, t == DT_F64 ? PREC_F64 : PREC_F32);
}

static void test_rnn(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b, 9);
    for (int i = 0; i < 900; i++)
        one_case(&b);
    bench_close(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rnn) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
