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
    bench_compare(b, bench_precision(t));
}

struct cell {
    enum dtype t;
    enum values kind;
    int64_t inputs, cells, outputs;
};

static struct cell random_cell(struct random *r) {
    struct cell c = { .t = random_chance(r, 50) ? DT_F32 : DT_F64,
                      .inputs = random_in(r, 1, random_chance(r, 20) ? 80 : 20) };
    c.kind = random_chance(r, 70) ? ORDINARY : (enum values)random_in(r, 0, SPECIAL);
    c.outputs = c.cells = random_in(r, 1, random_chance(r, 20) ? 70 : 20);
    return c;
}

static void matrix(struct bench *b, int i, const struct cell *c, int64_t rows, int64_t columns) {
    bench_input(b, i, c->t, columns ? 2 : 1, (int64_t[]) { rows, columns }, c->kind, true);
}

/* TensorFlow Lite's: x; matrices of x and of the output; peepholes; biases; projection; states;
 * gains of the normalisation. */
static void tflite_lstm_case(struct bench *b) {
    struct random *r = &b->random;
    struct cell c = random_cell(r);
    bool sequence = random_chance(r, 70), coupled = random_chance(r, 20),
         peeps = random_chance(r, 30), normed = random_chance(r, 25),
         projected = random_chance(r, 30);
    int64_t batch = random_in(r, 1, 3), steps = random_in(r, 1, 5);
    if (projected)
        c.outputs = random_in(r, 1, 20);
    bench_begin(b, "tflite", sequence ? "UNIDIRECTIONAL_SEQUENCE_LSTM" : "LSTM", 24, 1);
    node_set_int(b->node, "activation", random_chance(r, 70) ? 4 : random_in(r, 0, 4));
    if (random_chance(r, 20))
        node_set_float(b->node, "cell_clip", 0.5);
    if (random_chance(r, 20))
        node_set_float(b->node, "proj_clip", 0.5);
    if (sequence && random_chance(r, 50))
        node_set_int(b->node, "time_major", 1);
    if (sequence)
        bench_input(b, 0, c.t, 3, (int64_t[]) { steps, batch, c.inputs }, c.kind, false);
    else
        bench_input(b, 0, c.t, 2, (int64_t[]) { batch, c.inputs }, c.kind, false);
    if (sequence && !attr_int(b->node, "time_major"))
        batch = steps;
    for (int g = coupled; g < 4; g++) {
        matrix(b, 1 + g, &c, c.cells, c.inputs);
        matrix(b, 5 + g, &c, c.cells, c.outputs);
        if (peeps && g != 2)
            matrix(b, 9 + (g == 3 ? 2 : g), &c, c.cells, 0);
        matrix(b, 12 + g, &c, c.cells, 0);
        if (normed)
            matrix(b, 20 + g, &c, c.cells, 0);
    }
    if (projected)
        matrix(b, 16, &c, c.outputs, c.cells);
    if (projected && random_chance(r, 50))
        matrix(b, 17, &c, c.outputs, 0);
    bench_input(b, 18, c.t, 2, (int64_t[]) { batch, c.outputs }, c.kind, false);
    bench_input(b, 19, c.t, 2, (int64_t[]) { batch, c.cells }, c.kind, false);
    bench_compare(b, bench_precision(c.t));
}

/* The plain cell in one or two directions, and SVDF. */
static void tflite_cell_case(struct bench *b) {
    struct random *r = &b->random;
    struct cell c = random_cell(r);
    int64_t batch = random_in(r, 1, 3), steps = random_in(r, 1, 5), which = random_in(r, 0, 2);
    if (which == 2) {
        int64_t rank = random_in(r, 1, 3), memory = random_in(r, 1, 9), units = c.cells;
        bench_begin(b, "tflite", "SVDF", 5, 1);
        node_set_int(b->node, "rank", rank);
        bench_input(b, 0, c.t, 2, (int64_t[]) { batch, c.inputs }, c.kind, false);
        matrix(b, 1, &c, units * rank, c.inputs);
        matrix(b, 2, &c, units * rank, memory);
        matrix(b, 3, &c, units, 0);
        bench_input(b, 4, c.t, 2, (int64_t[]) { batch, units * rank * memory }, c.kind, false);
        bench_compare(b, bench_precision(c.t));
        return;
    }
    bench_begin(b, "tflite", which ? "BIDIRECTIONAL_SEQUENCE_RNN" : "UNIDIRECTIONAL_SEQUENCE_RNN",
                which ? 12 : 5, which ? 2 : 1);
    node_set_int(b->node, "activation", random_in(r, 0, 4));
    bench_input(b, 0, c.t, 3, (int64_t[]) { batch, steps, c.inputs }, c.kind, false);
    for (int d = 0; d <= which; d++) {
        matrix(b, 1 + 4 * d, &c, c.cells, c.inputs);
        matrix(b, 2 + 4 * d, &c, c.cells, c.cells);
        matrix(b, 3 + 4 * d, &c, c.cells, 0);
        bench_input(b, 4 + 4 * d, c.t, 2, (int64_t[]) { batch, c.cells }, c.kind, false);
    }
    bench_compare(b, bench_precision(c.t));
}

BENCH_TEST(test_tflite_lstm, tflite_lstm_case, 70, 500)
BENCH_TEST(test_tflite_cells, tflite_cell_case, 71, 1000)
BENCH_TEST(test_rnn, one_case, 9, 1100)

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rnn),
                                        cmocka_unit_test(test_tflite_lstm),
                                        cmocka_unit_test(test_tflite_cells) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
