/* Makes a plan: has the net's operations fused (plan_fuse.c), places inner values, has the
 * operators choose how they are computed and their weights made (plan_weights.c). What a plan does
 * not do: own activations (exec.c). */
#include "config.h"

#include "nn/plan.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>

#include "base/mem.h"
#include "op.h"
#include "place.h"
#include "plan_impl.h"

enum {
    FLOATS_PER_LINE = MEM_ALIGN / sizeof(float),
    BLOCK_BYTES = 1024 * 1024,       /* of inner values; a second-level cache */
    STAYING_BYTES = 5 * 1024 * 1024, /* of weights; of a third-level one, a core's part */
    BLOCK_MAX = 64,                  /* images */
};

static size_t round_up(size_t n)
{
    return (n + FLOATS_PER_LINE - 1) / FLOATS_PER_LINE * FLOATS_PER_LINE;
}

static size_t floats_of(const struct net *net, int value)
{
    return round_up(shape_size(net->values[value].shape));
}

size_t plan_take_floats(struct plan *plan, size_t floats)
{
    size_t at = plan->weight_floats;
    plan->weight_floats += round_up(floats);
    return at;
}

void plan_take_scratch(struct plan *plan, size_t bytes)
{
    plan->scratch_bytes = bytes > plan->scratch_bytes ? bytes : plan->scratch_bytes;
}

/* --- activations ------------------------------------------------------------------------------ */

static void use(struct place_item *item, int time)
{
    item->first = item->first < time ? item->first : time;
    item->last = item->last > time ? item->last : time;
}

static size_t piece_weights(const struct plan *plan, const struct plan_piece *piece)
{
    size_t floats = 0;
    for (int i = piece->first; i < piece->first + piece->n; i++) {
        const struct op *op = plan->ops[i].op;
        if (op->kind->infer.chooses) floats += plan->net->params[op->weight].size;
    }
    return floats;
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

    /* A block's values are to stay in the second-level cache. But weights that do not stay in the
     * third-level one are read from memory for each block; then it has as many values as weights.
     */
    size_t weights = piece_weights(plan, piece);
    size_t floats = weights > STAYING_BYTES / sizeof(float) ? weights : BLOCK_BYTES / sizeof(float);
    size_t block = floats / (piece->work > 0 ? piece->work : 1);
    piece->block = block < 1 ? 1 : block > BLOCK_MAX ? BLOCK_MAX : (int)block;
    for (int i = piece->first; i < piece->first + piece->n; i++)
        plan->offsets[plan->ops[i].out] = items[plan->ops[i].out].offset;
}

/* How the operations of a piece are computed, whose block is known. */
static void choose_piece(struct plan *plan, const struct plan_piece *piece)
{
    for (int i = piece->first; i < piece->first + piece->n; i++) {
        struct plan_op *p = &plan->ops[i];
        if (p->op->kind->infer.choose != NULL) p->op->kind->infer.choose(plan, p, piece->block);
    }
}

static int place_values(struct plan *plan)
{
    const struct net *net = plan->net;
    struct place_item *items = mem_new((size_t)net->n_values, sizeof(*items));
    int *order = mem_new((size_t)net->n_values, sizeof(*order));
    plan->offsets = mem_new((size_t)net->n_values, sizeof(*plan->offsets));
    int rc = -ENOMEM;
    if (items != NULL && order != NULL && plan->offsets != NULL) {
        rc = 0;
        for (int s = 0; s < net->spec.n_sections; s++) {
            size_t in = floats_of(net, net_section_in(net, s)),
                   out = floats_of(net, net->section_out[s]);
            plan->input_floats = in > plan->input_floats ? in : plan->input_floats;
            plan->border_floats = out > plan->border_floats ? out : plan->border_floats;
            place_piece(plan, &plan->sections[s], items, order);
            place_piece(plan, &plan->heads[s], items, order);
            choose_piece(plan, &plan->sections[s]);
            choose_piece(plan, &plan->heads[s]);
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
    return plan_new_with(net, params, kernels, &(struct plan_options){0}, e);
}

struct plan *plan_new_with(const struct net *net, const float *params,
                           const struct kernels *kernels, const struct plan_options *options,
                           struct err *e)
{
    int rc = -ENOMEM;
    struct plan *plan = mem_new(1, sizeof(*plan));
    if (plan == NULL) goto out;
    plan->net = net;
    plan->kernels = kernels;
    plan->options = *options;
    plan->ops = mem_new((size_t)net->n_ops, sizeof(*plan->ops));
    if (plan->ops == NULL) goto out;
    for (int s = 0; s < net->spec.n_sections; s++) {
        plan->sections[s].in = net_section_in(net, s);
        plan->sections[s].out = plan->heads[s].in = net->section_out[s];
        plan->heads[s].out = net->logits[s];
        plan_fuse(plan, &plan->sections[s], s, -1);
        plan_fuse(plan, &plan->heads[s], s, s);
    }
    rc = place_values(plan);
    if (rc == 0 && params != NULL) rc = plan_make_weights(plan, params);
    plan->options.choices = NULL;
out:
    if (rc == 0) return plan;
    if (rc == -ENOMEM) err_set(e, rc, "plan: out of memory");
    plan_free(plan);
    return NULL;
}

void plan_free(struct plan *plan)
{
    if (plan == NULL) return;
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
        rc = buf_printf(out, "  ");
        if (rc >= 0) rc = p->op->kind->infer.describe(plan->net, p, out);
        if (rc >= 0) rc = buf_printf(out, "\n");
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
