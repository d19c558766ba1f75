/* The one loss that covers all methods.
 *
 * They are the same sum with different weights: the deepest exit C learns from the labels and from
 * the source t if there is one; a shallow one from the labels, the deepest one's logits z and its
 * features F; dsn has the weights of byot with alpha = lambda = 0:
 *   baseline  CE(z_C)
 *   dsn       sum_i CE(z_i)                                              (arXiv 1409.5185)
 *   byot      CE(z_C) + sum_{i<C} (1-alpha) CE(z_i) + alpha T^2 KL_T(z_C || z_i) + lambda H(F_i,
 *             F_C); of the ensemble z_E = mean_i z_i: sum_i (1-alpha) CE(z_i) + alpha T^2 KL_T(z_E
 *             || z_i), i = C included, and the same hints                (arXiv 2104.00299)
 *   kd        (1-alpha) CE(z_C) + alpha T^2 KL_T(z_t || z_C)             (arXiv 1503.02531)
 *   fitnet    the same + lambda * mean of (r(M_C) - M_t)^2               (arXiv 1412.6550)
 *   at        the same + beta/2 * sum over sections of attention's       (arXiv 1612.03928)
 *   dml       CE(z_C) + alpha T^2 KL_T(z_t || z_C)                       (arXiv 1706.00384)
 * Each exit's part of dsn and byot may have a weight. z_C, z_E and F_C in byot's last two terms,
 * and everything of the source, are constants; T^2 only where the recipe asks for it. The terms of
 * maps M at the ends of sections are guide.c's, weighted by objective_guide_weight(). */
#include "config.h"

#include "train/objective.h"

#include <stddef.h>

#include "nn/loss.h"
#include "recipe/option.h"

_Static_assert((int)HINT_MEAN == (int)LOSS_HINT_MEAN && (int)HINT_SUM == (int)LOSS_HINT_SUM &&
                   (int)HINT_NORM == (int)LOSS_HINT_NORM,
               "a recipe's form of the hint is the loss's");

const char *const objective_terms[OBJECTIVE_TERMS] = {
    [TERM_LABELS] = "labels", [TERM_ANSWERS] = "answers", [TERM_HINT] = "hint"};

unsigned objective_exits(const struct method *method, int n_exits)
{
    unsigned deepest = 1u << (n_exits - 1);
    return method->shallow ? deepest | (deepest - 1) : deepest;
}

unsigned objective_moving(const struct recipe *recipe, int n_exits)
{
    const unsigned exits = objective_exits(recipe->method, n_exits);
    return recipe_is_frozen(recipe) ? exits & ~(1u << (n_exits - 1)) : exits;
}

unsigned objective_learned(const struct recipe *recipe, int n_exits)
{
    unsigned learned = objective_exits(recipe->method, n_exits);
    for (int i = 0; i + 1 < n_exits; i++)
        if (exit_weight(&recipe->exit_weights, i) == 0) learned &= ~(1u << i);
    return learned;
}

bool objective_has_ensemble(const struct recipe *recipe)
{
    return recipe->method->self_distillation && recipe->distill_from == DISTILL_FROM_ENSEMBLE;
}

static int check_hints(const struct recipe *recipe, int n_exits, struct err *e)
{
    int shallow = n_exits - 1;
    char text[RECIPE_TEXT_MAX];
    if (!recipe->method->self_distillation || recipe->hint_exits >> shallow == 0) return 0;
    return err_set(e, ERR_RANGE,
                   "--hint-exits %s: the network has %d shallow classifier%s; all is every one",
                   recipe_option_format(recipe_option_find("hint-exits"), recipe, text), shallow,
                   shallow == 1 ? "" : "s");
}

int objective_check(const struct recipe *recipe, int n_exits, struct err *e)
{
    const struct exit_balance *w = &recipe->exit_weights;
    if (recipe_is_frozen(recipe) && n_exits == 1)
        return err_set(e, ERR_RANGE, "nothing learns: the network has no shallow classifier");
    char text[BALANCE_TEXT_MAX];
    int rc = check_hints(recipe, n_exits, e);
    if (rc < 0 || !recipe->method->shallow || w->n == 0 || w->n == n_exits) return rc;
    exit_balance_format(w, text);
    return err_set(e, ERR_RANGE,
                   "--exit-weights %s: %d weights, but the network has %d classifiers", text, w->n,
                   n_exits);
}

double objective_guide_weight(const struct recipe *recipe)
{
    return recipe->method->guide == METHOD_ATTENTION ? recipe->beta / 2 : recipe->lambda;
}

/* Notes a term of an exit; returns it. */
static double note(const struct objective_batch *b, enum objective_term term, int exit,
                   double value)
{
    if (b->sums != NULL) b->sums->loss[term][exit] += value;
    return value;
}

static int best_class(const float *logits, int classes)
{
    int best = 0;
    for (int k = 1; k < classes; k++) {
        if (logits[k] > logits[best]) best = k;
    }
    return best;
}

/* Of every exit that learns: how often it is right about what most of the image shows. */
static void count_right(const struct objective_batch *b)
{
    const int32_t *labels =
        b->targets.others != NULL && b->targets.share < 0.5 ? b->targets.others : b->targets.labels;
    b->sums->batches++;
    b->sums->images += b->n;
    for (int i = 0; i < b->n_exits; i++) {
        for (int k = 0; b->logits[i] != NULL && k < b->n; k++) {
            const float *logits = b->logits[i] + (ptrdiff_t)k * b->classes;
            b->sums->right[i] += best_class(logits, b->classes) == labels[k];
        }
    }
}

/* The label cross entropy of an exit; mixed and smoothed labels are the same for all. */
static double learn_labels(const struct objective_batch *b, int exit, double weight)
{
    if (weight == 0.0) return 0.0;
    return note(b, TERM_LABELS, exit,
                loss_soft_cross_entropy(b->n, b->classes, b->logits[exit], &b->targets, weight,
                                        b->dlogits[exit]));
}

/* What an exit learns of the answers of another one, which is a constant. */
static double learn_answers(const struct recipe *r, const struct objective_batch *b, int exit,
                            const float *teacher, double weight)
{
    const double scale = r->kd_scale ? r->temperature * r->temperature : 1.0;
    if (weight == 0.0) return 0.0;
    return note(b, TERM_ANSWERS, exit,
                loss_distill(b->n, b->classes, b->logits[exit], teacher, r->temperature,
                             weight * scale, b->dlogits[exit]));
}

static double learn_features(const struct recipe *r, const struct objective_batch *b, int exit,
                             double weight)
{
    const bool wanted = r->hint_exits == 0 || (r->hint_exits >> exit & 1) != 0;
    if (weight == 0.0 || !wanted) return 0.0;
    if (r->hint == HINT_SUM && r->ranks > 1) weight *= (double)r->ranks; /* of which is the mean */
    return note(b, TERM_HINT, exit,
                loss_hint_as((enum loss_hint_form)r->hint, b->n, b->features, b->feature[exit],
                             b->feature[b->n_exits - 1], weight, b->dfeature[exit]));
}

/* The mean of the logits of all exits, in their order. */
static const float *ensemble(const struct objective_batch *b)
{
    const size_t count = (size_t)b->n * (size_t)b->classes;
    for (size_t j = 0; j < count; j++) {
        float sum = 0.0f;
        for (int i = 0; i < b->n_exits; i++) sum += b->logits[i][j];
        b->ensemble[j] = sum / (float)b->n_exits;
    }
    return b->ensemble;
}

/* The deepest exit, from the labels and from whom the method has: the source, or the ensemble. */
static double learn_deepest(const struct recipe *r, const struct objective_batch *b,
                            const float *teacher, double weight)
{
    const int deepest = b->n_exits - 1;
    const bool besides = r->method->source == METHOD_PEER; /* the labels keep their weight */
    if (teacher == NULL) return learn_labels(b, deepest, weight);
    return learn_labels(b, deepest, weight * (besides ? 1.0 : 1.0 - r->alpha)) +
           learn_answers(r, b, deepest, teacher, weight * r->alpha);
}

double objective_loss(const struct recipe *r, const struct objective_batch *b)
{
    if (b->sums != NULL) count_right(b);
    const struct method *method = r->method;
    const int deepest = b->n_exits - 1;
    if (!method->shallow)
        return learn_deepest(r, b, method->source != METHOD_LABELS ? b->source : NULL, 1.0);

    const bool distills = method->self_distillation;
    const float *mean = objective_has_ensemble(r) ? ensemble(b) : NULL;
    const float *teacher = mean != NULL ? mean : b->logits[deepest];
    double loss = learn_deepest(r, b, mean, exit_weight(&r->exit_weights, deepest));
    for (int i = 0; i < deepest; i++) {
        const double weight = exit_weight(&r->exit_weights, i);
        const double alpha = distills ? r->alpha : 0.0, lambda = distills ? r->lambda : 0.0;
        loss += learn_labels(b, i, weight * (1.0 - alpha));
        loss += learn_answers(r, b, i, teacher, weight * alpha);
        loss += learn_features(r, b, i, weight * lambda);
    }
    return loss;
}
