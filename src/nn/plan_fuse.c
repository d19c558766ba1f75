/* Which operations of a net become one.
 *
 * A convolution whose result one norm alone reads takes that norm in: the norm becomes its scale
 * and bias, the norm's residual and ReLU become its epilogue, and it stands where the norm stood,
 * so that the residual is there. One that is read by a ReLU alone takes that in. A norm without
 * ReLU that a pointwise convolution alone reads is taken in at that one's input. What is left of
 * the norms, those of pre-activation blocks above all, runs by itself. */
#include "config.h"

#include "plan_impl.h"

static bool is_exit_value(const struct net *net, int value)
{
    for (int s = 0; s < net->spec.n_sections; s++)
        if (net->section_out[s] == value || net->logits[s] == value) return true;
    return false;
}

static int reader_count(const struct net *net, int value)
{
    int n = 0;
    for (int i = 0; i < net->n_ops; i++)
        n += (net->ops[i].in == value) + (net->ops[i].residual == value);
    return n;
}

/* The only operation that reads a value, if it does so as its `in` and nobody outside of the piece
 * asks for the value; otherwise NULL. */
static const struct op *only_reader(const struct net *net, int value)
{
    if (is_exit_value(net, value) || reader_count(net, value) != 1) return NULL;
    for (int i = 0; i < net->n_ops; i++)
        if (net->ops[i].in == value) return &net->ops[i];
    return NULL;
}

/* The norm or ReLU that a convolution or linear layer takes in, or NULL. Transposed convolutions
 * have no epilogue: they take in only what weights and bias can hold. */
static const struct op *taken_behind(const struct net *net, const struct op *op)
{
    if (!op_is_conv(op) && op->kind != OP_LINEAR) return NULL;
    const struct op *next = only_reader(net, op->out);
    if (next == NULL || (next->kind != OP_NORM && next->kind != OP_RELU)) return NULL;
    if (op->kind == OP_CONV_TRANSPOSED)
        return next->kind == OP_NORM && next->residual < 0 && !next->relu ? next : NULL;
    if (next->kind == OP_RELU) return next;
    /* What is added before a norm is normed with the rest. */
    return op->kind == OP_CONV && op->residual < 0 ? next : NULL;
}

static const struct op *producer_of(const struct net *net, int value)
{
    int producer = net->values[value].producer;
    return producer < 0 ? NULL : &net->ops[producer];
}

static bool is_taken_behind(const struct net *net, const struct op *op)
{
    const struct op *producer = producer_of(net, op->in);
    return producer != NULL && taken_behind(net, producer) == op;
}

/* The convolution whose input takes a norm in, or NULL. At the border a pad would have to be what
 * the norm makes of 0, so there must be none. */
static const struct op *taken_before(const struct net *net, const struct op *op)
{
    if (op->kind != OP_NORM || op->relu || op->residual >= 0 || is_taken_behind(net, op))
        return NULL;
    const struct op *next = only_reader(net, op->out);
    if (next == NULL || next->kind != OP_CONV) return NULL;
    const struct conv_geometry *g = &next->conv;
    bool pointwise = g->pad == 0 && g->kernel_height == 1 && g->kernel_width == 1;
    return pointwise && conv_groups(g) == 1 ? next : NULL;
}

static int number_of(const struct net *net, const struct op *op)
{
    return op != NULL ? (int)(op - net->ops) : -1;
}

/* A linear layer as a convolution of a 1x1 map. */
static struct conv_geometry geometry_of(const struct net *net, const struct op *op)
{
    if (op->kind != OP_LINEAR) return op->conv;
    return (struct conv_geometry){.height = 1,
                                  .width = 1,
                                  .in_channels = net->values[op->in].shape.channels,
                                  .out_channels = net->values[op->out].shape.channels,
                                  .kernel_height = 1,
                                  .kernel_width = 1,
                                  .stride = 1,
                                  .pad = 0,
                                  .groups = 1};
}

static struct plan_op *append(struct plan *plan, enum plan_kind kind, const struct op *op)
{
    struct plan_op *p = &plan->ops[plan->n_ops++];
    *p = (struct plan_op){.kind = kind,
                          .source = number_of(plan->net, op),
                          .before = -1,
                          .norm = -1,
                          .in = op->in,
                          .out = op->out,
                          .residual = op->residual};
    return p;
}

static void add_conv(struct plan *plan, const struct op *op, const struct op *behind)
{
    const struct net *net = plan->net;
    bool transposed = op->kind == OP_CONV_TRANSPOSED;
    struct plan_op *p = append(plan, transposed ? PLAN_CONV_TRANSPOSED : PLAN_CONV, op);
    p->conv = geometry_of(net, op);
    const struct op *before = producer_of(net, op->in);
    if (before != NULL && taken_before(net, before) == op) {
        p->before = number_of(net, before);
        p->in = before->in;
    }
    if (behind != NULL) {
        p->out = behind->out;
        p->relu = behind->relu || behind->kind == OP_RELU;
        if (behind->kind == OP_NORM) {
            p->norm = number_of(net, behind);
            p->residual = behind->residual;
        }
    }
}

/* A norm or ReLU: as what it was taken into, or, where nothing could, by itself. */
static void add_element(struct plan *plan, const struct op *op)
{
    const struct net *net = plan->net;
    if (is_taken_behind(net, op)) {
        add_conv(plan, producer_of(net, op->in), op);
    } else if (op->kind == OP_RELU) {
        append(plan, PLAN_RELU, op);
    } else if (taken_before(net, op) == NULL) {
        struct plan_op *p = append(plan, PLAN_NORM, op);
        p->relu = op->relu;
    }
}

static void fuse_op(struct plan *plan, const struct op *op)
{
    const struct net *net = plan->net;
    switch (op->kind) {
    case OP_CONV:
    case OP_CONV_TRANSPOSED:
    case OP_LINEAR:
        if (taken_behind(net, op) == NULL) add_conv(plan, op, NULL);
        break;
    case OP_NORM:
    case OP_RELU:
        add_element(plan, op);
        break;
    case OP_MEAN:
        append(plan, PLAN_MEAN, op);
        break;
    case OP_MAX_POOL:
        append(plan, PLAN_MAX_POOL, op);
        break;
    case OP_SHORTCUT:
        append(plan, PLAN_SHORTCUT, op);
        break;
    case OP_UPSAMPLE:
        append(plan, PLAN_UPSAMPLE, op);
        break;
    case OP_GATE:
        append(plan, PLAN_GATE, op);
        break;
    }
}

void plan_fuse(struct plan *plan, struct plan_piece *piece, int section, int exit)
{
    const struct net *net = plan->net;
    piece->first = plan->n_ops;
    for (int i = 0; i < net->n_ops; i++) {
        const struct op *op = &net->ops[i];
        if (op->section != section || op->exit != exit) continue;
        /* What nobody reads is there for training: features beside hidden layers. */
        if (is_exit_value(net, op->out) || reader_count(net, op->out) > 0) fuse_op(plan, op);
    }
    piece->n = plan->n_ops - piece->first;
}
