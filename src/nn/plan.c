/* Makes a plan: fuses the net's operations, folds batch norms into weights, places inner values.
 *
 * A norm behind a convolution whose result nobody else reads becomes its scale and bias; the norm's
 * residual and ReLU become the convolution's epilogue, and the fused operation stands where the
 * norm stood, so that its residual is there. What a plan does not do: choose among algorithms (the
 * kernel table does) or own activations (exec.c). */
#include "config.h"

#include "nn/plan.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>

#include "base/mem.h"
#include "place.h"
#include "plan_impl.h"

enum {
    FLOATS_PER_LINE = MEM_ALIGN / sizeof(float),
    BLOCK_BYTES = 1024 * 1024, /* of inner values at a time; a second-level cache */
    BLOCK_MAX = 64,            /* images */
};

static size_t round_up(size_t n)
{
    return (n + FLOATS_PER_LINE - 1) / FLOATS_PER_LINE * FLOATS_PER_LINE;
}

static size_t floats_of(const struct net *net, int value)
{
    return round_up(shape_size(net->values[value].shape));
}

/* --- fusing ----------------------------------------------------------------------------------- */

/* The norm that reads the result of op, if it alone does; otherwise -1. */
static int only_norm_after(const struct net *net, const struct op *op)
{
    int found = -1;
    for (int i = 0; i < net->n_ops; i++) {
        const struct op *reader = &net->ops[i];
        if (reader->in != op->out && reader->residual != op->out) continue;
        if (found >= 0 || reader->kind != OP_NORM || reader->residual == op->out) return -1;
        found = i;
    }
    return found;
}

static void add_conv(struct plan *plan, int source, int norm)
{
    const struct op *op = &plan->net->ops[source];
    struct plan_op *p = &plan->ops[plan->n_ops++];
    *p = (struct plan_op){.kind = PLAN_CONV,
                          .source = source,
                          .norm = norm,
                          .in = op->in,
                          .out = op->out,
                          .residual = -1,
                          .conv = op->conv};
    if (op->kind == OP_LINEAR)
        p->conv = (struct conv_geometry){.height = 1,
                                         .width = 1,
                                         .in_channels = plan->net->values[op->in].shape.channels,
                                         .out_channels = plan->net->values[op->out].shape.channels,
                                         .kernel_height = 1,
                                         .kernel_width = 1,
                                         .stride = 1,
                                         .pad = 0};
    if (norm >= 0) {
        p->out = plan->net->ops[norm].out;
        p->residual = plan->net->ops[norm].residual;
        p->relu = plan->net->ops[norm].relu;
    }

    size_t scratch = plan->kernels->conv_scratch_bytes(&p->conv);
    plan->scratch_bytes = scratch > plan->scratch_bytes ? scratch : plan->scratch_bytes;
    p->packed_at = plan->weight_floats;
    p->bias_at = p->packed_at + round_up(plan->kernels->conv_packed_size(&p->conv));
    plan->weight_floats = p->bias_at + round_up((size_t)p->conv.out_channels);
}

static int fuse_op(struct plan *plan, int i, struct err *e)
{
    const struct net *net = plan->net;
    const struct op *op = &net->ops[i];
    switch (op->kind) {
    case OP_CONV:
        if (only_norm_after(net, op) < 0) add_conv(plan, i, -1);
        return 0;
    case OP_NORM: {
        int producer = net->values[op->in].producer;
        if (producer < 0 || net->ops[producer].kind != OP_CONV ||
            only_norm_after(net, &net->ops[producer]) != i)
            return err_set(e, ERR_UNSUPPORTED, "plan: a norm that no convolution can take in");
        add_conv(plan, producer, i);
        return 0;
    }
    case OP_MEAN:
        plan->ops[plan->n_ops++] = (struct plan_op){.kind = PLAN_MEAN,
                                                    .source = i,
                                                    .norm = -1,
                                                    .in = op->in,
                                                    .out = op->out,
                                                    .residual = -1};
        return 0;
    case OP_LINEAR:
        add_conv(plan, i, -1);
        return 0;
    }
    return 0;
}

/* The operations of a section's trunk (exit -1) or of a head. */
static int make_piece(struct plan *plan, struct plan_piece *piece, int section, int exit,
                      struct err *e)
{
    piece->first = plan->n_ops;
    for (int i = 0; i < plan->net->n_ops; i++) {
        const struct op *op = &plan->net->ops[i];
        if (op->section != section || op->exit != exit) continue;
        int rc = fuse_op(plan, i, e);
        if (rc < 0) return rc;
    }
    piece->n = plan->n_ops - piece->first;
    return 0;
}

/* --- weights ---------------------------------------------------------------------------------- */

/* y = gamma * (x + bias - mean) / sqrt(variance + epsilon) + beta, as a scale and a bias. */
static void fold(const struct plan *plan, const struct plan_op *p, const float *params,
                 float *scale, float *ret_bias)
{
    const struct param *list = plan->net->params;
    const struct op *source = &plan->net->ops[p->source];
    const struct op *norm = p->norm < 0 ? NULL : &plan->net->ops[p->norm];
    const float *bias = source->bias < 0 ? NULL : params + list[source->bias].offset;
    for (int o = 0; o < p->conv.out_channels; o++) {
        double own = bias ? (double)bias[o] : 0.0;
        if (!norm) {
            ret_bias[o] = (float)own;
            continue;
        }
        double variance = (double)params[list[norm->variance].offset + (size_t)o];
        double mean = (double)params[list[norm->mean].offset + (size_t)o];
        double gamma = (double)params[list[norm->weight].offset + (size_t)o];
        double beta = (double)params[list[norm->bias].offset + (size_t)o];
        double factor = gamma / sqrt(variance + (double)NET_NORM_EPSILON);
        scale[o] = (float)factor;
        ret_bias[o] = (float)(beta + (own - mean) * factor);
    }
}

static int make_weights(struct plan *plan, const float *params)
{
    int channels = 1;
    for (int i = 0; i < plan->n_ops; i++)
        channels =
            plan->ops[i].conv.out_channels > channels ? plan->ops[i].conv.out_channels : channels;
    float *scale = mem_new((size_t)channels, sizeof(*scale));
    plan->weights = mem_new_aligned(plan->weight_floats, sizeof(float));
    if (!scale || !plan->weights) {
        mem_free(scale);
        return -ENOMEM;
    }
    for (int i = 0; i < plan->n_ops; i++) {
        const struct plan_op *p = &plan->ops[i];
        if (p->kind != PLAN_CONV) continue;
        fold(plan, p, params, scale, plan->weights + p->bias_at);
        plan->kernels->conv_pack(
            &p->conv, params + plan->net->params[plan->net->ops[p->source].weight].offset,
            p->norm < 0 ? NULL : scale, plan->weights + p->packed_at);
    }
    mem_free(scale);
    return 0;
}

/* --- activations ------------------------------------------------------------------------------ */

static void use(struct place_item *item, int time)
{
    item->first = item->first < time ? item->first : time;
    item->last = item->last > time ? item->last : time;
}

/* Places the values of a piece, but for its input and output, by the operations that use them. */
static void place_piece(struct plan *plan, struct plan_piece *piece, struct place_item *items,
                        int *order)
{
    const struct net *net = plan->net;
    for (int i = 0; i < net->n_values; i++)
        items[i] = (struct place_item){.size = floats_of(net, i), .first = INT_MAX, .last = -1};
    for (int i = piece->first; i < piece->first + piece->n; i++) {
        const struct plan_op *p = &plan->ops[i];
        use(&items[p->in], i);
        use(&items[p->out], i);
        if (p->residual >= 0) use(&items[p->residual], i);
    }
    items[piece->in].size = items[piece->out].size = 0;
    piece->work = place_items(items, net->n_values, order);

    size_t block = BLOCK_BYTES / sizeof(float) / (piece->work > 0 ? piece->work : 1);
    piece->block = block < 1 ? 1 : block > BLOCK_MAX ? BLOCK_MAX : (int)block;
    for (int i = piece->first; i < piece->first + piece->n; i++)
        plan->offsets[plan->ops[i].out] = items[plan->ops[i].out].offset;
}

static int place_values(struct plan *plan)
{
    const struct net *net = plan->net;
    struct place_item *items = mem_new((size_t)net->n_values, sizeof(*items));
    int *order = mem_new((size_t)net->n_values, sizeof(*order));
    plan->offsets = mem_new((size_t)net->n_values, sizeof(*plan->offsets));
    int rc = -ENOMEM;
    if (items && order && plan->offsets) {
        rc = 0;
        for (int s = 0; s < net->spec.n_sections; s++) {
            size_t in = floats_of(net, net_section_in(net, s)),
                   out = floats_of(net, net->section_out[s]);
            plan->input_floats = in > plan->input_floats ? in : plan->input_floats;
            plan->border_floats = out > plan->border_floats ? out : plan->border_floats;
            place_piece(plan, &plan->sections[s], items, order);
            place_piece(plan, &plan->heads[s], items, order);
        }
    }
    mem_free(items);
    mem_free(order);
    return rc;
}

/* --- life ------------------------------------------------------------------------------------- */

struct plan *plan_new(const struct net *net, const float *params, const struct kernels *kernels,
                      struct err *e)
{
    int rc = -ENOMEM;
    struct plan *plan = mem_new(1, sizeof(*plan));
    if (!plan) goto out;
    plan->net = net;
    plan->kernels = kernels;
    plan->ops = mem_new((size_t)net->n_ops, sizeof(*plan->ops));
    if (!plan->ops) goto out;
    for (int s = 0; s < net->spec.n_sections; s++) {
        plan->sections[s].in = net_section_in(net, s);
        plan->sections[s].out = plan->heads[s].in = net->section_out[s];
        plan->heads[s].out = net->logits[s];
        rc = make_piece(plan, &plan->sections[s], s, -1, e);
        if (rc == 0) rc = make_piece(plan, &plan->heads[s], s, s, e);
        if (rc < 0) goto out;
    }
    rc = place_values(plan);
    if (rc == 0) rc = make_weights(plan, params);
out:
    if (rc == 0) return plan;
    if (rc == -ENOMEM) err_set(e, rc, "plan: out of memory");
    plan_free(plan);
    return NULL;
}

void plan_free(struct plan *plan)
{
    if (!plan) return;
    mem_free(plan->ops);
    mem_free(plan->offsets);
    mem_free(plan->weights);
    mem_free(plan);
}

const struct net *plan_net(const struct plan *plan)
{
    return plan->net;
}

size_t plan_weight_bytes(const struct plan *plan)
{
    return plan->weight_floats * sizeof(float);
}

/* --- for people ------------------------------------------------------------------------------- */

static int describe_piece(const struct plan *plan, const struct plan_piece *piece, const char *what,
                          int number, struct buf *out)
{
    int rc = buf_printf(out, "%s %d, %d images at a time, %zu bytes each\n", what, number,
                        piece->block, piece->work * sizeof(float));
    for (int i = piece->first; rc >= 0 && i < piece->first + piece->n; i++) {
        const struct plan_op *p = &plan->ops[i];
        const struct conv_geometry *g = &p->conv;
        struct shape x = plan->net->values[p->in].shape;
        if (p->kind == PLAN_MEAN)
            rc = buf_printf(out, "  mean %dx%dx%d\n", x.height, x.width, x.channels);
        else if (plan->net->ops[p->source].kind == OP_LINEAR)
            rc = buf_printf(out, "  linear %d -> %d\n", g->in_channels, g->out_channels);
        else
            rc = buf_printf(out, "  conv %dx%d/%d %dx%dx%d -> %dx%dx%d%s%s%s\n", g->kernel_height,
                            g->kernel_width, g->stride, x.height, x.width, x.channels,
                            conv_out_height(g), conv_out_width(g), g->out_channels,
                            p->norm >= 0 ? ", norm folded" : "",
                            p->residual >= 0 ? ", residual added" : "", p->relu ? ", relu" : "");
    }
    return rc < 0 ? rc : 0;
}

int plan_describe(const struct plan *plan, struct buf *out)
{
    int rc = buf_printf(out, "kernels %s, weights %zu bytes\n", cpu_isa_name(plan->kernels->isa),
                        plan_weight_bytes(plan));
    for (int s = 0; rc >= 0 && s < plan->net->spec.n_sections; s++) {
        rc = describe_piece(plan, &plan->sections[s], "section", s + 1, out);
        if (rc >= 0) rc = describe_piece(plan, &plan->heads[s], "exit", s + 1, out);
    }
    return rc < 0 ? rc : 0;
}
