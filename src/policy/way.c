/* Which classifier answers: the rules of doc/sla.md, as a plan that is made once at admission
 * (way_choose) and a decision at each border (way_after, way_before).
 *
 *   way_choose -> [way_before -> section -> way_needs_head -> head -> way_after]* -> STOP | EXPIRED
 *
 * The design decision: time enters only as one of four judgements, so that all rules can be tested
 * as a table. Left out: predictions (cost.c) and queues (sched.c). */
#include "config.h"

#include "policy/way.h"

static const double never = 2; /* a confidence that no softmax reaches */

static int deepest_of(unsigned computed)
{
    for (int s = POLICY_EXITS_MAX - 1; s >= 0; s--) {
        if ((computed & 1u << s) != 0) return s;
    }
    return -1;
}

static unsigned all_heads(int exits)
{
    return (1u << exits) - 1;
}

static void way_to_exit(struct way *way, int exit, enum sla_reason reason)
{
    way->goal = way->last = exit;
    way->reason = reason;
    way->heads = 1u << exit;
}

static void way_to(struct way *way, int classifier, enum sla_reason reason)
{
    if (classifier != CLASSIFIER_ENSEMBLE) {
        way_to_exit(way, classifier, reason);
        return;
    }
    way->goal = CLASSIFIER_ENSEMBLE;
    way->last = way->exits - 1;
    way->reason = reason;
    way->heads = all_heads(way->exits);
}

/* All classifiers, the one with the best held-out accuracy first; among equals the cheaper one. */
static void by_accuracy(const struct classifiers *c, int ret_classifiers[POLICY_EXITS_MAX + 1])
{
    double accuracy[POLICY_EXITS_MAX + 1];
    for (int i = 0; i <= c->exits; i++) {
        int classifier = i < c->exits ? i : CLASSIFIER_ENSEMBLE;
        double own = i == c->exits ? c->ensemble_accuracy : c->accuracy[i];
        /* Nothing known: depth decides, and the ensemble comes last. */
        if (!c->calibrated) own = i < c->exits ? i : -1;
        int at = i;
        for (; at > 0 && own > accuracy[at - 1]; at--) {
            accuracy[at] = accuracy[at - 1];
            ret_classifiers[at] = ret_classifiers[at - 1];
        }
        accuracy[at] = own;
        ret_classifiers[at] = classifier;
    }
}

static int best_classifier(const struct classifiers *c)
{
    int best[POLICY_EXITS_MAX + 1];
    by_accuracy(c, best);
    return best[0];
}

/* Rule 3. */
static void way_least(struct way *way, const struct sla *sla, const struct classifiers *c)
{
    int first = 0;
    if (sla->min_accuracy >= 0) {
        while (first < way->exits && c->accuracy[first] < sla->min_accuracy) first++;
    }
    bool ensemble_reaches = c->ensemble_accuracy >= sla->min_accuracy;
    if (sla->min_confidence >= 0) {
        way_to(way, CLASSIFIER_ENSEMBLE, SLA_EXHAUSTED);
        way->goal = best_classifier(c);
        for (int s = first; s < way->exits; s++) way->stop_at[s] = sla->min_confidence;
    } else if (first < way->exits) {
        way_to_exit(way, first, SLA_ACCURACY);
    } else if (ensemble_reaches) {
        way_to(way, CLASSIFIER_ENSEMBLE, SLA_ACCURACY);
    } else {
        way_to(way, best_classifier(c), SLA_EXHAUSTED);
    }
}

/* Rule 2, `auto` alone. A threshold that no confidence can reach needs no head. */
static void way_thresholds(struct way *way, const struct classifiers *c)
{
    way_to_exit(way, way->exits - 1, c->tuned ? SLA_CONFIDENCE : SLA_REQUESTED);
    if (!c->tuned) return;
    for (int s = 0; s < way->exits; s++) {
        way->stop_at[s] = c->thresholds[s];
        if (c->thresholds[s] <= 1) way->heads |= 1u << s;
    }
}

/* The n-th choice where the deadline chooses. */
static bool way_by_accuracy(struct way *way, const struct classifiers *c, int n)
{
    int best[POLICY_EXITS_MAX + 1];
    if (n > way->exits) return false;
    by_accuracy(c, best);
    way_to(way, best[n], SLA_BY_DEADLINE);
    way->free_choice = true;
    return true;
}

bool way_choose(const struct sla *sla, const struct classifiers *classifiers, int n,
                struct way *ret_way)
{
    const struct classifiers *c = classifiers;
    struct way way = {.exits = c->exits, .fail = sla->fail_on_miss};
    for (int s = 0; s < POLICY_EXITS_MAX; s++) way.stop_at[s] = never;
    if (sla->deadline_chooses) {
        if (!way_by_accuracy(&way, c, n)) return false;
        *ret_way = way;
        return true;
    }
    switch (sla->classifier) {
    case SLA_EXIT:
        way_to_exit(&way, sla->exit, SLA_REQUESTED);
        break;
    case SLA_DEEPEST:
        way_to_exit(&way, c->exits - 1, SLA_REQUESTED);
        break;
    case SLA_ENSEMBLE:
        way_to(&way, CLASSIFIER_ENSEMBLE, SLA_REQUESTED);
        break;
    case SLA_AUTO:
        if (sla->min_accuracy >= 0 || sla->min_confidence >= 0) {
            way_least(&way, sla, c);
        } else {
            way_thresholds(&way, c);
        }
        break;
    }
    if (n > 0) {
        /* Rule 4: an ensemble gives way to the deepest single exit; that takes less time, too, for
         * the other heads need not run. The same holds for all that runs every head. */
        bool cheaper_at_last = (way.heads & ~(1u << way.last)) != 0;
        int exit = way.last - n + (cheaper_at_last ? 1 : 0);
        if (exit < 0) return false;
        way_to_exit(&way, exit, SLA_BY_DEADLINE);
        /* Where a confidence decides, it may still stop at any exit up to the one that is in time.
         */
        for (int s = 0; s < POLICY_EXITS_MAX; s++) {
            if (s > exit) {
                way.stop_at[s] = never;
            } else if (way.stop_at[s] <= 1) {
                way.heads |= 1u << s;
            }
        }
    }
    *ret_way = way;
    return true;
}

bool way_needs_head(const struct way *way, int section, enum way_time time)
{
    /* Rule 7 looks at what is computed when the deadline passes: a head that begins later is none.
     */
    if (time == WAY_OVER) return false;
    if ((way->heads & 1u << section) != 0) return true;
    /* Short, or as an insurance against a delay: what was computed can be an answer still when the
     * deadline has passed. */
    return time != WAY_ENOUGH && (!way->fail || way->free_choice);
}

static enum way_step stop_with(int classifier, enum sla_reason reason,
                               struct way_answer *ret_answer)
{
    *ret_answer = (struct way_answer){classifier, reason};
    return WAY_STOP;
}

static bool goal_reached(const struct way *way, unsigned computed)
{
    if (way->goal != CLASSIFIER_ENSEMBLE) return (computed & 1u << way->goal) != 0;
    return (computed & all_heads(way->exits)) == all_heads(way->exits);
}

enum way_step way_after(const struct way *way, int section, unsigned computed, double confidence,
                        enum way_time time, struct way_answer *ret_answer)
{
    if (time == WAY_OVER && way->fail) return WAY_EXPIRED;
    bool head_ran = (computed & 1u << section) != 0;
    if (head_ran && confidence >= way->stop_at[section]) {
        return stop_with(section, SLA_CONFIDENCE, ret_answer);
    }
    if (section == way->last && goal_reached(way, computed)) {
        return stop_with(way->goal, way->reason, ret_answer);
    }
    if (section < way->last && (time == WAY_ENOUGH || time == WAY_TIGHT)) return WAY_CONTINUE;
    if ((way->fail && !way->free_choice) || computed == 0) return WAY_EXPIRED;
    return stop_with(deepest_of(computed), SLA_BY_DEADLINE, ret_answer);
}

enum way_step way_before(const struct way *way, unsigned computed, enum way_time time,
                         struct way_answer *ret_answer)
{
    bool may_stop = computed != 0 && (!way->fail || (way->free_choice && time != WAY_OVER));
    switch (time) {
    case WAY_ENOUGH:
    case WAY_TIGHT:
        return WAY_CONTINUE;
    case WAY_SHORT:
        if (may_stop) return stop_with(deepest_of(computed), SLA_BY_DEADLINE, ret_answer);
        return way->fail ? WAY_EXPIRED : WAY_CONTINUE;
    case WAY_OVER:
        if (may_stop) return stop_with(deepest_of(computed), SLA_BY_DEADLINE, ret_answer);
        return WAY_EXPIRED;
    }
    return WAY_EXPIRED;
}
