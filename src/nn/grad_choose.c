/* Which algorithm computes each convolution of a training, by direction: one that is known for the
 * images of a block, else the rule's. Left out: measuring (choices_training.c). */
#include "config.h"

#include "grad_impl.h"

/* A direction of an operation that is computed at all, and how many images at a time; 0: it is
 * not. The gradient of the images is nobody's. */
static int images_of(const struct grad *grad, int number, enum conv_direction d)
{
    const struct op *op = &grad->net->ops[number];
    if (!op->kind->train.chooses || !op_is_needed(op, grad->exits)) return 0;
    enum op_phase phase = op->kind->train.phase_of[d];
    if (phase == PHASE_BACKWARD && d != CONV_BACKWARD_WEIGHT && op->in == 0) return 0;
    for (int i = 0; i < grad->n_tasks; i++) {
        const struct task *t = &grad->tasks[i];
        if (t->op == number && t->phase == phase) return grad->rounds[t->round].block;
    }
    return 0;
}

static enum conv_algorithm choose(const struct grad *grad, const struct choices *choices,
                                  const struct conv_geometry *g, enum conv_direction d, int images)
{
    enum conv_algorithm a;
    if (choices != NULL &&
        choices_find(choices, choice_use_of(d), g, grad->precision, choice_index(images), &a))
        return a;
    return choice_training(grad->kernels, d, g, grad->precision);
}

void grad_choose(struct grad *grad, const struct choices *choices)
{
    for (int i = 0; i < grad->net->n_ops; i++) {
        for (int d = 0; d < CONV_DIRECTIONS; d++) {
            enum conv_direction direction = (enum conv_direction)d;
            int images = images_of(grad, i, direction);
            grad->states[i].algorithms[d] =
                images > 0 ? choose(grad, choices, &grad->net->ops[i].conv, direction, images)
                           : CONV_DIRECT;
        }
    }
}

int grad_choices(const struct grad *grad, struct choices *choices)
{
    int rc = 0;
    for (int i = 0; i < grad->net->n_ops; i++) {
        for (int d = 0; d < CONV_DIRECTIONS && rc == 0; d++) {
            int images = images_of(grad, i, (enum conv_direction)d);
            if (images == 0) continue;
            rc =
                choices_put(choices, choice_use_of((enum conv_direction)d), &grad->net->ops[i].conv,
                            grad->precision, choice_index(images), grad->states[i].algorithms[d]);
        }
    }
    return rc;
}
