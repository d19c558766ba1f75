/* How a version's convolutions are computed, before its executors are made: measured on this
 * machine, or known from the last time, and written down for the next. A worker does it, so the
 * processor is otherwise idle at start, and as busy as it will be later when a version is exchanged
 * while others are served. A cache file that is damaged, or cannot be read or written, is as good
 * as none: what it lacks is measured again. */
#include "config.h"

#include <errno.h>

#include "engine_impl.h"
#include "nn/choices.h"

/* What is not measured then goes by rule. Measured with a cold cache, ResNet18 at full width takes
 * about 2 s. */
static const double budget_s = 5;

int algorithms_choose(struct engine *engine, const struct model *model, struct plan **ret_plan,
                      struct err *e)
{
    const struct engine_options *o = &engine->options;
    struct plan_options options = {.precision = o->precision};
    bool kept = o->choices_path[0] != '\0';
    struct choices *choices = NULL;
    if (o->measure) {
        choices = choices_new(kernels_best());
        if (choices == NULL) return err_set(e, -ENOMEM, "out of memory for measured algorithms");
        bool damaged = kept && choices_load(choices, o->choices_path, NULL) < 0;
        int added = choices_measure(choices, model->plan, o->precision, o->batch_max, budget_s);
        if (kept && (added > 0 || damaged)) (void)choices_save(choices, o->choices_path, NULL);
        options.choices = choices;
    }
    struct err local = {0};
    struct plan *plan = plan_new_with(model->net, model->params, kernels_best(), &options, &local);
    choices_free(choices);
    if (plan == NULL) return err_set(e, local.code < 0 ? local.code : -ENOMEM, "%s", local.text);
    *ret_plan = plan;
    return 0;
}
