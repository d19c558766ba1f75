/* The table of methods and the one loss that covers them.
 *
 * All methods are the same sum with different weights: the deepest exit learns from the labels and
 * from the source if there is one; a shallow one from the labels (1 - alpha), the deepest one's
 * logits (alpha) and its features (lambda); dsn is alpha = lambda = 0. What is compared at the ends
 * of sections is guide.c's. */
#include "config.h"

#include "train/method.h"

#include <stdio.h>
#include <string.h>

#include "nn/loss.h"

static const struct method methods[] = {
    {.name = "baseline",
     .summary = "the deepest classifier alone; the other heads stay untrained",
     .defaults = {.temperature = 1}},
    {.name = "dsn",
     .summary = "all classifiers learn from the labels (deeply supervised nets)",
     .shallow = true,
     .defaults = {.temperature = 1}},
    {.name = "byot",
     .summary = "self distillation: the shallow ones learn from the deepest one too",
     .shallow = true,
     .self_distillation = true,
     .defaults = {.temperature = 3, .alpha = 0.3, .lambda = 0.03, .kd_scale = true}},
    {.name = "kd",
     .summary = "the deepest classifier learns from a teacher's answers",
     .source = METHOD_TEACHER,
     .defaults = {.temperature = 4, .alpha = 0.9, .kd_scale = true}},
    /* Both at once. The weight of 100 that is usual in codes whose regressor ends in a norm
     * diverges without one at a rate of 0.1 (doc/methods.md). */
    {.name = "fitnet",
     .summary = "kd, and a hint: the map in its middle follows the teacher's",
     .source = METHOD_TEACHER,
     .guide = METHOD_HINT,
     .defaults = {.temperature = 4, .alpha = 0.9, .lambda = 10, .kd_scale = true}},
    {.name = "at",
     .summary = "attention transfer: sections look where the teacher's do",
     .source = METHOD_TEACHER,
     .guide = METHOD_ATTENTION,
     .defaults = {.temperature = 4, .alpha = 0, .kd_scale = true, .beta = 1000}},
    {.name = "dml",
     .summary = "two networks learn from each other's answers (deep mutual learning)",
     .source = METHOD_PEER,
     .defaults = {.temperature = 1, .alpha = 1, .kd_scale = true}},
};

enum { N_METHODS = sizeof(methods) / sizeof(methods[0]) };

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

static bool distils_itself(const struct method *method)
{
    return method->self_distillation;
}

static bool has_teacher(const struct method *method)
{
    return method->source == METHOD_TEACHER;
}

static bool has_peer(const struct method *method)
{
    return method->source == METHOD_PEER;
}

/* Which property of a row an option is read for. */
static const struct {
    const char *option;
    bool (*is_read)(const struct method *method);
} readers[] = {
    {"temperature", method_distils}, {"alpha", method_distils},
    {"kd-scale", method_distils},    {"lambda", method_hints},
    {"beta", method_attends},        {"hint", distils_itself},
    {"hint-exits", distils_itself},  {"preset", distils_itself},
    {"teacher", has_teacher},        {"peer", has_peer},
    {"peer-width", has_peer},        {"peer-out", has_peer},
};

bool method_reads(const struct method *method, const char *option)
{
    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
        if (strcmp(readers[i].option, option) == 0) return readers[i].is_read(method);
    }
    return true;
}

/* Those that read the option, all of them for NULL. */
static void list_names(const char *option, const char *last, char *ret_text, size_t size)
{
    const struct method *chosen[N_METHODS];
    size_t used = 0, n_chosen = 0;
    for (size_t i = 0; i < N_METHODS; i++) {
        if (option == NULL || method_reads(&methods[i], option)) chosen[n_chosen++] = &methods[i];
    }
    ret_text[0] = '\0';
    for (size_t i = 0; i < n_chosen && used < size; i++) {
        const char *before = i == 0 ? "" : i + 1 < n_chosen ? ", " : last;
        int n = snprintf(ret_text + used, size - used, "%s%s", before, chosen[i]->name);
        used += n > 0 ? (size_t)n : 0;
    }
}

void method_names(char *ret_text, size_t size)
{
    list_names(NULL, " or ", ret_text, size);
}

void method_readers(const char *option, char *ret_text, size_t size)
{
    list_names(option, " and ", ret_text, size);
}

unsigned method_exits(const struct method *method, int n_exits)
{
    unsigned deepest = 1u << (n_exits - 1);
    return method->shallow ? deepest | (deepest - 1) : deepest;
}

bool method_distils(const struct method *method)
{
    return method->self_distillation || method->source != METHOD_LABELS;
}

bool method_hints(const struct method *method)
{
    return method->self_distillation || method->guide == METHOD_HINT;
}

bool method_attends(const struct method *method)
{
    return method->guide == METHOD_ATTENTION;
}

/* The label cross entropy of an exit; mixed and smoothed labels are the same for all. */
static double learn_labels(const struct method_batch *b, int exit, double weight)
{
    const struct loss_targets t = {b->labels, b->others, b->share, b->smoothing};
    return loss_soft_cross_entropy(b->n, b->classes, b->logits[exit], &t, weight, b->dlogits[exit]);
}

double method_loss(const struct method *method, const struct distillation *d,
                   const struct method_batch *b)
{
    int deepest = b->n_exits - 1;
    double scale = d->kd_scale ? d->temperature * d->temperature : 1.0;
    double labels = method->source == METHOD_TEACHER ? 1.0 - d->alpha : 1.0, loss = 0.0;
    if (labels > 0.0) loss += learn_labels(b, deepest, labels);
    if (method->source != METHOD_LABELS && d->alpha > 0.0) {
        loss += loss_distill(b->n, b->classes, b->logits[deepest], b->source, d->temperature,
                             d->alpha * scale, b->dlogits[deepest]);
    }
    if (!method->shallow) return loss;

    double alpha = method->self_distillation ? d->alpha : 0.0;
    double lambda = method->self_distillation ? d->lambda : 0.0;
    for (int i = 0; i < deepest; i++) {
        if (alpha < 1.0) {
            loss += learn_labels(b, i, 1.0 - alpha);
        }
        if (alpha > 0.0) {
            loss += loss_distill(b->n, b->classes, b->logits[i], b->logits[deepest], d->temperature,
                                 alpha * scale, b->dlogits[i]);
        }
        if (lambda > 0.0 && (d->hint_exits == 0 || (d->hint_exits >> i & 1) != 0)) {
            loss += loss_hint_as(d->hint, b->n, b->features, b->feature[i], b->feature[deepest],
                                 lambda, b->dfeature[i]);
        }
    }
    return loss;
}
