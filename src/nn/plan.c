/* Makes a plan: has the net's operations fused (plan_fuse.c) and the batch norms folded into
 * weights (plan_weights.c), algorithms chosen (plan_choose.c), and places inner values. What a plan
 * does not do: own activations (exec.c). */
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
    BLOCK_BYTES = 1024 * 1024,       /* of inner values; a second-level cache */
    STAYING_BYTES = 5 * 1024 * 1024, /* of weights; of a third-level one, a core's part */
    BLOCK_MAX = 64,                  /* images */
};

size_t plan_round_up(size_t n)
{
    return (n + FLOATS_PER_LINE - 1) / FLOATS_PER_LINE * FLOATS_PER_LINE;
}

static size_t floats_of(const struct net *net, int value)
{
    return plan_round_up(shape_size(net->values[value].shape));
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
        const struct plan_op *p = &plan->ops[i];
        if (p->kind == PLAN_CONV) floats += conv_weight_size(&p->conv);
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
            plan_choose(plan, &plan->sections[s]);
            plan_choose(plan, &plan->heads[s]);
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

/* "; winograd" or, where it depends on the number of images at a time, "; direct to 4,
 * winograd-lean". */
static int describe_choice(const struct plan_op *p, struct buf *out)
{
    const enum conv_algorithm *of = p->choice.of;
    int rc = buf_printf(out, ";");
    for (int i = 0; i < CHOICE_SIZES - 1 && rc >= 0; i++) {
        if (of[i] == of[i + 1]) continue;
        rc = buf_printf(out, " %s to %d,", conv_algorithm_name(of[i]), choice_images(i));
    }
    return rc < 0 ? rc : buf_printf(out, " %s", conv_algorithm_name(of[CHOICE_SIZES - 1]));
}

static int describe_conv(const struct plan *plan, const struct plan_op *p, struct buf *out)
{
    const struct net *net = plan->net;
    const struct conv_geometry *g = &p->conv;
    struct shape x = net->values[p->in].shape, y = net->values[p->out].shape;
    int rc;
    if (net->ops[p->source].kind == OP_LINEAR)
        rc = buf_printf(out, "linear %d -> %d", g->in_channels, g->out_channels);
    else
        rc = buf_printf(out, "conv %dx%d/%d%s %dx%dx%d -> %dx%dx%d", g->kernel_height,
                        g->kernel_width, g->stride,
                        p->kind == PLAN_CONV_TRANSPOSED ? " transposed" : "", x.height, x.width,
                        x.channels, y.height, y.width, y.channels);
    if (rc >= 0 && conv_groups(g) > 1) rc = buf_printf(out, ", %d groups", g->groups);
    if (rc >= 0)
        rc = buf_printf(out, "%s%s%s%s", p->before >= 0 ? ", norm before it folded" : "",
                        p->norm >= 0 ? ", norm folded" : "",
                        p->residual >= 0 ? ", residual added" : "", p->relu ? ", relu" : "");
    if (rc >= 0 && p->kind == PLAN_CONV) rc = describe_choice(p, out);
    return rc < 0 ? rc : buf_printf(out, "\n");
}

static int describe_op(const struct plan *plan, const struct plan_op *p, struct buf *out)
{
    static const char *const names[] = {
        [PLAN_NORM] = "norm",         [PLAN_MEAN] = "mean",         [PLAN_RELU] = "relu",
        [PLAN_MAX_POOL] = "max pool", [PLAN_SHORTCUT] = "shortcut", [PLAN_UPSAMPLE] = "upsample",
        [PLAN_GATE] = "sigmoid gate"};
    struct shape x = plan->net->values[p->in].shape, y = plan->net->values[p->out].shape;
    if (buf_printf(out, "  ") < 0) return ERR_LIMIT;
    if (p->kind == PLAN_CONV || p->kind == PLAN_CONV_TRANSPOSED) return describe_conv(plan, p, out);
    int rc = buf_printf(out, "%s %dx%dx%d", names[p->kind], x.height, x.width, x.channels);
    if (rc >= 0 && shape_size(x) != shape_size(y) && p->kind != PLAN_MEAN)
        rc = buf_printf(out, " -> %dx%dx%d", y.height, y.width, y.channels);
    return rc < 0 ? rc : buf_printf(out, "%s\n", p->relu ? ", relu" : "");
}

static int describe_piece(const struct plan *plan, const struct plan_piece *piece, const char *what,
                          int number, struct buf *out)
{
    int rc = buf_printf(out, "%s %d, %d images at a time, %zu bytes each\n", what, number,
                        piece->block, piece->work * sizeof(float));
    for (int i = piece->first; rc >= 0 && i < piece->first + piece->n; i++)
        rc = describe_op(plan, &plan->ops[i], out);
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
