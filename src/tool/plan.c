/* How a tool computes: --precision and --algorithm, and plans made as they say. What was measured
 * is kept in $XDG_CACHE_HOME/autodidact, or ~/.cache/autodidact; without either, and where nothing
 * can be written, it is measured every time. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

/* Where the measured choices are kept; false when nowhere. */
static bool cache_path(char *path, size_t size)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = 0;
    if (cache != NULL && cache[0] == '/')
        n = snprintf(path, size, "%s/autodidact/choices-%s", cache,
                     cpu_isa_name(kernels_best()->isa));
    else if (home != NULL && home[0] == '/')
        n = snprintf(path, size, "%s/.cache/autodidact/choices-%s", home,
                     cpu_isa_name(kernels_best()->isa));
    return n > 0 && (size_t)n < size;
}

/* Known choices and those that are still missing. A cache that cannot be read or written is none.
 */
static struct choices *measure(const struct plan *plan, enum precision precision, int batch_max)
{
    char path[4096];
    bool kept = cache_path(path, sizeof(path));
    struct choices *choices = choices_new(kernels_best());
    if (choices == NULL) return NULL;
    if (kept) (void)choices_load(choices, path, NULL);
    int added = choices_measure(choices, plan, precision, batch_max, measure_budget_s);
    if (added > 0 && kept) (void)choices_save(choices, path, NULL);
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
