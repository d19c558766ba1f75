/* How each operation of a plan is computed, and the room that this takes. A convolution may be
 * computed by one algorithm for few images and by another for many (nn/choice.h); its weights are
 * packed once for each way of packing that these need. */
#include "config.h"

#include "nn/choices.h"
#include "plan_impl.h"

static void take_floats(struct plan *plan, size_t floats, size_t *ret_at)
{
    *ret_at = plan->weight_floats;
    plan->weight_floats += plan_round_up(floats);
}

static void take_scratch(struct plan *plan, size_t bytes)
{
    plan->scratch_bytes = bytes > plan->scratch_bytes ? bytes : plan->scratch_bytes;
}

bool plan_packs(const struct plan *plan, const struct plan_op *op, enum conv_algorithm a)
{
    for (int i = 0; i < CHOICE_SIZES; i++)
        if (plan->kernels->conv[op->choice.of[i]].forward.packing == a) return true;
    return false;
}

static void choose_conv(struct plan *plan, struct plan_op *p, int images)
{
    const struct kernels *k = plan->kernels;
    const struct plan_options *o = &plan->options;
    p->choice = o->forced ? choice_forced(k, &p->conv, o->algorithm)
                          : choice_by_rule(k, &p->conv, o->precision);
    for (int i = 0; i < CHOICE_SIZES && o->choices != NULL && !o->forced; i++) {
        enum conv_algorithm a;
        if (choices_find(o->choices, &p->conv, o->precision, i, &a)) p->choice.of[i] = a;
    }
    /* More images than a block has never come. */
    int last = choice_index(images);
    for (int i = last + 1; i < CHOICE_SIZES; i++) p->choice.of[i] = p->choice.of[last];
    for (int i = 0; i <= last; i++)
        take_scratch(plan, k->conv[p->choice.of[i]].forward.scratch_bytes(&p->conv));
    for (int a = 0; a < CONV_ALGORITHMS; a++) {
        if (plan_packs(plan, p, (enum conv_algorithm)a))
            take_floats(plan, k->conv[a].forward.packed_size(&p->conv), &p->packed_at[a]);
    }
}

static void choose_op(struct plan *plan, struct plan_op *p, int images)
{
    size_t channels = (size_t)plan->net->values[p->out].shape.channels;
    size_t *direct_at = &p->packed_at[CONV_DIRECT];
    switch (p->kind) {
    case PLAN_CONV:
        choose_conv(plan, p, images);
        break;
    case PLAN_CONV_TRANSPOSED:
        take_scratch(plan, plan->kernels->conv[CONV_DIRECT].backward_data.scratch_bytes(&p->conv));
        take_floats(plan, plan->kernels->conv[CONV_DIRECT].backward_data.packed_size(&p->conv),
                    direct_at);
        break;
    case PLAN_NORM:
        take_floats(plan, channels, direct_at);
        break;
    default:
        return;
    }
    take_floats(plan, channels, &p->bias_at);
}

void plan_choose(struct plan *plan, const struct plan_piece *piece)
{
    for (int i = piece->first; i < piece->first + piece->n; i++)
        choose_op(plan, &plan->ops[i], piece->block);
}
