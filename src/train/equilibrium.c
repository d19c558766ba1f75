/* The trunk's gradients divided by the number of classifiers that they come from. */
#include "config.h"

#include "equilibrium.h"

#include "nn/graph.h"

struct scaling {
    const struct net *net;
    float *dparams;
};

static void scale_param(const struct scaling *s, int param, float factor)
{
    if (param < 0) return;
    const struct param *p = &s->net->params[param];
    float *values = s->dparams + p->offset;
    for (size_t i = 0; i < p->size; i++) values[i] *= factor;
}

static void scale_lane(void *arg, unsigned lane, unsigned n_lanes)
{
    const struct scaling *s = arg;
    const int exits = s->net->spec.n_sections;
    for (int i = (int)lane; i < s->net->n_ops; i += (int)n_lanes) {
        const struct op *op = &s->net->ops[i];
        if (op->exit >= 0) continue;
        const float factor = 1.0f / (float)(exits - op->section);
        scale_param(s, op->weight, factor);
        scale_param(s, op->bias, factor);
    }
}

void equilibrium_scale(const struct net *net, struct pool *pool, float *dparams)
{
    struct scaling s = {net, dparams};
    pool_run(pool, scale_lane, &s);
}
