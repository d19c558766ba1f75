/* SGD over what is trained of the parameter block.
 *
 * The block is a list of ranges that learn (tensors beside each other are one range); the ranges
 * are laid end to end and cut by lane. Every element is independent of the others, so the cut
 * cannot change a bit. */
#include "config.h"

#include "train/optimizer.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

struct range {
    size_t first, end;
};

struct optimizer {
    struct pool *pool;
    const struct kernels *kernels;
    float *velocity;
    struct range *ranges;
    size_t n_ranges, total;
};

/* What one parallel loop needs. */
struct step {
    const struct optimizer *optimizer;
    const struct recipe *recipe;
    double rate;
    const float *dparams;
    float *params;
};

static void add_range(struct optimizer *o, size_t offset, size_t size)
{
    o->total += size;
    if (o->n_ranges > 0 && o->ranges[o->n_ranges - 1].end == offset) {
        o->ranges[o->n_ranges - 1].end += size;
    } else {
        o->ranges[o->n_ranges++] = (struct range){offset, offset + size};
    }
}

struct optimizer *optimizer_new(const struct net *net, unsigned exits, struct pool *pool,
                                const struct kernels *kernels, struct err *e)
{
    size_t n_params;
    const struct param *params = net_params(net, &n_params);
    struct optimizer *o = mem_new(1, sizeof(*o));
    if (o != NULL) {
        o->pool = pool;
        o->kernels = kernels;
        o->velocity = mem_new_aligned(net_trained_size(net), sizeof(*o->velocity));
        o->ranges = mem_new(n_params, sizeof(*o->ranges));
    }
    if (o == NULL || o->velocity == NULL || o->ranges == NULL) {
        optimizer_free(o);
        err_set(e, -ENOMEM, "out of memory for the velocity of %zu parameters",
                net_trained_size(net));
        return NULL;
    }
    memset(o->velocity, 0, net_trained_size(net) * sizeof(*o->velocity));
    for (size_t i = 0; i < n_params; i++) {
        const struct param *p = &params[i];
        if (p->trained && (p->exit < 0 || (exits >> p->exit & 1) != 0))
            add_range(o, p->offset, p->size);
    }
    return o;
}

void optimizer_free(struct optimizer *optimizer)
{
    if (optimizer == NULL) return;
    mem_free(optimizer->velocity);
    mem_free(optimizer->ranges);
    mem_free(optimizer);
}

float *optimizer_velocity(struct optimizer *optimizer)
{
    return optimizer->velocity;
}

void optimizer_move(const struct kernels *kernels, const struct recipe *recipe, double rate,
                    size_t n, const float *dw, float *velocity, float *w)
{
    kernels->sgd_step(n, (float)rate, (float)recipe->momentum, (float)recipe->weight_decay, dw,
                      velocity, w);
}

static void step_lane(void *arg, unsigned lane, unsigned n_lanes)
{
    const struct step *s = arg;
    const struct optimizer *o = s->optimizer;
    size_t first, end, start = 0; /* start: where the range begins in the list laid end to end */
    pool_range(o->total, lane, n_lanes, &first, &end);
    for (size_t i = 0; i < o->n_ranges; i++) {
        size_t size = o->ranges[i].end - o->ranges[i].first;
        size_t a = first > start ? first - start : 0;
        size_t b = end > start ? end - start : 0;
        if (b > size) b = size;
        if (a < b) {
            size_t at = o->ranges[i].first + a;
            optimizer_move(o->kernels, s->recipe, s->rate, b - a, s->dparams + at, o->velocity + at,
                           s->params + at);
        }
        start += size;
    }
}

void optimizer_step(struct optimizer *optimizer, const struct recipe *recipe, double rate,
                    const float *dparams, float *params)
{
    struct step s = {optimizer, recipe, rate, dparams, params};
    pool_run(optimizer->pool, step_lane, &s);
}
