/* Who answers under `auto`. */
#include "config.h"

#include "answers.h"

#include <errno.h>

unsigned answers_learned(const struct model *model)
{
    return ((1u << net_sections(model->net)) - 1) & ~model->training.untrained;
}

unsigned answers_heads(const struct model *model, int classifier)
{
    const int exits = net_sections(model->net);
    unsigned heads = 0;
    if (classifier == MODEL_ENSEMBLE) return answers_learned(model);
    if (classifier < exits) return 1u << classifier;
    const int last = classifier - MODEL_RUNNING(0);
    for (int i = 0; i <= last; i++) {
        if (model->calibration.running[last].weights[i] > 0) heads |= 1u << i;
    }
    return heads;
}

static bool has_learned(const struct model *model, int exit)
{
    return (model->training.untrained >> exit & 1) == 0;
}

int answers_best(const struct model *model)
{
    const struct calibration *c = &model->calibration;
    const int exits = net_sections(model->net);
    int best = exits - 1;
    double accuracy = -1;
    if (!c->present) return best;
    for (int i = 0; i < exits; i++) {
        if (has_learned(model, i) && c->exits[i].top1 > accuracy) {
            best = i;
            accuracy = c->exits[i].top1;
        }
        if (c->running[i].present && c->running[i].figures.top1 > accuracy) {
            best = MODEL_RUNNING(i);
            accuracy = c->running[i].figures.top1;
        }
    }
    return c->ensemble.top1 > accuracy ? MODEL_ENSEMBLE : best;
}

/* Puts a classifier into a place, blended first when it is a running ensemble. */
static int put(struct early *early, int place, const struct model *model, struct logits *logits,
               int classifier, struct err *e)
{
    int rc = 0;
    if (classifier >= MODEL_RUNNING(0)) {
        const int last = classifier - MODEL_RUNNING(0);
        rc = logits_blend(logits, model->calibration.running[last].weights, last, e);
    }
    if (rc == 0) early_put(early, place, logits, classifier, model_temperature(model, classifier));
    return rc;
}

struct early_heads answers_all_heads(const struct model *model, int rest)
{
    struct early_heads heads = {.rest = answers_heads(model, rest)};
    for (int i = 0; i < net_sections(model->net); i++)
        heads.tried[i] = 1u << i | answers_heads(model, model_answerer(&model->calibration, i));
    return heads;
}

unsigned answers_before(const struct model *model, int best)
{
    unsigned heads = answers_heads(model, best), below = 0;
    while (heads >> (below + 1) != 0) below++; /* the last of its sections */
    if (model_answerer(&model->calibration, below) != best) below++;
    return answers_learned(model) & ((1u << below) - 1);
}

struct early *answers_early(const struct model *model, struct logits *logits, struct err *e)
{
    const int exits = net_sections(model->net);
    struct early *early = early_new(logits->n, exits, e);
    if (early == NULL) return NULL;
    int rc = 0;
    for (int i = 0; i < exits && rc == 0; i++) {
        if (has_learned(model, i))
            rc = put(early, i, model, logits, model_answerer(&model->calibration, i), e);
    }
    if (rc == 0) rc = put(early, exits, model, logits, answers_best(model), e);
    if (rc == 0) return early;
    early_free(early);
    return NULL;
}
