/* The net: what others may ask of the graph that net_build.c makes, its costs, and the first values
 * of its parameters. */
#include "config.h"

#include "nn/net.h"

#include <assert.h>
#include <errno.h>
#include <math.h>

#include "base/mem.h"
#include "base/rng.h"
#include "nn/graph.h"
#include "op.h"

struct net *net_new(const struct spec *spec, struct err *e)
{
    if (spec_check(spec, e) < 0) return NULL;
    struct net *net = mem_new(1, sizeof(*net));
    if (net == NULL) {
        err_set(e, -ENOMEM, "net: out of memory");
        return NULL;
    }
    net->spec = *spec;
    if (net_build(net, e) < 0) {
        net_free(net);
        return NULL;
    }
    return net;
}

void net_free(struct net *net)
{
    if (net == NULL) return;
    mem_free(net->ops);
    mem_free(net->values);
    mem_free(net->params);
    mem_free(net);
}

const struct spec *net_spec(const struct net *net)
{
    return &net->spec;
}

int net_sections(const struct net *net)
{
    return net->spec.n_sections;
}

struct shape net_input(const struct net *net)
{
    return net->values[0].shape;
}

struct shape net_section_input(const struct net *net, int section)
{
    return net->values[net_section_in(net, section)].shape;
}

struct shape net_section_output(const struct net *net, int section)
{
    return net->values[net->section_out[section]].shape;
}

int net_feature_size(const struct net *net)
{
    return net->values[net->features[net->spec.n_sections - 1]].shape.channels;
}

int net_classes(const struct net *net)
{
    return net->spec.classes;
}

const struct param *net_params(const struct net *net, size_t *ret_count)
{
    *ret_count = (size_t)net->n_params;
    return net->params;
}

size_t net_trained_size(const struct net *net)
{
    return net->trained_size;
}

size_t net_block_size(const struct net *net)
{
    return net->block_size;
}

/* --- costs ------------------------------------------------------------------------------------ */

static int64_t param_count(const struct net *net, int param)
{
    return param < 0 ? 0 : (int64_t)net->params[param].size;
}

static struct net_cost op_cost(const struct net *net, const struct op *op)
{
    struct net_cost cost = {.params = param_count(net, op->weight) + param_count(net, op->bias)};
    if (op->kind->macs != NULL) cost.macs = op->kind->macs(net, op);
    return cost;
}

/* The sum over the operations of a section (-1: any) and a head (-1: the trunk). */
static struct net_cost sum_costs(const struct net *net, int section, int exit)
{
    struct net_cost sum = {0, 0};
    for (int i = 0; i < net->n_ops; i++) {
        const struct op *op = &net->ops[i];
        if ((section >= 0 && op->section != section) || op->exit != exit) continue;
        struct net_cost cost = op_cost(net, op);
        sum.params += cost.params;
        sum.macs += cost.macs;
    }
    return sum;
}

struct net_cost net_section_cost(const struct net *net, int section)
{
    return sum_costs(net, section, -1);
}

struct net_cost net_exit_cost(const struct net *net, int exit)
{
    return sum_costs(net, -1, exit);
}

struct net_cost net_deepest_cost(const struct net *net)
{
    struct net_cost trunk = sum_costs(net, -1, -1);
    struct net_cost head = net_exit_cost(net, net->spec.n_sections - 1);
    return (struct net_cost){trunk.params + head.params, trunk.macs + head.macs};
}

struct net_cost net_ensemble_cost(const struct net *net)
{
    struct net_cost sum = sum_costs(net, -1, -1);
    for (int i = 0; i < net->spec.n_sections; i++) {
        struct net_cost head = net_exit_cost(net, i);
        sum.params += head.params;
        sum.macs += head.macs;
    }
    return sum;
}

/* --- first values ------------------------------------------------------------------------- */

static void fill(float *values, size_t n, float value)
{
    for (size_t i = 0; i < n; i++) values[i] = value;
}

/* Kaiming-normal of a convolution counts the outgoing connections, O*kh*kw (He et al. 2015). */
static void init_normal(const struct param *p, struct rng *rng, float *values)
{
    double fan_out = (double)p->dims[0] * (double)p->dims[2] * (double)p->dims[3];
    double deviation = sqrt(2.0 / fan_out);
    for (size_t i = 0; i < p->size; i++) values[i] = (float)(deviation * rng_normal(rng));
}

static void init_uniform(const struct param *p, struct rng *rng, float *values)
{
    double bound = 1.0 / sqrt((double)p->fan_in);
    for (size_t i = 0; i < p->size; i++)
        values[i] = (float)(bound * (2.0 * rng_uniform(rng) - 1.0));
}

void net_init_params(const struct net *net, uint64_t seed, float *block)
{
    for (int i = 0; i < net->n_params; i++) {
        const struct param *p = &net->params[i];
        float *values = block + p->offset;
        struct rng rng;
        rng_init(&rng, seed, RNG_INIT, (uint32_t)i, 0);
        switch (p->init) {
        case PARAM_INIT_NORMAL:
            init_normal(p, &rng, values);
            break;
        case PARAM_INIT_UNIFORM:
            init_uniform(p, &rng, values);
            break;
        case PARAM_INIT_ONE:
            fill(values, p->size, 1.0f);
            break;
        case PARAM_INIT_ZERO:
            fill(values, p->size, 0.0f);
            break;
        }
    }
}
