/* Builds the graph of a net from its spec: stem, stages of blocks, a head at every cut. The order
 * of the parameters is that of the operations, trained ones first; names are torchvision's where it
 * has the network. Blocks are in net_blocks.c, heads in net_heads.c. */
#include "config.h"

#include <string.h>

#include "base/mem.h"
#include "ops.h"

/* The shape of the trunk's end. Every block pads so that a stride s turns n rows into ceil(n / s).
 */
static struct shape last_shape(const struct spec *spec)
{
    int side[2] = {spec->height, spec->width};
    for (int i = 0; i < 2; i++) {
        if (spec->stem.kernel > 0)
            side[i] = (side[i] + 2 * spec->stem.pad - spec->stem.kernel) / spec->stem.stride + 1;
        if (spec->stem.pool.kernel > 0)
            side[i] = (side[i] + 2 * spec->stem.pool.pad - spec->stem.pool.kernel) /
                          spec->stem.pool.stride +
                      1;
        for (int s = 0; s < spec->n_stages; s++) {
            side[i] = (side[i] - 1) / spec->stages[s].stride + 1;
            if (spec->stages[s].pool > 0) side[i] /= spec->stages[s].pool;
        }
    }
    const struct spec_stage *stage = &spec->stages[spec->n_stages - 1];
    bool expands = stage->block == SPEC_BLOCK_BOTTLENECK || stage->block == SPEC_BLOCK_PYRAMID;
    /* A map that vanished is an error where it did; here it must only not divide by 0. */
    return (struct shape){side[0] > 0 ? side[0] : 1, side[1] > 0 ? side[1] : 1,
                          (expands ? SPEC_EXPANSION : 1) * stage->channels};
}

static int build_stem(struct builder *b, int in)
{
    const struct spec *spec = &b->net->spec;
    if (spec->stem.kernel == 0) return in;
    int y = build_conv(b, in, "conv1", spec->stem.channels,
                       square(spec->stem.kernel, spec->stem.stride, spec->stem.pad));
    if (spec->stem.after != SPEC_AFTER_NOTHING)
        y = build_norm(b, y, "bn1", spec->stem.after == SPEC_AFTER_NORM_RELU, -1);
    if (spec->stem.pool.kernel > 0)
        y = build_max_pool(b, y, "stem.pool", spec->stem.pool.kernel, spec->stem.pool.stride,
                           spec->stem.pool.pad);
    return y;
}

/* Ends a section: the trunk of pre-activation blocks ends with a BN-ReLU of its own, their shallow
 * heads begin with one. */
static void end_section(struct builder *b, int value, bool preactivated)
{
    struct net *net = b->net;
    bool deepest = b->section == net->spec.n_sections - 1;
    if (deepest && preactivated) value = build_norm(b, value, "bn_final", true, -1);
    net->section_out[b->section] = value;
    b->exit = b->section;
    if (deepest)
        build_deepest(b, value);
    else
        build_head(b, value, preactivated);
    b->exit = -1;
    b->section++;
}

static void build_ops(struct builder *b)
{
    const struct spec *spec = &b->net->spec;
    char name[NAME_MAX_LENGTH];
    int y = build_input(b, (struct shape){spec->height, spec->width, spec->channels});
    y = build_stem(b, y);

    int done = 0, before = spec->stem.channels;
    for (int s = 0; s < spec->n_stages; s++) {
        const struct spec_stage *stage = &spec->stages[s];
        for (int i = 0; i < stage->blocks && b->rc == 0; i++) {
            join(name, "layer%d.%d", s + 1, i);
            y = build_block(b, y, stage, i, before, name);
            if (i == stage->blocks - 1 && stage->pool > 0) {
                join(name, "stages[%d].pool", s);
                y = build_max_pool(b, y, name, stage->pool, stage->pool, 0);
                b->features++;
            }
            if (++done == spec->cuts[b->section])
                end_section(b, y, spec_is_preactivated(stage->block));
        }
        before = stage->channels;
    }
}

static int moved(const int *place, int param)
{
    return param < 0 ? -1 : place[param];
}

/* Moves the trained parameters before the others, keeps the order otherwise, and lays all of them
 * out in one block. */
static void place_params(struct builder *b)
{
    struct net *net = b->net;
    size_t n = (size_t)net->n_params;
    struct param *sorted = mem_new(n, sizeof(*sorted));
    int *place = mem_new(n, sizeof(*place)); /* old index -> new index */
    if (sorted == NULL || place == NULL) {
        build_fail_memory(b);
        goto out;
    }

    int next = 0;
    for (int trained = 1; trained >= 0; trained--) {
        for (int i = 0; i < net->n_params; i++) {
            if (net->params[i].trained != (trained == 1)) continue;
            struct param *p = &sorted[next];
            *p = net->params[i];
            place[i] = next++;
            p->offset = net->block_size;
            if (mem_size(net->block_size, 1, p->size, &net->block_size) < 0) build_fail_memory(b);
        }
        if (trained == 1) net->trained_size = net->block_size;
    }
    memcpy(net->params, sorted, n * sizeof(*sorted));

    for (int i = 0; i < net->n_ops; i++) {
        struct op *op = &net->ops[i];
        op->weight = moved(place, op->weight);
        op->bias = moved(place, op->bias);
        op->mean = moved(place, op->mean);
        op->variance = moved(place, op->variance);
    }
out:
    mem_free(sorted);
    mem_free(place);
}

int net_build(struct net *net, struct err *e)
{
    struct builder b = {.net = net, .e = e, .exit = -1, .last = last_shape(&net->spec)};
    build_ops(&b);
    if (b.rc == 0) place_params(&b);
    return b.rc;
}
