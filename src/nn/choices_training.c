/* Measures algorithms of training: each lane of the pool at once on images of its own, as in a
 * step, since they share caches and memory. What is compared is the time of a step: weights packed
 * once, by all lanes together, and as many passes as the batch has blocks. An algorithm other than
 * the rule's must be clearly quicker, since another program may have taken a processor meanwhile,
 * and a training keeps its choice to the end. */
#include "config.h"

#include <errno.h>

#include "base/clock.h"
#include "base/mem.h"
#include "nn/choices.h"

enum { RUNS = 4 };

/* What it takes of the rule's time to be preferred. */
static const double clearly = 0.85;

/* A lane's arrays; from one to the next, so many floats. Packed weights are everybody's. */
struct trial {
    const struct kernels *kernels;
    const struct choice_load *load;
    enum conv_algorithm algorithm; /* in this run */
    unsigned n_lanes;
    size_t x_size, y_size, w_size, scratch_size;
    float *x, *y, *w, *packed, *scratch;
    double *seconds; /* of a lane's pass */
};

static size_t packed_size(const struct trial *t, enum conv_algorithm a)
{
    const struct conv_method *m = &t->kernels->conv[a];
    switch (t->load->direction) {
    case CONV_FORWARD:
        return m->forward.packed_size(t->load->g);
    case CONV_BACKWARD_DATA:
        return m->backward_data.packed_size(t->load->g);
    default:
        return 1;
    }
}

static size_t scratch_bytes(const struct trial *t, enum conv_algorithm a)
{
    const struct conv_method *m = &t->kernels->conv[a];
    switch (t->load->direction) {
    case CONV_FORWARD:
        return m->forward.scratch_bytes(t->load->g);
    case CONV_BACKWARD_DATA:
        return m->backward_data.scratch_bytes(t->load->g);
    default:
        return m->backward_weight.scratch_bytes(t->load->g);
    }
}

static void pack(struct trial *t)
{
    const struct conv_method *m = &t->kernels->conv[t->algorithm];
    if (t->load->direction == CONV_FORWARD)
        m->forward.pack(t->load->g, t->w, NULL, t->packed);
    else if (t->load->direction == CONV_BACKWARD_DATA)
        m->backward_data.pack(t->load->g, t->w, t->packed);
}

/* Values that are neither denormal nor all alike. */
static void fill(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) values[i] = (float)(i % 13) * 0.1F - 0.6F;
}

/* What it reads was just made, as in a step. */
static void pass_lane(void *arg, unsigned lane, unsigned n_lanes)
{
    struct trial *t = arg;
    const struct choice_load *l = t->load;
    const struct conv_method *m = &t->kernels->conv[t->algorithm];
    float *x = t->x + lane * t->x_size, *y = t->y + lane * t->y_size;
    float *dw = t->w + lane * t->w_size, *scratch = t->scratch + lane * t->scratch_size;
    const struct conv_epilogue none = {.relu = false};
    (void)n_lanes;
    if (l->direction != CONV_FORWARD) fill(y, t->y_size);
    if (l->direction != CONV_BACKWARD_DATA) fill(x, t->x_size);
    int64_t start = clock_now();
    switch (l->direction) {
    case CONV_FORWARD:
        m->forward.run(l->g, l->images, x, t->packed, &none, y, scratch, conv_whole);
        break;
    case CONV_BACKWARD_DATA:
        m->backward_data.run(l->g, l->images, y, t->packed, false, x, scratch);
        break;
    default:
        m->backward_weight.run(l->g, l->images, x, y, dw, scratch);
        break;
    }
    t->seconds[lane] = (double)(clock_now() - start);
}

/* Nanoseconds of a step. */
static double run(struct trial *t, struct pool *pool, enum conv_algorithm a)
{
    t->algorithm = a;
    fill(t->w, t->w_size); /* a gradient that is added to without end would overflow */
    int64_t start = clock_now();
    pack(t);
    double packing = (double)(clock_now() - start) / t->n_lanes, slowest = 0;
    pool_run(pool, pass_lane, t);
    for (unsigned l = 0; l < t->n_lanes; l++)
        slowest = t->seconds[l] > slowest ? t->seconds[l] : slowest;
    return packing + t->load->passes * slowest;
}

static void trial_release(struct trial *t)
{
    mem_free(t->x);
    mem_free(t->y);
    mem_free(t->w);
    mem_free(t->packed);
    mem_free(t->scratch);
    mem_free(t->seconds);
}

static int trial_init(struct trial *t, const enum conv_algorithm *candidates, int n)
{
    const struct conv_geometry *g = t->load->g;
    size_t images = (size_t)t->load->images, packed = 1, bytes = 1;
    const size_t line = MEM_ALIGN / sizeof(float);
    for (int i = 0; i < n; i++) {
        size_t size = packed_size(t, candidates[i]), room = scratch_bytes(t, candidates[i]);
        packed = size > packed ? size : packed;
        bytes = room > bytes ? room : bytes;
    }
    t->x_size = images * (size_t)g->height * (size_t)g->width * (size_t)g->in_channels;
    t->y_size =
        images * (size_t)conv_out_height(g) * (size_t)conv_out_width(g) * (size_t)g->out_channels;
    t->w_size = conv_weight_size(g);
    t->scratch_size = (bytes + MEM_ALIGN - 1) / MEM_ALIGN * line;
    t->x = mem_new_aligned(t->n_lanes, t->x_size * sizeof(float));
    t->y = mem_new_aligned(t->n_lanes, t->y_size * sizeof(float));
    t->w = mem_new_aligned(t->n_lanes, t->w_size * sizeof(float));
    t->packed = mem_new_aligned(packed, sizeof(float));
    t->scratch = mem_new_aligned(t->n_lanes, t->scratch_size * sizeof(float));
    t->seconds = mem_new(t->n_lanes, sizeof(*t->seconds));
    bool good = t->x != NULL && t->y != NULL && t->w != NULL && t->packed != NULL &&
                t->scratch != NULL && t->seconds != NULL;
    if (good) fill(t->w, t->n_lanes * t->w_size);
    return good ? 0 : -ENOMEM;
}

/* The best of some candidates, of which the first is the rule's. Interleaved, so that a disturbance
 * hits all of them. */
static enum conv_algorithm quickest(struct trial *t, struct pool *pool,
                                    const enum conv_algorithm *candidates, int n)
{
    double best[CONV_ALGORITHMS] = {0};
    for (int r = 0; r < RUNS; r++) {
        for (int i = 0; i < n; i++) {
            double time = run(t, pool, candidates[i]);
            if (r == 0 || time < best[i]) best[i] = time;
        }
    }
    int winner = 0;
    for (int i = 1; i < n; i++) {
        if (best[i] < clearly * best[0] && (winner == 0 || best[i] < best[winner])) winner = i;
    }
    return candidates[winner];
}

int choices_measure_training(struct choices *choices, const struct choice_load *load,
                             struct pool *pool)
{
    enum choice_use use = choice_use_of(load->direction);
    const struct kernels *k = choices_kernels(choices);
    enum conv_algorithm candidates[CONV_ALGORITHMS], known;
    int n = 0, index = choice_index(load->images);
    if (choices_find(choices, use, load->g, load->precision, index, &known)) return 0;
    candidates[n++] = choice_training(k, load->direction, load->g, load->precision);
    for (int a = 0; a < CONV_ALGORITHMS; a++) {
        if ((enum conv_algorithm)a != candidates[0] &&
            choice_permits(k, use, load->g, load->precision, (enum conv_algorithm)a))
            candidates[n++] = (enum conv_algorithm)a;
    }
    if (n < 2) return 0;
    struct trial t = {.kernels = k, .load = load, .n_lanes = pool != NULL ? pool_threads(pool) : 1};
    int rc = trial_init(&t, candidates, n);
    if (rc == 0)
        rc = choices_put(choices, use, load->g, load->precision, index,
                         quickest(&t, pool, candidates, n));
    trial_release(&t);
    return rc < 0 ? rc : 1;
}
