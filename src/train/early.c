/* Answers by confidence, judged from known logits.
 *
 * The confidence of every exit in every image is computed once; a rule is then one comparison an
 * image and exit. Costs are counted as they arise in the daemon: a head that was tried and did not
 * stop is paid for, too. */
#include "config.h"

#include "train/early.h"

#include <errno.h>
#include <math.h>

#include "base/mem.h"

struct early {
    size_t n;
    int n_exits;
    double *confidence; /* [n][n_exits] */
    bool *right;        /* [n][n_exits + 1], the last the ensemble's */
};

/* The probability of the best class. */
static double confidence_of(const float *z, int classes, int best, double temperature)
{
    double sum = 0;
    for (int k = 0; k < classes; k++) sum += exp(((double)z[k] - (double)z[best]) / temperature);
    return 1.0 / sum;
}

struct early *early_new(size_t n, int n_exits, struct err *e)
{
    const size_t exits = (size_t)n_exits;
    struct early *a = mem_new(1, sizeof(*a));
    if (a != NULL) {
        *a = (struct early){.n = n, .n_exits = n_exits};
        a->confidence = mem_new(n, exits * sizeof(*a->confidence));
        a->right = mem_new(n, (exits + 1) * sizeof(*a->right));
    }
    if (a != NULL && a->confidence != NULL && a->right != NULL) return a;
    early_free(a);
    err_set(e, -ENOMEM, "out of memory for the confidences of %zu images", n);
    return NULL;
}

void early_put(struct early *early, int place, const struct logits *logits, int classifier,
               double temperature)
{
    const size_t exits = (size_t)early->n_exits, at = (size_t)place;
    const float *z = logits_of(logits, classifier);
    for (size_t i = 0; i < early->n; i++, z += logits->classes) {
        int best = logits_best(z, logits->classes, NULL);
        early->right[i * (exits + 1) + at] = best == logits->labels[i];
        if (at < exits)
            early->confidence[i * exits + at] =
                confidence_of(z, logits->classes, best, temperature);
    }
}

void early_free(struct early *early)
{
    if (early == NULL) return;
    mem_free(early->confidence);
    mem_free(early->right);
    mem_free(early);
}

struct early_rule early_rule_confidence(unsigned exits, double confidence)
{
    struct early_rule rule;
    for (int i = 0; i < SPEC_SECTIONS_MAX; i++)
        rule.thresholds[i] = (exits >> i & 1) != 0 ? confidence : EARLY_NEVER;
    return rule;
}

struct early_outcome early_judge(const struct early *early, const struct early_rule *rule)
{
    const size_t exits = (size_t)early->n_exits;
    size_t answers[SPEC_SECTIONS_MAX + 1] = {0}, right = 0;
    struct early_outcome out = {0};
    if (early->n == 0) return out;
    for (size_t i = 0; i < early->n; i++) {
        size_t at = 0;
        while (at < exits && early->confidence[i * exits + at] < rule->thresholds[at]) at++;
        answers[at]++;
        const bool is_right = early->right[i * (exits + 1) + at];
        const bool rest_right = early->right[i * (exits + 1) + exits];
        right += is_right;
        out.lost += rest_right && !is_right;
        out.won += is_right && !rest_right;
    }
    out.top1 = (double)right / (double)early->n;
    for (size_t k = 0; k < exits; k++) out.share[k] = (double)answers[k] / (double)early->n;
    out.rest = (double)answers[exits] / (double)early->n;
    return out;
}

size_t early_images(const struct early *early)
{
    return early->n;
}

int early_exits(const struct early *early)
{
    return early->n_exits;
}

double early_confidence(const struct early *early, size_t image, int exit)
{
    return early->confidence[image * (size_t)early->n_exits + (size_t)exit];
}

bool early_right(const struct early *early, size_t image, int place)
{
    return early->right[image * ((size_t)early->n_exits + 1) + (size_t)place];
}

unsigned early_rule_heads(const struct early_heads *heads, const struct early_rule *rule)
{
    unsigned mask = heads->rest;
    for (int i = 0; i < SPEC_SECTIONS_MAX; i++) {
        if (rule->thresholds[i] <= 1) mask |= heads->tried[i];
    }
    return mask;
}

double early_cost(const struct early_costs *costs, unsigned heads, int exit)
{
    double sum = 0;
    for (int i = 0; i < costs->n_exits && i <= exit; i++) {
        sum += costs->sections[i];
        if ((heads >> i & 1) != 0) sum += costs->heads[i];
    }
    return sum;
}

double early_mean_cost(const struct early_costs *costs, unsigned heads,
                       const struct early_outcome *outcome)
{
    double mean = 0;
    for (int i = 0; i < costs->n_exits; i++)
        mean += outcome->share[i] * early_cost(costs, heads, i);
    return mean + outcome->rest * early_cost(costs, heads, costs->n_exits);
}
