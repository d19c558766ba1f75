/* Which algorithm computes each convolution of a training, by direction: one that is known for the
 * images of a block, one that is measured now (choices_training.c), or the rule's. */
#include "config.h"

#include "base/clock.h"
#include "grad_impl.h"

/* How many images a lane takes at a time through a direction of an operation; 0: it is not
 * computed. The gradient of the images is nobody's. */
static int images_of(const struct grad *grad, int number, enum conv_direction d)
{
    const struct op *op = &grad->net->ops[number];
    if (!op->kind->train.chooses || !grad_needs(grad, op)) return 0;
    enum op_phase phase = op->kind->train.phase_of[d];
    if (phase == PHASE_BACKWARD && op->in == 0) return 0;
    for (int i = 0; i < grad->n_stretches; i++) {
        const struct stretch *s = &grad->stretches[i];
        for (const struct task *t = &grad->tasks[s->first]; t < &grad->tasks[s->first + s->n]; t++)
            if (t->op == number && t->phase == phase) return s->block;
    }
    return 0;
}

/* One that is known, after measuring where that is wanted; else the rule's. */
static int choose(struct grad *grad, const struct grad_options *o, int number,
                  enum conv_direction d, bool measure)
{
    int images = images_of(grad, number, d);
    enum conv_algorithm *ret = &grad->states[number].algorithms[d];
    *ret = CONV_DIRECT;
    if (images == 0) return 0;
    const struct choice_load load = {.direction = d,
                                     .g = &grad->net->ops[number].conv,
                                     .precision = grad->precision,
                                     .images = images,
                                     .passes = (grad_lane_images(grad) - 1) / images + 1};
    int rc = measure ? choices_measure_training(o->choices, &load, grad->pool) : 0;
    if (o->choices == NULL || !choices_find(o->choices, choice_use_of(d), load.g, grad->precision,
                                            choice_index(images), ret))
        *ret = choice_training(grad->kernels, d, load.g, grad->precision);
    return rc < 0 ? rc : 0;
}

int grad_choose(struct grad *grad, const struct grad_options *options)
{
    int64_t end = clock_now() + (int64_t)(options->measure_s * (double)CLOCK_SECOND);
    bool measured = options->choices != NULL && options->measure_s > 0;
    int rc = 0;
    for (int i = 0; i < grad->net->n_ops; i++) {
        for (int d = 0; d < CONV_DIRECTIONS && rc == 0; d++)
            rc = choose(grad, options, i, (enum conv_direction)d, measured && clock_now() < end);
    }
    return rc;
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
