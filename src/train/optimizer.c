/* Optimizers over what is trained of the parameter block.
 *
 * The block is a list of ranges that learn (tensors beside each other that decay alike are one
 * range); the ranges are laid end to end and cut by lane. Every element is independent of the
 * others, so the cut cannot change a bit. The sum of squares is made in pieces of a fixed size, in
 * their order. */
#include "config.h"

#include "train/optimizer.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

enum { SQUARE_PIECE = 16384 };

/* What PyTorch adds to the norm before it divides by it. */
#define CLIP_EPSILON 1e-6

struct range {
    size_t first, end;
    bool decays;
};

struct optimizer {
    const struct recipe *recipe;
    struct pool *pool;
    const struct kernels *kernels;
    float *moments[OPTIMIZER_MOMENTS_MAX];
    struct range *ranges;
    size_t n_ranges, total;
    double *squares; /* a piece of the ranges laid end to end */
    size_t n_squares;
};

static const char *const moment_names[][OPTIMIZER_MOMENTS_MAX] = {
    [OPTIMIZER_SGD] = {"momentum"}, [OPTIMIZER_ADAMW] = {"exp_avg", "exp_avg_sq"}};

size_t optimizer_moments(const struct recipe *recipe)
{
    return recipe->optimizer == OPTIMIZER_ADAMW ? 2 : 1;
}

const char *optimizer_moment_name(const struct recipe *recipe, size_t moment)
{
    return moment_names[recipe->optimizer][moment];
}

/* --- life ------------------------------------------------------------------------------------- */

/* Norms and biases are what makes a vector of a parameter: one number a channel. */
static bool decays(const struct recipe *recipe, const struct param *p)
{
    return recipe->decay_on == DECAY_ON_ALL || p->n_dims > 1;
}

static void add_range(struct optimizer *o, size_t offset, size_t size, bool decays)
{
    struct range *last = o->n_ranges > 0 ? &o->ranges[o->n_ranges - 1] : NULL;
    o->total += size;
    if (last != NULL && last->end == offset && last->decays == decays)
        last->end += size;
    else
        o->ranges[o->n_ranges++] = (struct range){offset, offset + size, decays};
}

static bool allocate(struct optimizer *o, size_t n_params, size_t trained)
{
    bool made = true;
    for (size_t i = 0; i < optimizer_moments(o->recipe) && made; i++) {
        o->moments[i] = mem_new_aligned(trained, sizeof(*o->moments[i]));
        made = o->moments[i] != NULL;
        if (made) memset(o->moments[i], 0, trained * sizeof(*o->moments[i]));
    }
    o->ranges = mem_new(n_params, sizeof(*o->ranges));
    o->n_squares = (trained + SQUARE_PIECE - 1) / SQUARE_PIECE;
    o->squares = mem_new(o->n_squares, sizeof(*o->squares));
    return made && o->ranges != NULL && o->squares != NULL;
}

struct optimizer *optimizer_new(const struct net *net, const struct recipe *recipe, unsigned exits,
                                struct pool *pool, const struct kernels *kernels, struct err *e)
{
    size_t n_params;
    const struct param *params = net_params(net, &n_params);
    struct optimizer *o = mem_new(1, sizeof(*o));
    if (o != NULL) *o = (struct optimizer){.recipe = recipe, .pool = pool, .kernels = kernels};
    if (o == NULL || !allocate(o, n_params, net_trained_size(net))) {
        optimizer_free(o);
        err_set(e, -ENOMEM, "out of memory for the moments of %zu parameters",
                net_trained_size(net));
        return NULL;
    }
    for (size_t i = 0; i < n_params; i++) {
        const struct param *p = &params[i];
        const bool moves = p->exit < 0 ? !recipe_is_frozen(recipe) : (exits >> p->exit & 1) != 0;
        if (p->trained && moves) add_range(o, p->offset, p->size, decays(recipe, p));
    }
    return o;
}

void optimizer_free(struct optimizer *optimizer)
{
    if (optimizer == NULL) return;
    for (size_t i = 0; i < OPTIMIZER_MOMENTS_MAX; i++) mem_free(optimizer->moments[i]);
    mem_free(optimizer->ranges);
    mem_free(optimizer->squares);
    mem_free(optimizer);
}

float *optimizer_moment(struct optimizer *optimizer, size_t moment)
{
    return optimizer->moments[moment];
}

/* --- what learns, from first to end of the ranges laid end to end ----------------------------- */

struct piece {
    size_t at, n; /* in the block */
    bool decays;
};

/* The next piece of [*first, end) that lies in one range, and moves *first behind it; false when
 * there is none. *range and *start, where that range begins, go along from 0. */
static bool next_piece(const struct optimizer *o, size_t *range, size_t *start, size_t *first,
                       size_t end, struct piece *ret)
{
    for (; *first < end && *range < o->n_ranges; (*range)++) {
        const struct range *r = &o->ranges[*range];
        const size_t size = r->end - r->first, behind = *start + size;
        if (*first < behind) {
            const size_t stop = behind < end ? behind : end;
            *ret = (struct piece){r->first + (*first - *start), stop - *first, r->decays};
            *first = stop;
            return true;
        }
        *start = behind;
    }
    return false;
}

struct squaring {
    struct optimizer *optimizer;
    const float *dparams;
};

static void square_lane(void *arg, unsigned lane, unsigned n_lanes)
{
    const struct squaring *s = arg;
    const struct optimizer *o = s->optimizer;
    size_t first_piece, end_piece, range = 0, start = 0;
    pool_range((o->total + SQUARE_PIECE - 1) / SQUARE_PIECE, lane, n_lanes, &first_piece,
               &end_piece);
    for (size_t i = first_piece; i < end_piece; i++) {
        size_t first = i * SQUARE_PIECE, end = first + SQUARE_PIECE;
        struct piece p;
        double sum = 0.0;
        if (end > o->total) end = o->total;
        while (next_piece(o, &range, &start, &first, end, &p)) {
            for (size_t k = p.at; k < p.at + p.n; k++)
                sum += (double)s->dparams[k] * (double)s->dparams[k];
        }
        o->squares[i] = sum;
    }
}

double optimizer_square(struct optimizer *o, const float *dparams)
{
    struct squaring s = {o, dparams};
    double sum = 0.0;
    pool_run(o->pool, square_lane, &s);
    for (size_t i = 0; i < (o->total + SQUARE_PIECE - 1) / SQUARE_PIECE; i++) sum += o->squares[i];
    return sum;
}

double optimizer_clip(const struct recipe *recipe, double square)
{
    const double scale = recipe->clip / (sqrt(square) + CLIP_EPSILON);
    return recipe->clip > 0.0 && scale < 1.0 ? scale : 1.0;
}

/* --- steps ------------------------------------------------------------------------------------ */

/* What one parallel loop needs. */
struct stepping {
    const struct optimizer *optimizer;
    const struct optimizer_step *step;
    const float *dparams;
    float *params;
};

void optimizer_move(const struct kernels *kernels, const struct recipe *r,
                    const struct optimizer_step *step, bool decays, size_t n, const float *dw,
                    float *const moments[OPTIMIZER_MOMENTS_MAX], float *w)
{
    const float decay = decays ? (float)r->weight_decay : 0.0f;
    if (r->optimizer == OPTIMIZER_ADAMW) {
        const double t = (double)step->number;
        const struct adamw a = {.rate = (float)step->rate,
                                .decay = decay,
                                .beta1 = (float)r->adam_beta1,
                                .beta2 = (float)r->adam_beta2,
                                .epsilon = (float)r->adam_epsilon,
                                .correct1 = (float)(1.0 - pow(r->adam_beta1, t)),
                                .correct2 = (float)(1.0 - pow(r->adam_beta2, t)),
                                .scale = (float)step->scale};
        kernels->adamw_step(n, &a, dw, moments[0], moments[1], w);
        return;
    }
    const struct sgd s = {(float)step->rate, (float)r->momentum, decay, (float)step->scale,
                          r->nesterov};
    kernels->sgd_step(n, &s, dw, moments[0], w);
}

static void step_lane(void *arg, unsigned lane, unsigned n_lanes)
{
    const struct stepping *s = arg;
    const struct optimizer *o = s->optimizer;
    size_t first, end, range = 0, start = 0;
    struct piece p;
    pool_range(o->total, lane, n_lanes, &first, &end);
    while (next_piece(o, &range, &start, &first, end, &p)) {
        float *moments[OPTIMIZER_MOMENTS_MAX] = {o->moments[0] + p.at, NULL};
        if (o->moments[1] != NULL) moments[1] = o->moments[1] + p.at;
        optimizer_move(o->kernels, o->recipe, s->step, p.decays, p.n, s->dparams + p.at, moments,
                       s->params + p.at);
    }
}

void optimizer_step(struct optimizer *optimizer, const struct optimizer_step *step,
                    const float *dparams, float *params)
{
    struct stepping s = {optimizer, step, dparams, params};
    pool_run(optimizer->pool, step_lane, &s);
}
