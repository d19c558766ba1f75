/* The numbers that a plan multiplies with: each operator packs its own, with what was folded into
 * it, for the processor. */
#include "config.h"

#include <errno.h>

#include "base/mem.h"
#include "op.h"
#include "plan_impl.h"

static void work_release(struct plan_work *w)
{
    mem_free(w->scale);
    mem_free(w->shift);
    mem_free(w->scale_before);
    mem_free(w->shift_before);
    mem_free(w->factor);
    mem_free(w->copy);
}

static int work_init(struct plan_work *w, size_t channels)
{
    *w = (struct plan_work){.scale = mem_new(channels, sizeof(double)),
                            .shift = mem_new(channels, sizeof(double)),
                            .scale_before = mem_new(channels, sizeof(double)),
                            .shift_before = mem_new(channels, sizeof(double)),
                            .factor = mem_new(channels, sizeof(float))};
    if (w->scale != NULL && w->shift != NULL && w->scale_before != NULL &&
        w->shift_before != NULL && w->factor != NULL)
        return 0;
    work_release(w);
    return -ENOMEM;
}

float *plan_work_copy(struct plan_work *w, size_t floats)
{
    if (floats <= w->copy_floats) return w->copy;
    mem_free(w->copy);
    w->copy = mem_new(floats, sizeof(float));
    w->copy_floats = w->copy != NULL ? floats : 0;
    return w->copy;
}

int plan_make_weights(struct plan *plan, const float *params)
{
    const struct net *net = plan->net;
    size_t channels = 1;
    for (int i = 0; i < net->n_values; i++) {
        size_t c = (size_t)net->values[i].shape.channels;
        channels = c > channels ? c : channels;
    }

    struct plan_work w;
    if (work_init(&w, channels) < 0) return -ENOMEM;
    plan->weights = mem_new_aligned(plan->weight_floats, sizeof(float));
    int rc = plan->weights != NULL ? 0 : -ENOMEM;
    for (int i = 0; rc == 0 && i < plan->n_ops; i++) {
        const struct plan_op *p = &plan->ops[i];
        if (p->op->kind->infer.pack != NULL) rc = p->op->kind->infer.pack(plan, p, params, &w);
    }
    work_release(&w);
    return rc;
}
