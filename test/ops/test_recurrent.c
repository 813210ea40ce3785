/* RNN, GRU and LSTM with the options that the stored cases leave out. Expected values are those of
 * ONNX Runtime 1.31 (float32): all of Y, then Y_h, then Y_c. Element k of input i is (37 k + 101 i
 * + 11) mod 64 / 64 - 1/2; three steps, two samples of lengths 2 and 3 where lengths are given, two
 * inputs, two hidden units. */
#include "one_node.h"

#include <math.h>

struct rnn_case {
    const char *op, *direction,
        *optional; /* optional: B, sequence_lens, initial_h, initial_c, P; '1' given */
    const char *activations[6];
    int n_activations;
    double alpha[6];
    int n_alpha;
    double beta[6];
    int n_beta;
    double clip;      /* 0: none */
    const char *flag; /* an attribute that is 1 */
    int n;
    double expected[48];
};

/* clang-format off */
static const struct rnn_case cases[] = {
    { .op = "LSTM", .direction = "bidirectional", .optional = "11111",
      .n = 40, .expected = {
          -0.113150321, -0.0250812564, -0.0688103363, 0.0166228749, -0.0679558367, 0.0566551425, -0.0708818436, 0.0481511876,
          -0.170091376, 0.0801072419, -0.151042253, 0.111286372, 0.0209950805, -0.0433243886, -0.0333112851, -0.010821091,
          0, 0, -0.174985364, 0.176367134, 0, 0, -0.0343991071, 0.0328121893,
          -0.170091376, 0.0801072419, -0.174985364, 0.176367134, -0.0679558367, 0.0566551425, -0.0708818436, 0.0481511876,
          -0.413108647, 0.176838011, -0.479356766, 0.388680935, -0.114968628, 0.0997827053, -0.119577087, 0.0864508674 } },
    { .op = "LSTM", .direction = "reverse", .optional = "11001", .flag = "input_forget",
      .n = 20, .expected = {
          -0.216978967, 0.134354487, -0.220372841, 0.18731226, -0.126688138, 0.0938473642, -0.154066473, 0.165167943,
          0, 0, -0.122291818, 0.123202987, -0.216978967, 0.134354487, -0.220372841, 0.18731226,
          -0.480116814, 0.25668174, -0.509267092, 0.359812498 } },
    { .op = "LSTM", .direction = "forward", .optional = "1011", .activations = { "HardSigmoid", "Softsign", "Elu" }, .n_activations = 3,
      .alpha = { 0.25, 0.75 }, .n_alpha = 2, .beta = { 0.5 }, .n_beta = 1,
      .n = 20, .expected = {
          -0.0497031026, -0.0240654293, -0.0224234387, 0.00673179515, -0.0793438777, 0.0465386808, -0.0684553906, 0.072359927,
          -0.0882741436, 0.0984806493, -0.0829710811, 0.11641106, -0.0882741436, 0.0984806493, -0.0829710811, 0.11641106,
          -0.354241073, 0.224294752, -0.342418164, 0.264763415 } },
    { .op = "GRU", .direction = "bidirectional", .optional = "111",
      .n = 32, .expected = {
          -0.258870572, 0.0954831839, -0.13719818, 0.151585609, -0.168942004, 0.110588536, -0.143191636, -0.181183785,
          -0.283181816, 0.165716559, -0.182565704, 0.17233634, -0.227400988, 0.321872801, -0.223304927, -0.163196117,
          0, 0, -0.174241275, 0.146143302, 0, 0, -0.114898987, -0.296412617,
          -0.283181816, 0.165716559, -0.174241275, 0.146143302, -0.168942004, 0.110588536, -0.143191636, -0.181183785 } },
    { .op = "GRU", .direction = "forward", .optional = "101", .clip = 0.25, .flag = "linear_before_reset",
      .n = 16, .expected = {
          -0.302435517, 0.153891444, -0.177943647, 0.210652471, -0.27725327, 0.1937453, -0.207266882, 0.225655019,
          -0.263096422, 0.216150194, -0.223751724, 0.234089091, -0.263096422, 0.216150194, -0.223751724, 0.234089091 } },
    { .op = "GRU", .direction = "reverse", .optional = "111", .flag = "linear_before_reset",
      .n = 16, .expected = {
          -0.310410649, 0.221905351, -0.211365134, 0.226168692, -0.440784544, 0.255789995, -0.321277142, 0.318406284,
          0, 0, -0.285271704, 0.285221368, -0.310410649, 0.221905351, -0.211365134, 0.226168692 } },
    { .op = "RNN", .direction = "bidirectional", .optional = "111", .activations = { "Relu", "LeakyRelu" }, .n_activations = 2,
      .alpha = { 0.125 }, .n_alpha = 1,
      .n = 32, .expected = {
          0, 0, 0.0249023438, 0, -0.048433423, 0.827672005, -0.0541760959, 0.827265859,
          0.0400390625, 0.125488281, 0.0479660034, 0.186134338, -0.0757446289, 0.530761719, -0.0887387991, 0.522681236,
          0, 0, 0.144033074, 0.226410508, 0, 0, -0.0607299805, 0.689941406,
          0.0400390625, 0.125488281, 0.144033074, 0.226410508, -0.048433423, 0.827672005, -0.0541760959, 0.827265859 } },
    { .op = "RNN", .direction = "reverse", .optional = "010", .activations = { "Affine" }, .n_activations = 1,
      .alpha = { 0.5 }, .n_alpha = 1, .beta = { 0.25 }, .n_beta = 1,
      .n = 16, .expected = {
          0.213783264, 0.124423981, 0.206169888, 0.164754793, 0.285644531, 0.250244141, 0.335054398, 0.203619003,
          0, 0, 0.303955078, 0.341796875, 0.213783264, 0.124423981, 0.206169888, 0.164754793 } },
};
/* clang-format on */

static struct tensor *values(struct arena *a, int input, int rank, const int64_t *dim) {
    struct tensor *t = tensor_in_arena(a, DT_F32, DT_F32, rank, dim);
    for (int64_t k = 0; k < tensor_count(t); k++)
        tensor_set_f64(t, k, (double)((k * 37 + input * 101 + 11) % 64) / 64 - 0.5);
    return t;
}

static void make_inputs(struct one_node *t, const struct rnn_case *k, int gates, int64_t d) {
    int64_t h = 2, rows = gates * h;
    const int64_t dim[8][3] = { { 3, 2, 2 }, { d, rows, 2 }, { d, rows, h }, { d, 2 * rows },
                                { 2 },       { d, 2, h },    { d, 2, h },    { d, 3 * h } };
    const int rank[8] = { 3, 3, 3, 2, 1, 3, 3, 2 };
    for (int i = 0; i < t->node->n_in; i++)
        if (i < 3 || k->optional[i - 3] == '1')
            t->in[i] = values(t->arena, i, rank[i], dim[i]);
    if (t->node->n_in > 4 && t->in[4]) {
        t->in[4] = tensor_in_arena(t->arena, DT_I32, DT_I32, 1, dim[4]);
        tensor_set_i64(t->in[4], 0, 2);
        tensor_set_i64(t->in[4], 1, 3);
    }
}

static void set_attributes(struct one_node *t, const struct rnn_case *k) {
    node_set_string(t->node, "direction", k->direction);
    node_set_int(t->node, "hidden_size", 2);
    if (k->n_activations) {
        struct attr *a = node_set_attr(t->node, "activations", ATTR_STRINGS);
        a->strings = k->activations;
        a->n = k->n_activations;
    }
    if (k->n_alpha)
        node_set_floats(t->node, "activation_alpha", k->alpha, k->n_alpha);
    if (k->n_beta)
        node_set_floats(t->node, "activation_beta", k->beta, k->n_beta);
    if (k->clip > 0)
        node_set_float(t->node, "clip", k->clip);
    if (k->flag)
        node_set_int(t->node, k->flag, 1);
}

static void check(struct one_node *t, const struct rnn_case *k, enum precision precision) {
    if (one_node_run(t, precision) != OK)
        fail_msg("%s %s: %s", k->op, k->direction, t->err.what);
    int at = 0;
    for (int o = 0; o < t->node->n_out; o++)
        for (int64_t i = 0; i < tensor_count(t->out[o]); i++, at++) {
            double found = tensor_f64(t->out[o], i);
            if (at >= k->n || !(fabs(found - k->expected[at]) <= 2e-6))
                fail_msg("%s %s: output %d element %d is %.9g, expected %.9g", k->op, k->direction,
                         o, (int)i, found, at < k->n ? k->expected[at] : NAN);
        }
    assert_int_equal(at, k->n);
}

static void test_case(void **state) {
    const struct rnn_case *k = *state;
    struct one_node t;
    int gates = k->op[0] == 'L' ? 4 : k->op[0] == 'G' ? 3 : 1;
    one_node_open(&t, "", k->op, 3 + (int)strlen(k->optional), gates == 4 ? 3 : 2);
    make_inputs(&t, k, gates, strcmp(k->direction, "bidirectional") == 0 ? 2 : 1);
    set_attributes(&t, k);
    check(&t, k, PREC_F64);
    check(&t, k, PREC_F32);
    one_node_close(&t);
}

int main(void) {
    enum { N = sizeof cases / sizeof *cases };
    static struct CMUnitTest tests[N];
    for (int i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest) { .name = cases[i].op,
                                         .test_func = test_case,
                                         .initial_state = (void *)(uintptr_t)&cases[i] };
    return _cmocka_run_group_tests("recurrent", tests, N, NULL, NULL);
}
