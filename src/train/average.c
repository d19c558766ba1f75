/* An exponential moving average of parameters. */
#include "config.h"

#include "average.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

struct average {
    const struct net *net;
    const struct recipe *recipe;
    struct pool *pool;
    float *values; /* [net_trained_size] */
    float *model;  /* [net_block_size] */
};

bool average_is_on(const struct recipe *recipe)
{
    return recipe->ema > 0.0;
}

struct average *average_new(const struct net *net, const struct recipe *recipe, struct pool *pool,
                            struct err *e)
{
    struct average *a = mem_new(1, sizeof(*a));
    if (a != NULL) {
        *a = (struct average){.net = net, .recipe = recipe, .pool = pool};
        a->values = mem_new_aligned(net_trained_size(net), sizeof(*a->values));
        a->model = mem_new_aligned(net_block_size(net), sizeof(*a->model));
    }
    if (a == NULL || a->values == NULL || a->model == NULL) {
        average_free(a);
        err_set(e, -ENOMEM, "out of memory for the average of %zu parameters",
                net_trained_size(net));
        return NULL;
    }
    memset(a->values, 0, net_trained_size(net) * sizeof(*a->values));
    return a;
}

void average_free(struct average *average)
{
    if (average == NULL) return;
    mem_free(average->values);
    mem_free(average->model);
    mem_free(average);
}

size_t average_bytes(const struct average *a)
{
    return (net_trained_size(a->net) + net_block_size(a->net)) * sizeof(float);
}

float *average_values(struct average *average)
{
    return average->values;
}

struct taking {
    struct average *average;
    const float *params;
    float share; /* of the new ones */
};

static void take_lane(void *arg, unsigned lane, unsigned n_lanes)
{
    const struct taking *t = arg;
    size_t first, end;
    pool_range(net_trained_size(t->average->net), lane, n_lanes, &first, &end);
    float *values = t->average->values;
    for (size_t i = first; i < end; i++) values[i] += t->share * (t->params[i] - values[i]);
}

void average_take(struct average *a, int64_t t, const float *params)
{
    const double keep = fmin(a->recipe->ema, 1.0 - 1.0 / (double)t);
    struct taking taking = {a, params, (float)(1.0 - keep)};
    pool_run(a->pool, take_lane, &taking);
}

float *average_begin(struct average *a, const float *params)
{
    const size_t trained = net_trained_size(a->net);
    memcpy(a->model, a->values, trained * sizeof(*a->model));
    memcpy(a->model + trained, params + trained,
           (net_block_size(a->net) - trained) * sizeof(*a->model));
    return a->model;
}

int64_t average_batches(const struct recipe *recipe, int64_t epoch_steps)
{
    const int64_t wanted = (recipe->ema_images + recipe->batch - 1) / recipe->batch;
    return wanted < epoch_steps ? wanted : epoch_steps;
}
