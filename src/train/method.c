/* The table of methods and the one loss that covers them.
 *
 * All present methods are the same sum with different weights: the deepest exit learns from the
 * labels alone, a shallow one from the labels (1 - alpha), the deepest one's logits (alpha) and its
 * features (lambda); dsn is alpha = lambda = 0. Methods with a teacher of their own become further
 * rows. */
#include "config.h"

#include "train/method.h"

#include <stdio.h>
#include <string.h>

#include "nn/loss.h"

static const struct method methods[] = {
    {"baseline", "the deepest classifier alone; the other heads stay untrained", false, false},
    {"dsn", "all classifiers learn from the labels (deeply supervised nets)", true, false},
    {"byot", "self distillation: the shallow ones learn from the deepest one too", true, true},
};

enum { N_METHODS = sizeof methods / sizeof methods[0] };

const struct method *method_at(size_t i)
{
    return i < N_METHODS ? &methods[i] : NULL;
}

const struct method *method_find(const char *name)
{
    for (size_t i = 0; i < N_METHODS; i++) {
        if (strcmp(methods[i].name, name) == 0) return &methods[i];
    }
    return NULL;
}

void method_names(char *ret_text, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < N_METHODS && used < size; i++) {
        const char *before = i == 0 ? "" : i + 1 < N_METHODS ? ", " : " or ";
        int n = snprintf(ret_text + used, size - used, "%s%s", before, methods[i].name);
        used += n > 0 ? (size_t)n : 0;
    }
}

unsigned method_exits(const struct method *method, int n_exits)
{
    unsigned deepest = 1u << (n_exits - 1);
    return method->shallow ? deepest | (deepest - 1) : deepest;
}

double method_loss(const struct method *method, const struct distillation *d,
                   const struct method_batch *b)
{
    int deepest = b->n_exits - 1;
    double loss = loss_cross_entropy(b->n, b->classes, b->logits[deepest], b->labels, 1.0,
                                     b->dlogits[deepest]);
    if (!method->shallow) return loss;

    double alpha = method->self_distillation ? d->alpha : 0.0;
    double lambda = method->self_distillation ? d->lambda : 0.0;
    double scale = d->kd_scale ? d->temperature * d->temperature : 1.0;
    for (int i = 0; i < deepest; i++) {
        if (alpha < 1.0) {
            loss += loss_cross_entropy(b->n, b->classes, b->logits[i], b->labels, 1.0 - alpha,
                                       b->dlogits[i]);
        }
        if (alpha > 0.0) {
            loss += loss_distill(b->n, b->classes, b->logits[i], b->logits[deepest], d->temperature,
                                 alpha * scale, b->dlogits[i]);
        }
        if (lambda > 0.0) {
            loss += loss_hint(b->n, b->features, b->feature[i], b->feature[deepest], lambda,
                              b->dfeature[i]);
        }
    }
    return loss;
}
