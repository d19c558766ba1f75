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

static bool has_learned(const struct classifiers *c, int exit)
{
    return (c->untrained >> exit & 1) == 0;
}

static unsigned learned_heads(const struct classifiers *c)
{
    return ((1u << c->exits) - 1) & ~c->untrained;
}

unsigned way_heads(const struct classifiers *c, int classifier)
{
    if (classifier == CLASSIFIER_ENSEMBLE) return learned_heads(c);
    if (classifier >= CLASSIFIER_RUNNING(0)) return c->running[classifier - CLASSIFIER_RUNNING(0)];
    return has_learned(c, classifier) ? 1u << classifier : 0;
}

static double accuracy_of(const struct classifiers *c, int classifier)
{
    if (classifier == CLASSIFIER_ENSEMBLE) return c->ensemble_accuracy;
    if (classifier >= CLASSIFIER_RUNNING(0))
        return c->running_accuracy[classifier - CLASSIFIER_RUNNING(0)];
    return c->accuracy[classifier];
}

static void way_to(struct way *way, const struct classifiers *c, int classifier,
                   enum sla_reason reason)
{
    way->goal = classifier;
    way->goal_heads = way->heads = way_heads(c, classifier);
    way->last = deepest_of(way->heads);
    way->reason = reason;
}

/* Rule 13: nobody has named a classifier. */
static void choose_answerers(struct way *way, const struct classifiers *c)
{
    for (int s = 0; s < c->exits; s++) {
        if (c->running[s] == 0 || c->running_accuracy[s] <= c->accuracy[s]) continue;
        way->answerer[s] = CLASSIFIER_RUNNING(s);
        way->answerer_heads[s] = c->running[s];
    }
}

int way_answerer(const struct way *way, int section, unsigned computed)
{
    bool all = (computed & way->answerer_heads[section]) == way->answerer_heads[section];
    return all ? way->answerer[section] : section;
}

/* Where a confidence may stop the way at an exit, what answers there needs its heads. */
static void stop_at(struct way *way, int section, double confidence)
{
    way->stop_at[section] = confidence;
    if (confidence <= 1) way->heads |= 1u << section | way->answerer_heads[section];
}

enum { CANDIDATES_MAX = 2 * POLICY_EXITS_MAX + 1 };

/* All classifiers, the one with the best held-out accuracy first; among equals the cheaper one.
 * Returns how many. */
static int by_accuracy(const struct classifiers *c, int ret_classifiers[CANDIDATES_MAX])
{
    int n = 0, by_cost[CANDIDATES_MAX], candidates = 0;
    for (int s = 0; s < c->exits; s++) {
        if (has_learned(c, s)) by_cost[candidates++] = s;
        if (c->running[s] != 0) by_cost[candidates++] = CLASSIFIER_RUNNING(s);
    }
    by_cost[candidates++] = CLASSIFIER_ENSEMBLE;
    double accuracy[CANDIDATES_MAX];
    for (; n < candidates; n++) {
        double own = accuracy_of(c, by_cost[n]);
        /* Nothing known: depth decides, and the ensemble comes last. */
        if (!c->calibrated) own = by_cost[n];
        int at = n;
        for (; at > 0 && own > accuracy[at - 1]; at--) {
            accuracy[at] = accuracy[at - 1];
            ret_classifiers[at] = ret_classifiers[at - 1];
        }
        accuracy[at] = own;
        ret_classifiers[at] = by_cost[n];
    }
    return n;
}

static int best_classifier(const struct classifiers *c)
{
    int best[CANDIDATES_MAX];
    by_accuracy(c, best);
    return best[0];
}

/* Rule 12, from the exit `first` on: the best classifier in the end, those before it where they are
 * sure enough. A higher confidence than the level's is proven as well (train/risk.h). */
static void way_by_loss(struct way *way, const struct sla *sla, const struct classifiers *c,
                        int first)
{
    const int best = best_classifier(c);
    const bool surely = sla->min_confidence >= 0;
    const bool reaches = accuracy_of(c, best) >= sla->min_accuracy;
    const int level = sla_level(sla, c);
    double confidence = level >= 0 ? c->level_confidence[level] : never;
    if (sla->min_confidence > confidence) confidence = sla->min_confidence;
    way_to(way, c, best, surely || !reaches ? SLA_EXHAUSTED : SLA_ACCURACY);
    for (int s = first; s <= way->last; s++) {
        if (!has_learned(c, s)) continue;
        /* The best one loses nothing against itself, so that only its confidence counts. */
        if (way->answerer[s] != best)
            stop_at(way, s, confidence);
        else if (surely)
            stop_at(way, s, sla->min_confidence);
    }
}

/* Rule 3. */
static void way_by_least(struct way *way, const struct sla *sla, const struct classifiers *c)
{
    int first = 0;
    while (first < way->exits &&
           (!has_learned(c, first) ||
            (sla->min_accuracy >= 0 && accuracy_of(c, way->answerer[first]) < sla->min_accuracy)))
        first++;
    if (sla->has_max_loss) {
        way_by_loss(way, sla, c, first);
        return;
    }
    bool ensemble_reaches = c->ensemble_accuracy >= sla->min_accuracy;
    if (sla->min_confidence >= 0) {
        int best = best_classifier(c);
        way_to(way, c, CLASSIFIER_ENSEMBLE, SLA_EXHAUSTED);
        way->goal = best;
        way->goal_heads = way_heads(c, best);
        for (int s = first; s < way->exits; s++)
            if (has_learned(c, s)) stop_at(way, s, sla->min_confidence);
    } else if (first < way->exits) {
        way_to(way, c, way->answerer[first], SLA_ACCURACY);
    } else if (ensemble_reaches) {
        way_to(way, c, CLASSIFIER_ENSEMBLE, SLA_ACCURACY);
    } else {
        way_to(way, c, best_classifier(c), SLA_EXHAUSTED);
    }
}

/* Rule 2, `auto` alone. A threshold that no confidence can reach needs no head. */
static void way_thresholds(struct way *way, const struct classifiers *c)
{
    way_to(way, c, way->answerer[way->exits - 1], c->tuned ? SLA_CONFIDENCE : SLA_REQUESTED);
    if (!c->tuned) return;
    for (int s = 0; s < way->exits; s++)
        if (has_learned(c, s)) stop_at(way, s, c->thresholds[s]);
}

/* The n-th choice where the deadline chooses. */
static bool way_by_accuracy(struct way *way, const struct classifiers *c, int n)
{
    int best[CANDIDATES_MAX];
    if (n >= by_accuracy(c, best)) return false;
    way_to(way, c, best[n], SLA_BY_DEADLINE);
    way->free_choice = true;
    return true;
}

/* The n-th choice after the first: what answers at the n-th exit below it. false: there is none. */
static bool way_below(struct way *way, const struct classifiers *c, int n)
{
    /* Rule 4: an ensemble gives way to the deepest single exit; that takes less time, too, for the
     * other heads need not run. The same holds for all that runs every head. */
    bool cheaper_at_last = (way->heads & ~(1u << way->last)) != 0;
    int exit = cheaper_at_last ? way->last : way->last - 1;
    for (; exit >= 0; exit--) {
        if (has_learned(c, exit) && --n == 0) break;
    }
    if (exit < 0) return false;
    way_to(way, c, way->answerer[exit], SLA_BY_DEADLINE);
    /* Where a confidence decides, it may still stop at any exit up to the one that is in time. */
    for (int s = 0; s < POLICY_EXITS_MAX; s++) stop_at(way, s, s > exit ? never : way->stop_at[s]);
    return true;
}

bool way_choose(const struct sla *sla, const struct classifiers *classifiers, int n,
                struct way *ret_way)
{
    const struct classifiers *c = classifiers;
    struct way way = {.exits = c->exits, .learned = learned_heads(c), .fail = sla->fail_on_miss};
    for (int s = 0; s < POLICY_EXITS_MAX; s++) {
        way.stop_at[s] = never;
        way.answerer[s] = s;
    }
    if (sla->classifier == SLA_AUTO) choose_answerers(&way, c);
    if (sla->deadline_chooses) {
        if (!way_by_accuracy(&way, c, n)) return false;
        *ret_way = way;
        return true;
    }
    switch (sla->classifier) {
    case SLA_EXIT:
        way_to(&way, c, sla->exit, SLA_REQUESTED);
        break;
    case SLA_DEEPEST:
        way_to(&way, c, c->exits - 1, SLA_REQUESTED);
        break;
    case SLA_ENSEMBLE:
        way_to(&way, c, CLASSIFIER_ENSEMBLE, SLA_REQUESTED);
        break;
    case SLA_RUNNING:
        way_to(&way, c, CLASSIFIER_RUNNING(sla->exit), SLA_REQUESTED);
        break;
    case SLA_AUTO:
        if (sla->min_accuracy >= 0 || sla->min_confidence >= 0 || sla->has_max_loss) {
            way_by_least(&way, sla, c);
        } else {
            way_thresholds(&way, c);
        }
        break;
    }
    if (n > 0 && !way_below(&way, c, n)) return false;
    *ret_way = way;
    return true;
}

static bool may_stop_early(const struct way *way)
{
    return !way->fail || way->free_choice;
}

int way_least(const struct way *way)
{
    int exit = 0;
    if (!may_stop_early(way)) return way->last;
    while (exit < way->last && (way->learned >> exit & 1) == 0) exit++;
    return exit;
}

bool way_must_run(const struct way *way, int exit)
{
    if ((way->heads >> exit & 1) == 0) return false;
    return exit == way->last || way->stop_at[exit] <= 1 || !may_stop_early(way);
}

bool way_needs_head(const struct way *way, int section, enum way_time time, bool roomy)
{
    /* Rule 7 looks at what is computed when the deadline passes: a head that begins later is none.
     */
    if (time == WAY_OVER) return false;
    if ((way->heads & 1u << section) != 0 && (roomy || way_must_run(way, section))) return true;
    if ((way->learned & 1u << section) == 0 || !may_stop_early(way)) return false;
    /* The answer, or an insurance against a delay: what was computed can be an answer still when
     * the deadline has passed. */
    return time == WAY_CROWDED || time == WAY_SHORT || (time == WAY_TIGHT && roomy);
}

static enum way_step stop_with(int classifier, enum sla_reason reason,
                               struct way_answer *ret_answer)
{
    *ret_answer = (struct way_answer){classifier, reason};
    return WAY_STOP;
}

/* With the deepest of the heads that have run, or what answers at its border. */
static enum way_step stop_with_deepest(const struct way *way, unsigned computed,
                                       enum sla_reason reason, struct way_answer *ret_answer)
{
    int classifier = way_answerer(way, deepest_of(computed), computed);
    return stop_with(classifier, reason, ret_answer);
}

enum way_step way_after(const struct way *way, int section, unsigned computed, double confidence,
                        enum way_time time, struct way_answer *ret_answer)
{
    if (time == WAY_OVER && way->fail) return WAY_EXPIRED;
    bool head_ran = (computed & 1u << section) != 0;
    if (head_ran && confidence >= way->stop_at[section]) {
        return stop_with(way_answerer(way, section, computed), SLA_CONFIDENCE, ret_answer);
    }
    if (section == way->last && (computed & way->goal_heads) == way->goal_heads) {
        return stop_with(way->goal, way->reason, ret_answer);
    }
    bool is_time = time == WAY_ENOUGH || time == WAY_TIGHT;
    bool crowded = time == WAY_CROWDED && head_ran && may_stop_early(way);
    if (section < way->last && (is_time || (time == WAY_CROWDED && !crowded))) return WAY_CONTINUE;
    if (!may_stop_early(way)) return WAY_EXPIRED;
    /* At the end without a head of the ensemble, others had the time for that. */
    bool for_others = crowded || (is_time && section == way->last);
    if (computed != 0)
        return stop_with_deepest(way, computed, for_others ? SLA_OVERLOAD : SLA_BY_DEADLINE,
                                 ret_answer);
    /* Behind an exit that has not learned there is nothing to give yet. */
    return time == WAY_SHORT && section < way->last ? WAY_CONTINUE : WAY_EXPIRED;
}

enum way_step way_before(const struct way *way, unsigned computed, enum way_time time,
                         struct way_answer *ret_answer)
{
    bool may_stop = computed != 0 && (!way->fail || (way->free_choice && time != WAY_OVER));
    switch (time) {
    case WAY_ENOUGH:
    case WAY_TIGHT:
    case WAY_CROWDED:
        return WAY_CONTINUE;
    case WAY_SHORT:
        if (may_stop) return stop_with_deepest(way, computed, SLA_BY_DEADLINE, ret_answer);
        return way->fail ? WAY_EXPIRED : WAY_CONTINUE;
    case WAY_OVER:
        if (may_stop) return stop_with_deepest(way, computed, SLA_BY_DEADLINE, ret_answer);
        return WAY_EXPIRED;
    }
    return WAY_EXPIRED;
}
