/* Suppression of boxes that overlap better ones: ONNX NonMaxSuppression and TensorFlow Lite's
 * versions 4 and 5. In float64 whatever the precision. */
#include <string.h>

#include "ops/mathfn.h"
#include "ops/move.h"
#include "ops/row.h"

struct box {
    double low[2], high[2]; /* y and x */
};

static struct box read_box(const struct tensor *t, int64_t i, bool center) {
    double a[4];
    struct box b;
    for (int k = 0; k < 4; k++)
        a[k] = tensor_f64(t, 4 * i + k);
    for (int k = 0; k < 2; k++) {
        if (center) { /* x, y, width, height */
            b.low[k] = a[1 - k] - a[3 - k] / 2;
            b.high[k] = a[1 - k] + a[3 - k] / 2;
        } else {
            b.low[k] = a[k] < a[k + 2] ? a[k] : a[k + 2];
            b.high[k] = a[k] < a[k + 2] ? a[k + 2] : a[k];
        }
    }
    return b;
}

/* Intersection over union, 0 where either box is empty. */
static double overlap(const struct box *a, const struct box *b) {
    double side[2];
    for (int k = 0; k < 2; k++) {
        double low = a->low[k] > b->low[k] ? a->low[k] : b->low[k],
               high = a->high[k] < b->high[k] ? a->high[k] : b->high[k];
        side[k] = high - low;
        if (!(side[k] > 0))
            return 0;
    }
    double common = side[0] * side[1];
    double area_a = (a->high[0] - a->low[0]) * (a->high[1] - a->low[1]),
           area_b = (b->high[0] - b->low[0]) * (b->high[1] - b->low[1]);
    double all = area_a + area_b - common;
    return area_a > 0 && area_b > 0 && all > 0 ? common / all : 0;
}

/* --- ONNX --- */

static enum status shape_non_max_suppression(struct shape_ctx *c) {
    const struct fact *boxes = &c->in[0], *scores = &c->in[1];
    SHAPE_FAIL_IF((boxes->rank >= 0 && boxes->rank != 3) ||
                      (scores->rank >= 0 && scores->rank != 3),
                  c, "boxes and scores must have rank 3");
    if (boxes->rank == 3 && scores->rank == 3)
        SHAPE_FAIL_IF(
            (boxes->dim[2] >= 0 && boxes->dim[2] != 4) ||
                (boxes->dim[0] >= 0 && scores->dim[0] >= 0 && boxes->dim[0] != scores->dim[0]) ||
                (boxes->dim[1] >= 0 && scores->dim[2] >= 0 && boxes->dim[1] != scores->dim[2]),
            c, "boxes must be [batch, boxes, 4] and scores [batch, classes, boxes]");
    fact_set(&c->out[0], DT_I64, 2, (int64_t[]) { DIM_UNKNOWN, 3 });
    return OK;
}

struct candidate {
    double score;
    int64_t box;
};

/* Highest score first, equal scores by box number. */
static void sort_candidates(struct candidate *v, struct candidate *spare, int64_t n) {
    if (n < 2)
        return;
    int64_t half = n / 2, i = 0, j = half, k = 0;
    sort_candidates(v, spare, half);
    sort_candidates(v + half, spare, n - half);
    memcpy(spare, v, (size_t)n * sizeof *v);
    while (i < half || j < n)
        v[k++] = j == n || (i < half && spare[i].score >= spare[j].score) ? spare[i++] : spare[j++];
}

struct suppression {
    const struct tensor *boxes, *scores;
    bool center, filter;
    int64_t limit;
    double iou, score;
    struct candidate *candidates, *spare;
    struct box *kept;
    int64_t *found, n_found; /* triples */
};

/* A score equal to the threshold is dropped, as ONNX Runtime and TensorFlow do; the specification
 * names only scores below. */
static void suppress_class(struct suppression *s, struct arena *a, int64_t batch, int64_t class_) {
    int64_t n_boxes = s->boxes->dim[1], n = 0, n_kept = 0;
    for (int64_t i = 0; i < n_boxes; i++) {
        double score = tensor_f64(s->scores, (batch * s->scores->dim[1] + class_) * n_boxes + i);
        if (score == score && (!s->filter || score > s->score))
            s->candidates[n++] = (struct candidate) { score, i };
    }
    sort_candidates(s->candidates, s->spare, n);
    for (int64_t i = 0; i < n && n_kept < s->limit; i++) {
        struct box b = read_box(s->boxes, batch * n_boxes + s->candidates[i].box, s->center);
        bool free_ = true;
        for (int64_t k = 0; k < n_kept && free_; k++)
            free_ = !(overlap(&b, &s->kept[k]) > s->iou);
        if (!free_)
            continue;
        s->kept[n_kept++] = b;
        int64_t triple[] = { batch, class_, s->candidates[i].box };
        for (int k = 0; k < 3; k++)
            PUSH(a, s->found, s->n_found, triple[k]);
    }
}

static const struct tensor *scalar_input(const struct op_ctx *c, int i) {
    return i < c->n_in && c->in[i] && tensor_count(c->in[i]) ? c->in[i] : NULL;
}

static enum status eval_non_max_suppression(struct op_ctx *c) {
    const struct tensor *boxes = c->in[0], *scores = c->in[1];
    const struct tensor *limit = scalar_input(c, 2), *iou = scalar_input(c, 3),
                        *score = scalar_input(c, 4);
    int64_t n = boxes->dim[1];
    struct suppression s = { .boxes = boxes,
                             .scores = scores,
                             .center = attr_int(c->node, "center_point_box") != 0,
                             .filter = score != NULL,
                             .limit = limit ? tensor_i64(limit, 0) : 0,
                             .iou = iou ? tensor_f64(iou, 0) : 0,
                             .score = score ? tensor_f64(score, 0) : 0 };
    FAIL_IF(!dtype_is_float(boxes->dtype) || !dtype_is_float(scores->dtype), c->err, STATUS_CORRUPT,
            "boxes are %s and scores %s", dtype_name(boxes->dtype), dtype_name(scores->dtype));
    s.candidates = NEW_ARRAY(c->scratch, n + 1, struct candidate);
    s.spare = NEW_ARRAY(c->scratch, n + 1, struct candidate);
    s.kept = NEW_ARRAY(c->scratch, n + 1, struct box);
    for (int64_t b = 0; b < boxes->dim[0] && n; b++)
        for (int64_t k = 0; k < scores->dim[1]; k++)
            suppress_class(&s, c->scratch, b, k);
    TRY(op_output(c, 0, DT_I64, 2, (int64_t[]) { s.n_found / 3, 3 }));
    if (s.n_found)
        memcpy(c->out[0]->data, s.found, (size_t)s.n_found * sizeof *s.found);
    return OK;
}

/* --- TensorFlow Lite: boxes [n, 4], scores [n], the most that are kept, thresholds of overlap and
 * score, and in version 5 the width of the bell by which overlapping scores shrink (0: they are
 * dropped) --- */

static enum status tflite_inputs(struct shape_ctx *c, int64_t *most) {
    const struct fact *boxes = &c->in[0], *scores = &c->in[1];
    const int64_t *limit;
    int64_t n;
    SHAPE_FAIL_IF(boxes->rank >= 0 &&
                      (boxes->rank != 2 || (boxes->dim[1] >= 0 && boxes->dim[1] != 4)),
                  c, "boxes must be [boxes, 4]");
    SHAPE_FAIL_IF(scores->rank >= 0 && scores->rank != 1, c, "scores must be [boxes]");
    SHAPE_FAIL_IF(boxes->rank == 2 && scores->rank == 1 && boxes->dim[0] >= 0 &&
                      scores->dim[0] >= 0 && boxes->dim[0] != scores->dim[0],
                  c, "%lld boxes and %lld scores", (long long)boxes->dim[0],
                  (long long)scores->dim[0]);
    *most = DIM_UNKNOWN;
    if (fact_ints(c, &c->in[2], &limit, &n)) {
        SHAPE_FAIL_IF(n != 1 || limit[0] < 0 || limit[0] > INT32_MAX, c,
                      "the most boxes kept must be one number that is not negative");
        *most = limit[0];
    }
    return OK;
}

/* Indices, in version 5 scores, and how many of both are meant; the rest is zero. */
static enum status shape_tflite_nms(struct shape_ctx *c) {
    int64_t most;
    TRY(tflite_inputs(c, &most));
    for (int i = 0; i < c->n_out; i++) {
        bool count = i == c->n_out - 1, score = c->n_out == 3 && i == 1;
        fact_set(&c->out[i], score ? c->in[1].dtype : DT_I32, count ? 0 : 1, &most);
    }
    return OK;
}

struct waiting {
    double score;
    int64_t box, from; /* the kept boxes below `from` have been looked at */
};

static bool is_before(const struct waiting *a, const struct waiting *b) {
    return a->score > b->score || (a->score == b->score && a->box < b->box);
}

/* A heap with the best at its root. */
static void sift_up(struct waiting *heap, int64_t i) {
    for (; i > 0 && is_before(&heap[i], &heap[(i - 1) / 2]); i = (i - 1) / 2) {
        struct waiting kept = heap[i];
        heap[i] = heap[(i - 1) / 2];
        heap[(i - 1) / 2] = kept;
    }
}

static struct waiting take_best(struct waiting *heap, int64_t *n) {
    struct waiting best = heap[0];
    heap[0] = heap[--*n];
    for (int64_t i = 0, next; (next = 2 * i + 1) < *n; i = next) {
        next += next + 1 < *n && is_before(&heap[next + 1], &heap[next]);
        if (!is_before(&heap[next], &heap[i]))
            break;
        struct waiting kept = heap[i];
        heap[i] = heap[next];
        heap[next] = kept;
    }
    return best;
}

struct soft_suppression {
    double iou, score, scale;
    struct box *kept;
    int64_t n_kept;
};

/* Looks at the boxes kept since it was looked at last, newest first; false: an overlap drops it. */
static bool survives(const struct soft_suppression *s, const struct box *b, struct waiting *w) {
    for (int64_t k = s->n_kept - 1; k >= w->from; k--) {
        double iou = overlap(b, &s->kept[k]);
        if (iou >= s->iou)
            return false;
        if (s->scale < 0)
            w->score *= exp_d(s->scale * iou * iou);
        if (w->score <= s->score)
            break;
    }
    w->from = s->n_kept;
    return true;
}

static double number_input(const struct op_ctx *c, int i) {
    const struct tensor *t = i < c->n_in ? scalar_input(c, i) : NULL;
    return t ? tensor_f64(t, 0) : 0;
}

static enum status give_suppressed(struct op_ctx *c, const int64_t *boxes, const double *scores,
                                   int64_t n, int64_t most) {
    bool scored = c->n_out == 3;
    int last = c->n_out - 1;
    TRY(op_output(c, 0, DT_I32, 1, &most));
    TRY(op_output(c, last, DT_I32, 0, NULL));
    if (scored)
        TRY(op_output(c, 1, c->in[1]->dtype, 1, &most));
    for (int64_t i = 0; i < most; i++) {
        tensor_set_i64(c->out[0], i, i < n ? boxes[i] : 0);
        if (scored)
            tensor_set_f64(c->out[1], i, i < n ? scores[i] : 0);
    }
    tensor_set_i64(c->out[last], 0, n);
    return OK;
}

/* Boxes in order of their scores; one whose score shrank goes back to wait. */
static enum status eval_tflite_nms(struct op_ctx *c) {
    const struct tensor *boxes = c->in[0], *scores = c->in[1];
    int64_t n = tensor_count(scores), waiting = 0, most = (int64_t)number_input(c, 2);
    double sigma = number_input(c, 5);
    FAIL_IF(!dtype_is_float(boxes->dtype) || !dtype_is_float(scores->dtype), c->err,
            STATUS_UNSUPPORTED, "boxes are %s and scores %s", dtype_name(boxes->dtype),
            dtype_name(scores->dtype));
    FAIL_IF(sigma < 0, c->err, STATUS_CORRUPT, "a bell of width %g", sigma);
    struct soft_suppression s = { .iou = number_input(c, 3),
                                  .score = number_input(c, 4),
                                  .scale = sigma > 0 ? -0.5 / sigma : 0,
                                  .kept = NEW_ARRAY(c->scratch, n + 1, struct box) };
    struct waiting *heap = NEW_ARRAY(c->scratch, n + 1, struct waiting);
    int64_t *found = NEW_ARRAY(c->scratch, n + 1, int64_t);
    double *values = NEW_ARRAY(c->scratch, n + 1, double);
    for (int64_t i = 0; i < n; i++) {
        double score = tensor_f64(scores, i);
        if (!(score > s.score))
            continue;
        heap[waiting] = (struct waiting) { score, i, 0 };
        sift_up(heap, waiting++);
    }
    while (s.n_kept < most && waiting) {
        struct waiting w = take_best(heap, &waiting);
        double before = w.score;
        struct box b = read_box(boxes, w.box, false);
        if (!survives(&s, &b, &w))
            continue;
        if (w.score == before) {
            found[s.n_kept] = w.box;
            values[s.n_kept] = w.score;
            s.kept[s.n_kept++] = b;
        } else if (w.score > s.score) {
            heap[waiting] = w;
            sift_up(heap, waiting++);
        }
    }
    return give_suppressed(c, found, values, s.n_kept, most);
}

#define TFLITE_NMS(version, n_in, n_out)                                           \
    .name = "NON_MAX_SUPPRESSION_" version, .domain = "tflite",                    \
    .spec = "TFLite NON_MAX_SUPPRESSION_" version, .min_in = n_in, .max_in = n_in, \
    .min_out = n_out, .max_out = n_out, .flags = OP_DATA_SHAPE | OP_NO_GRADIENT,   \
    .shape = shape_tflite_nms, .eval = eval_tflite_nms

const struct op ops_nms[] = {
    { ONNX("NonMaxSuppression", 11, 2, 5), .whole = 4, .flags = OP_DATA_SHAPE | OP_NO_GRADIENT,
      .attrs = ATTRS(INT("center_point_box", 0)), .shape = shape_non_max_suppression,
      .eval = eval_non_max_suppression },
    { TFLITE_NMS("V4", 5, 2) },
    { TFLITE_NMS("V5", 6, 3) },
    { 0 },
};
