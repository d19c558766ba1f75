/* The search for thresholds.
 *
 * The images of each exit are sorted by confidence once; a threshold is then a number of images
 * that leave, and a combination costs no more than a pass over those that are left. What a rule
 * costs is counted by the same functions as everywhere (early.h): a head that is tried is paid for
 * by all who pass it, also where a later exit's running ensemble is what asks for it. */
#include "config.h"

#include "train/tune.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

enum {
    COMBINATIONS_MAX = 30000,
    QUANTILES_MAX = 1000,
    FINE = 1000,
    ROUNDS = 8,
    STAYS = 0xff, /* an image that has not left */
};

struct candidate {
    double confidence;
    uint32_t image;
};

struct search {
    const struct tune_wish *wish;
    struct candidate *order; /* [n_exits][n], the surest first */
    uint8_t *left;           /* [n]: at which exit it has, by the choices so far */
    size_t n;
    int deepest, quantiles; /* of each exit */
    struct early_rule rule; /* the choices so far; */
    struct early_outcome outcome;
    size_t right; /* of those that have left */
    struct tune_result best, cheapest;
    bool found;
};

static int by_confidence(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->confidence != y->confidence) return x->confidence > y->confidence ? -1 : 1;
    return x->image < y->image ? -1 : x->image > y->image;
}

static bool is_sought(const struct search *s, int exit)
{
    return exit < s->deepest && (s->wish->exits >> exit & 1) != 0;
}

static const struct candidate *order_of(const struct search *s, int exit)
{
    return s->order + (size_t)exit * s->n;
}

static int search_init(struct search *s, const struct tune_wish *wish, struct err *e)
{
    const int exits = early_exits(wish->early);
    *s = (struct search){.wish = wish, .n = early_images(wish->early), .deepest = exits - 1};
    s->best.cost = s->cheapest.cost = INFINITY;
    s->rule = early_rule_confidence(1u << s->deepest, 0);
    s->order = mem_new((size_t)exits * s->n, sizeof(*s->order));
    s->left = mem_new(s->n, sizeof(*s->left));
    if (s->order == NULL || s->left == NULL)
        return err_set(e, -ENOMEM, "out of memory for the confidences of %zu images", s->n);
    for (int k = 0; k < exits; k++) {
        struct candidate *order = s->order + (size_t)k * s->n;
        if (!is_sought(s, k)) continue;
        for (size_t i = 0; i < s->n; i++)
            order[i] = (struct candidate){early_confidence(wish->early, i, k), (uint32_t)i};
        qsort(order, s->n, sizeof(*order), by_confidence);
    }
    return 0;
}

static void search_release(struct search *s)
{
    mem_free(s->order);
    mem_free(s->left);
}

static double cost_of(const struct tune_wish *w, const struct early_rule *rule,
                      const struct early_outcome *outcome)
{
    return early_mean_cost(w->costs, early_rule_heads(w->heads, rule), outcome);
}

/* Whether a is better than b, of two that are as is wished. */
static bool is_better(const struct tune_wish *w, const struct tune_result *a,
                      const struct tune_result *b)
{
    const double by_right = a->outcome.top1 - b->outcome.top1, by_cost = b->cost - a->cost;
    if (isinf(w->cost_max)) return by_cost != 0 ? by_cost > 0 : by_right > 0;
    return by_right != 0 ? by_right > 0 : by_cost > 0;
}

static void consider(struct search *s, const struct tune_result *r)
{
    const struct tune_wish *w = s->wish;
    if (r->cost < s->cheapest.cost) s->cheapest = *r;
    if (r->cost > w->cost_max || r->outcome.top1 * (double)s->n < w->right_min - 0.5) return;
    if (s->found && !is_better(w, r, &s->best)) return;
    s->best = *r;
    s->found = true;
}

/* All who are left get to the deepest. */
static void finish(struct search *s)
{
    struct tune_result r = {.rule = s->rule, .outcome = s->outcome};
    size_t right = s->right, n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->left[i] != STAYS) continue;
        right += early_right(s->wish->early, i, s->deepest);
        n++;
    }
    r.outcome.share[s->deepest] = (double)n / (double)s->n;
    r.outcome.top1 = (double)right / (double)s->n;
    r.cost = cost_of(s->wish, &r.rule, &r.outcome);
    consider(s, &r);
}

static void choose(struct search *s, int exit)
{
    while (exit < s->deepest && !is_sought(s, exit)) exit++;
    if (exit == s->deepest) {
        finish(s);
        return;
    }
    const struct candidate *order = order_of(s, exit);
    const size_t right_before = s->right;
    size_t here = 0, gone = 0, at = 0;
    for (size_t i = 0; i < s->n; i++) here += s->left[i] == STAYS;
    for (int q = 0; q <= s->quantiles; q++) {
        const size_t want = here * (size_t)q / (size_t)s->quantiles;
        /* Equal confidences leave together. */
        while (at < s->n &&
               (gone < want || (gone > 0 && order[at].confidence == s->rule.thresholds[exit]))) {
            const uint32_t image = order[at].image;
            if (s->left[image] == STAYS) {
                s->left[image] = (uint8_t)exit;
                s->right += early_right(s->wish->early, image, exit);
                s->rule.thresholds[exit] = order[at].confidence;
                gone++;
            }
            at++;
        }
        s->outcome.share[exit] = (double)gone / (double)s->n;
        choose(s, exit + 1);
        if (gone == here) break;
    }
    for (size_t i = 0; i < s->n; i++)
        if (s->left[i] == exit) s->left[i] = STAYS;
    s->right = right_before;
    s->outcome.share[exit] = 0;
    s->rule.thresholds[exit] = EARLY_NEVER;
}

/* Each threshold alone, the others as they are. */
static void refine(struct search *s)
{
    bool changed = true;
    for (int round = 0; round < ROUNDS && changed; round++) {
        changed = false;
        for (int k = 0; k < s->deepest; k++) {
            if (!is_sought(s, k)) continue;
            for (size_t q = 0; q <= FINE; q++) {
                struct tune_result r = s->best;
                const size_t at = s->n * q / FINE;
                r.rule.thresholds[k] = at == 0 ? EARLY_NEVER : order_of(s, k)[at - 1].confidence;
                r.outcome = early_judge(s->wish->early, &r.rule);
                r.cost = cost_of(s->wish, &r.rule, &r.outcome);
                const double before = s->best.rule.thresholds[k];
                consider(s, &r);
                changed |= s->best.rule.thresholds[k] != before;
            }
        }
    }
}

static int too_little(const struct search *s, struct tune_result *ret_result, struct err *e)
{
    *ret_result = s->cheapest;
    return err_set(e, ERR_RANGE, "no thresholds cost so little in the mean");
}

int tune_search(const struct tune_wish *wish, struct tune_result *ret_result, struct err *e)
{
    struct search s;
    int rc = search_init(&s, wish, e), sought = 0;
    if (rc == 0) {
        for (int k = 0; k < s.deepest; k++) sought += is_sought(&s, k);
        while (s.quantiles < QUANTILES_MAX && pow(s.quantiles + 2, sought) <= COMBINATIONS_MAX)
            s.quantiles++;
        for (size_t i = 0; i < s.n; i++) s.left[i] = STAYS;
        choose(&s, 0);
        if (s.found)
            refine(&s);
        else
            rc = too_little(&s, ret_result, e);
    }
    if (rc == 0) {
        *ret_result = s.best;
        ret_result->outcome = early_judge(wish->early, &s.best.rule);
    }
    search_release(&s);
    return rc;
}

/* Thresholds by which the exits answer shares in this ratio. */
static void judge_ratio(struct search *s, double ratio, struct tune_result *ret_result)
{
    double sum = 0, weight = 1;
    struct tune_result r = {.rule = early_rule_confidence(1u << s->deepest, 0)};
    for (int k = 0; k <= s->deepest; k++) {
        if (!is_sought(s, k) && k < s->deepest) continue;
        sum += weight;
        weight *= ratio;
    }
    for (size_t i = 0; i < s->n; i++) s->left[i] = STAYS;
    weight = 1;
    for (int k = 0; k < s->deepest; k++) {
        if (!is_sought(s, k)) continue;
        const size_t want = (size_t)llround(weight / sum * (double)s->n);
        size_t gone = 0;
        for (size_t at = 0; at < s->n && gone < want; at++) {
            const struct candidate *c = &order_of(s, k)[at];
            if (s->left[c->image] != STAYS) continue;
            s->left[c->image] = (uint8_t)k;
            r.rule.thresholds[k] = c->confidence;
            gone++;
        }
        weight *= ratio;
    }
    r.outcome = early_judge(s->wish->early, &r.rule);
    r.cost = cost_of(s->wish, &r.rule, &r.outcome);
    *ret_result = r;
}

int tune_budget_rule(const struct tune_wish *wish, struct tune_result *ret_result, struct err *e)
{
    struct search s;
    int rc = search_init(&s, wish, e);
    if (rc == 0) {
        double low = log(1e-4), high = log(1e4);
        struct tune_result r;
        judge_ratio(&s, exp(low), &s.cheapest);
        s.best = s.cheapest;
        for (int i = 0; i < 40; i++) {
            const double middle = (low + high) / 2;
            judge_ratio(&s, exp(middle), &r);
            if (r.cost <= wish->cost_max) {
                low = middle;
                s.best = r;
            } else {
                high = middle;
            }
        }
        if (s.best.cost <= wish->cost_max)
            *ret_result = s.best;
        else
            rc = too_little(&s, ret_result, e);
    }
    search_release(&s);
    return rc;
}
