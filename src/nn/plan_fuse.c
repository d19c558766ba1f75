/* Which operations of a net become one.
 *
 * An element-wise operation (a norm, a relu) that alone reads a result is taken in by what makes
 * that, where the operator can: it becomes scale, bias and epilogue, and both stand where it stood,
 * so that its residual is there. One without relu and residual may instead be taken in at the input
 * of its only reader. What is left runs by itself. Which operators can is in their rows (op.h). */
#include "config.h"

#include "op.h"
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

/* What an operation takes in behind it, or NULL. */
static const struct op *taken_behind(const struct net *net, const struct op *op)
{
    if (op->kind->fuse.takes_behind == NULL) return NULL;
    const struct op *next = only_reader(net, op->out);
    if (next == NULL || !next->kind->fuse.is_elementwise) return NULL;
    return op->kind->fuse.takes_behind(op, next) ? next : NULL;
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

/* The operation that takes this one in at its input, or NULL. */
static const struct op *taken_before(const struct net *net, const struct op *op)
{
    if (op->kind->fuse.factors == NULL || op->relu || op->residual >= 0 || is_taken_behind(net, op))
        return NULL;
    const struct op *next = only_reader(net, op->out);
    if (next == NULL || next->kind->fuse.takes_before == NULL) return NULL;
    return next->kind->fuse.takes_before(next) ? next : NULL;
}

static void add(struct plan *plan, const struct op *op, const struct op *behind)
{
    const struct net *net = plan->net;
    struct plan_op *p = &plan->ops[plan->n_ops++];
    *p = (struct plan_op){
        .op = op, .in = op->in, .out = op->out, .residual = op->residual, .relu = op->relu};
    const struct op *before = producer_of(net, op->in);
    if (before != NULL && taken_before(net, before) == op) {
        p->before = before;
        p->in = before->in;
    }
    if (behind == NULL) return;
    p->out = behind->out;
    p->relu = behind->relu;
    if (behind->kind->fuse.factors != NULL) {
        p->behind = behind;
        p->residual = behind->residual;
    }
}

static void fuse_op(struct plan *plan, const struct op *op)
{
    const struct net *net = plan->net;
    if (is_taken_behind(net, op))
        add(plan, producer_of(net, op->in), op);
    else if (taken_behind(net, op) == NULL && taken_before(net, op) == NULL)
        add(plan, op, NULL);
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
