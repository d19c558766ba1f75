/* Measures algorithms. In a net, a layer's weights were last read a whole pass ago: so before each
 * run as many bytes as the plan has weights pass through the caches, and then the layer's input is
 * made anew. An algorithm other than the rule's must be clearly quicker, since another program may
 * have taken the processor meanwhile, and a wrong choice would stay. */
#include "config.h"

#include <errno.h>

#include "base/clock.h"
#include "base/mem.h"
#include "nn/choices.h"
#include "op.h"
#include "plan_impl.h"

enum {
    RUNS = 5,
    SWEEP_MAX = 64 << 20, /* bytes; larger caches are rare */
};

/* What it takes of the rule's time to be preferred. */
static const double clearly = 0.9;

/* The arrays of one convolution and so many images. */
struct trial {
    const struct kernels *kernels;
    struct conv_geometry g;
    int images;
    size_t x_size;
    float *w, *x, *y, *packed[CONV_ALGORITHMS];
    void *scratch;
    float *sweep;
    size_t sweep_size;
};

/* Values that are neither denormal nor all alike. */
static void fill(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) values[i] = (float)(i % 13) * 0.1f - 0.6f;
}

static void trial_release(struct trial *t)
{
    mem_free(t->w);
    mem_free(t->x);
    mem_free(t->y);
    mem_free(t->scratch);
    for (int a = 0; a < CONV_ALGORITHMS; a++) mem_free(t->packed[a]);
}

static int trial_init(struct trial *t, const enum conv_algorithm *candidates, int n)
{
    const struct conv_geometry *g = &t->g;
    size_t scratch = 1, weights = conv_weight_size(g);
    size_t y_size = (size_t)t->images * (size_t)conv_out_height(g) * (size_t)conv_out_width(g) *
                    (size_t)g->out_channels;
    t->x_size = (size_t)t->images * (size_t)g->height * (size_t)g->width * (size_t)g->in_channels;
    t->w = mem_new_aligned(weights, sizeof(float));
    t->x = mem_new_aligned(t->x_size, sizeof(float));
    t->y = mem_new_aligned(y_size, sizeof(float));
    bool good = t->w != NULL && t->x != NULL && t->y != NULL;
    if (good) fill(t->w, weights);
    for (int i = 0; good && i < n; i++) {
        const struct conv_forward *m = &t->kernels->conv[candidates[i]].forward;
        const struct conv_forward *packing = &t->kernels->conv[m->packing].forward;
        float **packed = &t->packed[m->packing];
        size_t bytes = m->scratch_bytes(g);
        scratch = bytes > scratch ? bytes : scratch;
        if (*packed != NULL) continue;
        *packed = mem_new_aligned(packing->packed_size(g), sizeof(float));
        good = *packed != NULL;
        if (good) packing->pack(g, t->w, NULL, *packed);
    }
    t->scratch = good ? mem_new_aligned(scratch, 1) : NULL;
    return t->scratch != NULL ? 0 : -ENOMEM;
}

static double run(struct trial *t, enum conv_algorithm a)
{
    const struct conv_forward *m = &t->kernels->conv[a].forward;
    struct conv_epilogue epilogue = {NULL, NULL, true};
    for (size_t i = 0; i < t->sweep_size; i += MEM_ALIGN / sizeof(float)) t->sweep[i] += 1;
    fill(t->x, t->x_size);
    int64_t start = clock_now();
    m->run(&t->g, t->images, t->x, t->packed[m->packing], &epilogue, t->y, t->scratch, conv_whole);
    return (double)(clock_now() - start);
}

/* The best of some candidates, of which the first is the rule's. Interleaved, so that a disturbance
 * hits all of them. */
static enum conv_algorithm quickest(struct trial *t, const enum conv_algorithm *candidates, int n)
{
    double best[CONV_ALGORITHMS] = {0};
    for (int r = 0; r < RUNS; r++) {
        for (int i = 0; i < n; i++) {
            double time = run(t, candidates[i]);
            if (r == 0 || time < best[i]) best[i] = time;
        }
    }
    int winner = 0;
    for (int i = 1; i < n; i++) {
        if (best[i] < clearly * best[0] && (winner == 0 || best[i] < best[winner])) winner = i;
    }
    return candidates[winner];
}

static int candidates_of(const struct kernels *k, const struct conv_geometry *g,
                         enum precision precision, int index, enum conv_algorithm *ret)
{
    struct choice rule = choice_by_rule(k, g, precision);
    int n = 0;
    ret[n++] = rule.of[index];
    for (int a = 0; a < CONV_ALGORITHMS; a++) {
        if ((enum conv_algorithm)a != ret[0] &&
            choice_permits(k, CHOICE_PLAN, g, precision, (enum conv_algorithm)a))
            ret[n++] = (enum conv_algorithm)a;
    }
    return n;
}

/* 1: measured, 0: nothing to choose. */
static int measure_one(struct choices *choices, struct trial *t, enum precision precision,
                       int index)
{
    enum conv_algorithm candidates[CONV_ALGORITHMS], known;
    if (choices_find(choices, CHOICE_PLAN, &t->g, precision, index, &known)) return 0;
    int n = candidates_of(t->kernels, &t->g, precision, index, candidates);
    if (n < 2) return 0;
    t->images = choice_images(index);
    int rc = trial_init(t, candidates, n);
    if (rc == 0)
        rc = choices_put(choices, CHOICE_PLAN, &t->g, precision, index, quickest(t, candidates, n));
    trial_release(t);
    return rc < 0 ? rc : 1;
}

static int measure_piece(struct choices *choices, const struct plan *plan,
                         const struct plan_piece *piece, enum precision precision, int batch_max,
                         const struct trial *shared, int64_t end)
{
    int added = 0, most = piece->block < batch_max ? piece->block : batch_max;
    for (int i = piece->first; i < piece->first + piece->n; i++) {
        const struct op *op = plan->ops[i].op;
        if (!op->kind->infer.chooses) continue;
        for (int index = 0; index <= choice_index(most); index++) {
            if (clock_now() > end) return added;
            struct trial t = *shared;
            t.g = op->conv;
            int rc = measure_one(choices, &t, precision, index);
            if (rc < 0) return rc;
            added += rc;
        }
    }
    return added;
}

int choices_measure(struct choices *choices, const struct plan *plan, enum precision precision,
                    int batch_max, double budget_s)
{
    int64_t end = clock_now() + (int64_t)(budget_s * (double)CLOCK_SECOND);
    size_t bytes = plan_weight_bytes(plan) < SWEEP_MAX ? plan_weight_bytes(plan) : SWEEP_MAX;
    struct trial shared = {.kernels = plan->kernels, .sweep_size = bytes / sizeof(float)};
    shared.sweep = mem_new_aligned(shared.sweep_size, sizeof(float));
    if (shared.sweep == NULL) return -ENOMEM;
    fill(shared.sweep, shared.sweep_size);
    int added = 0, rc = 0;
    for (int s = 0; rc >= 0 && s < plan->net->spec.n_sections; s++) {
        const struct plan_piece *pieces[] = {&plan->sections[s], &plan->heads[s]};
        for (int i = 0; rc >= 0 && i < 2; i++) {
            rc = measure_piece(choices, plan, pieces[i], precision, batch_max, &shared, end);
            added += rc > 0 ? rc : 0;
        }
    }
    mem_free(shared.sweep);
    return rc < 0 ? rc : added;
}
