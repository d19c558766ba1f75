/* The one loss that covers all methods.
 *
 * They are the same sum with different weights: the deepest exit C learns from the labels and from
 * the source t if there is one; a shallow one from the labels, the deepest one's logits z and its
 * features F; dsn has the weights of byot with alpha = lambda = 0:
 *   baseline  CE(z_C)
 *   dsn       sum_i CE(z_i)                                              (arXiv 1409.5185)
 *   byot      CE(z_C) + sum_{i<C} (1-alpha) CE(z_i) + alpha T^2 KL_T(z_C || z_i) + lambda H(F_i,
 *             F_C)
 *   kd        (1-alpha) CE(z_C) + alpha T^2 KL_T(z_t || z_C)             (arXiv 1503.02531)
 *   fitnet    the same + lambda * mean of (r(M_C) - M_t)^2               (arXiv 1412.6550)
 *   at        the same + beta/2 * sum over sections of attention's       (arXiv 1612.03928)
 *   dml       CE(z_C) + alpha T^2 KL_T(z_t || z_C)                       (arXiv 1706.00384)
 * z_C and F_C in byot's last two terms, and everything of the source, are constants; T^2 only where
 * the recipe asks for it. The terms of maps M at the ends of sections are guide.c's, weighted by
 * objective_guide_weight(). */
#include "config.h"

#include "train/objective.h"

#include "nn/loss.h"
#include "recipe/option.h"

_Static_assert((int)HINT_MEAN == (int)LOSS_HINT_MEAN && (int)HINT_SUM == (int)LOSS_HINT_SUM &&
                   (int)HINT_NORM == (int)LOSS_HINT_NORM,
               "a recipe's form of the hint is the loss's");

unsigned objective_exits(const struct method *method, int n_exits)
{
    unsigned deepest = 1u << (n_exits - 1);
    return method->shallow ? deepest | (deepest - 1) : deepest;
}

unsigned objective_learned(const struct recipe *recipe, int n_exits)
{
    return objective_exits(recipe->method, n_exits);
}

int objective_check(const struct recipe *recipe, int n_exits, struct err *e)
{
    int shallow = n_exits - 1;
    char text[RECIPE_TEXT_MAX];
    if (!recipe->method->self_distillation || recipe->hint_exits >> shallow == 0) return 0;
    return err_set(e, ERR_RANGE,
                   "--hint-exits %s: the network has %d shallow classifier%s; all is every one",
                   recipe_option_format(recipe_option_find("hint-exits"), recipe, text), shallow,
                   shallow == 1 ? "" : "s");
}

double objective_guide_weight(const struct recipe *recipe)
{
    return recipe->method->guide == METHOD_ATTENTION ? recipe->beta / 2 : recipe->lambda;
}

/* The label cross entropy of an exit; mixed and smoothed labels are the same for all. */
static double learn_labels(const struct objective_batch *b, int exit, double weight)
{
    const struct loss_targets t = {b->labels, b->others, b->share, b->smoothing};
    return loss_soft_cross_entropy(b->n, b->classes, b->logits[exit], &t, weight, b->dlogits[exit]);
}

double objective_loss(const struct recipe *r, const struct objective_batch *b)
{
    const struct method *method = r->method;
    int deepest = b->n_exits - 1;
    double scale = r->kd_scale ? r->temperature * r->temperature : 1.0;
    double labels = method->source == METHOD_TEACHER ? 1.0 - r->alpha : 1.0, loss = 0.0;
    if (labels > 0.0) loss += learn_labels(b, deepest, labels);
    if (method->source != METHOD_LABELS && r->alpha > 0.0) {
        loss += loss_distill(b->n, b->classes, b->logits[deepest], b->source, r->temperature,
                             r->alpha * scale, b->dlogits[deepest]);
    }
    if (!method->shallow) return loss;

    double alpha = method->self_distillation ? r->alpha : 0.0;
    double lambda = method->self_distillation ? r->lambda : 0.0;
    for (int i = 0; i < deepest; i++) {
        if (alpha < 1.0) {
            loss += learn_labels(b, i, 1.0 - alpha);
        }
        if (alpha > 0.0) {
            loss += loss_distill(b->n, b->classes, b->logits[i], b->logits[deepest], r->temperature,
                                 alpha * scale, b->dlogits[i]);
        }
        if (lambda > 0.0 && (r->hint_exits == 0 || (r->hint_exits >> i & 1) != 0)) {
            loss += loss_hint_as((enum loss_hint_form)r->hint, b->n, b->features, b->feature[i],
                                 b->feature[deepest], lambda, b->dfeature[i]);
        }
    }
    return loss;
}
