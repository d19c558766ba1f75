/* How a tool computes: --precision and --algorithm, and plans made as they say. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "nn/choices.h"
#include "tool.h"

static const double measure_budget_s = 20;

static int parse_precision(struct tool_plan *p, struct err *e)
{
    const struct kernels *k = kernels_best();
    bool has_bf16 = k->conv[CONV_BF16].forward.takes != NULL;
    if (strcmp(p->precision, "auto") == 0) p->precision = has_bf16 ? "bf16" : "fp32";
    if (strcmp(p->precision, "fp32") == 0) return 0;
    if (strcmp(p->precision, "bf16") != 0) {
        return err_set(e, ERR_USAGE, "--precision %s: it takes fp32, bf16 or auto", p->precision);
    }
    if (!has_bf16) {
        return err_set(e, ERR_UNSUPPORTED,
                       "--precision bf16: the kernels in use, %s, do not have it; use fp32 or auto",
                       cpu_isa_name(k->isa));
    }
    p->options.precision = PRECISION_BF16;
    return 0;
}

int tool_plan_parse(struct tool_plan *p, struct err *e)
{
    int rc = parse_precision(p, e);
    if (rc < 0 || strcmp(p->algorithm, "rule") == 0) return rc;
    if (strcmp(p->algorithm, "measured") == 0) {
        p->measured = true;
        return 0;
    }
    for (int a = 0; a < CONV_ALGORITHMS; a++) {
        if (strcmp(p->algorithm, conv_algorithm_name((enum conv_algorithm)a)) != 0) continue;
        p->options.forced = true;
        p->options.algorithm = (enum conv_algorithm)a;
        return 0;
    }
    return err_set(e, ERR_USAGE,
                   "--algorithm %s: it takes rule, measured, direct, winograd, winograd-lean, "
                   "winograd-small or bf16",
                   p->algorithm);
}

/* Known choices and those that are still missing. */
static struct choices *measure(const struct plan *plan, enum precision precision, int batch_max)
{
    struct tool_choices kept;
    struct choices *choices = tool_choices_open(&kept, NULL);
    int added = choices != NULL
                    ? choices_measure(choices, plan, precision, batch_max, measure_budget_s)
                    : -ENOMEM;
    tool_choices_close(&kept);
    if (added >= 0) return choices;
    choices_free(choices);
    return NULL;
}

struct plan *tool_plan_new(const struct net *net, const float *params, const struct tool_plan *p,
                           int batch_max, struct err *e)
{
    struct plan_options options = p->options;
    struct plan *plan = plan_new_with(net, params, kernels_best(), &options, e);
    if (plan == NULL || !p->measured) return plan;
    struct choices *choices = measure(plan, options.precision, batch_max);
    plan_free(plan);
    if (choices == NULL) {
        err_set(e, -ENOMEM, "out of memory for measuring algorithms");
        return NULL;
    }
    options.choices = choices;
    plan = plan_new_with(net, params, kernels_best(), &options, e);
    choices_free(choices);
    return plan;
}
