/* Whether all who wait can be in time, and how deep: the heart of the policy (doc/scheduler.md).
 *
 * A step is that somebody goes on from one exit to the next. Each step has a rank: the exit it
 * starts from, less one for who is urgent (Priority below 3), plus one for who is not; what a step
 * costs gains less and less accuracy the deeper it is, so that steps are worth taking by rank. With
 * the machine's time going to steps in the order of rank, a step may be taken when everybody who
 * waits still fits with all steps of lower ranks. So each item is promised (policy/promises.h) at
 * these levels:
 *
 *   0        the least that it may be answered with
 *   1 + r    with all its steps of ranks below r, r from 0 to the number of exits
 *
 * the last of which is all it asked for, ensembles and all. */
#include "config.h"

#include "desk_impl.h"

/* Work longer than this counts as this, so that no sum overflows. */
static const double work_max_s = 1000;

enum { USUAL_BATCH = 8, USUAL_URGENCY = 3 };

static int64_t bounded_ns(double s)
{
    return ns_of(s < work_max_s ? s : work_max_s);
}

/* Larger batches save less than this part of the time. What a batch takes besides, to be made and
 * handed out, is little of this time. */
static const double gain_min = .1, batch_min_s = 5e-4;

static double each_s(const struct cost *cost, int section, int exit, int batch)
{
    double s = cost_head(cost, exit, batch);
    for (int k = section; k <= exit; k++) s += cost_section(cost, k, batch);
    return s / batch;
}

static int enough(const struct cost *cost, int section, int exit)
{
    int n = cost_sizes(cost), i = 0;
    double least = each_s(cost, section, exit, cost_size(cost, n - 1));
    for (int k = 0; k < n; k++) {
        double s = each_s(cost, section, exit, cost_size(cost, k));
        if (s < least) least = s;
    }
    while (i + 1 < n && (each_s(cost, section, exit, cost_size(cost, i)) * (1 - gain_min) > least ||
                         cost_section(cost, section, cost_size(cost, i)) < batch_min_s))
        i++;
    return cost_size(cost, i);
}

void desk_version_init(struct desk_version *version, const struct classifiers *classifiers)
{
    *version = (struct desk_version){.classifiers = *classifiers, .share = 1};
    const struct cost *cost = classifiers->cost;
    double slow_down = cost_slow_down(cost);
    int largest = cost_size(cost, cost_sizes(cost) - 1);
    int usual = largest < USUAL_BATCH ? largest : USUAL_BATCH;
    for (int s = 0; s < classifiers->exits; s++) {
        for (int promised = 0; promised < 2; promised++)
            sched_queue_init(&version->queues[promised][s], s, promised != 0, cost);
        version->usual[s] = (struct desk_price){cost_section(cost, s, usual) / slow_down / usual,
                                                cost_head(cost, s, usual) / slow_down / usual};
        version->alone[s] = (struct desk_price){cost_section(cost, s, 1) / slow_down,
                                                cost_head(cost, s, 1) / slow_down};
        if (s == 0 || version->alone[s].section_s > version->longest_s)
            version->longest_s = version->alone[s].section_s;
        for (int exit = s; exit < classifiers->exits; exit++)
            version->enough[s][exit] = enough(cost, s, exit);
    }
}

static int shift_of(int urgency)
{
    return urgency < USUAL_URGENCY ? -1 : urgency > USUAL_URGENCY ? 1 : 0;
}

static int levels_of(const struct classifiers *classifiers)
{
    return classifiers->exits + 2;
}

int room_level(const struct classifiers *classifiers, int section, int urgency)
{
    if (section < 0) return 0;
    if (section >= classifiers->exits) return levels_of(classifiers) - 1;
    return 1 + section + shift_of(urgency);
}

/* How deep somebody goes at a level. */
static int depth_at(int level, int urgency, int least, int last)
{
    int depth = level == 0 ? least : level - 1 - shift_of(urgency);
    return depth < least ? least : depth > last ? last : depth;
}

/* Seconds of a worker from a section on to each exit, without heads that can be left out; returns
 * those to the end with all heads. */
static double ladder(const struct desk_price *prices, const struct way *way, int section,
                     double slow_down, double ret_s[POLICY_EXITS_MAX])
{
    double must = 0, all = 0;
    for (int s = section; s <= way->last; s++) {
        double head = prices[s].head_s * slow_down;
        must += prices[s].section_s * slow_down;
        all += prices[s].section_s * slow_down;
        ret_s[s] = must + head;
        if ((way->heads >> s & 1) == 0) continue;
        all += head;
        if (way_must_run(way, s)) must += head;
    }
    return all;
}

/* More depth is for who has time. Would everybody take it who just fits, all would be served at the
 * last moment, when one alone has no time left for depth and nobody can be merged: then some go
 * deep and others get the least, where all could go half as deep. So beyond the least there is a
 * reserve: what one image takes again, but at most half of the time there is. */
static int64_t reserve_ns(const struct desk *desk, const struct desk_item *item, int64_t one_ns)
{
    int64_t rest = item->request->sla->deadline_ns - margin_ns(&desk->margin) - one_ns;
    return rest < 0 ? 0 : rest / 2 < one_ns ? rest / 2 : one_ns;
}

void desk_predict(const struct desk *desk, struct desk_item *item, int section, bool whole)
{
    const struct desk_version *version = item->request->version;
    const struct way *way = &item->request->way;
    double slow_down = cost_slow_down(version->classifiers.cost);
    int levels = levels_of(&version->classifiers), least = way_least(way);
    double share[POLICY_EXITS_MAX] = {0}, single[POLICY_EXITS_MAX] = {0};
    double all = ladder(version->usual, way, section, slow_down, share);
    ladder(version->alone, way, section, slow_down, single);
    if (least < section) least = section;
    double first = slow_down * (version->alone[section].section_s + version->alone[section].head_s);
    item->sched.rest_ns = bounded_ns(single[least] > first ? single[least] - first : 0);
    item->sched.work_ns = bounded_ns(all);
    if (item->request->sla->deadline_ns == 0) return;
    struct promise *p = &item->promise;
    for (int level = 0; level < PROMISE_LEVELS; level++) {
        if (level >= levels) {
            p->work_ns[level] = p->work_ns[levels - 1];
            p->early_ns[level] = p->early_ns[levels - 1];
            continue;
        }
        int depth = whole ? way->last : depth_at(level, item->sched.urgency, least, way->last);
        bool heads = level == levels - 1 || (depth == way->last && way->fail);
        int64_t work = bounded_ns(heads ? all : share[depth]) / desk->options.workers;
        int64_t one = bounded_ns(single[depth]);
        if (level > 0 && !whole) one += reserve_ns(desk, item, one);
        p->work_ns[level] = work;
        /* Work that can be divided and is done in large batches is what promises count with. One
         * image takes longer on one worker, and has to be begun so much earlier. */
        p->early_ns[level] = one > work ? one - work : 0;
    }
}

void desk_promise(struct desk *desk, struct desk_item *item)
{
    if (item->sched.deadline_ns == 0 || item->promise.kept) return;
    promises_need_levels(&desk->promises, levels_of(&item->request->version->classifiers));
    item->promise.deadline_ns = item->sched.deadline_ns;
    item->promise.urgency = item->sched.urgency;
    promises_add(&desk->promises, &item->promise);
}

int64_t room_busy_ns(const struct desk *desk, unsigned but, int64_t now_ns)
{
    int64_t sum = 0;
    for (unsigned w = 0; w < desk->options.workers; w++) {
        int64_t until = desk->workers[w].busy_until_ns;
        if (w != but && until > now_ns) sum += until - now_ns;
    }
    return sum / desk->options.workers;
}

int room_depth(const struct desk *desk, const struct desk_version *version, int urgency,
               int section, unsigned worker, int64_t now_ns)
{
    int exits = version->classifiers.exits, level = levels_of(&version->classifiers) - 1;
    while (level > 0 && room_lack_ns(desk, level, 0, worker, now_ns) > 0) level--;
    return depth_at(level, urgency, section, exits - 1);
}

int64_t room_lack_ns(const struct desk *desk, int level, double extra_s, unsigned worker,
                     int64_t now_ns)
{
    int64_t due = promises_due(&desk->promises, level);
    if (due == INT64_MIN) return due;
    int64_t extra = bounded_ns(extra_s) / desk->options.workers;
    return due + now_ns + margin_ns(&desk->margin) + room_busy_ns(desk, worker, now_ns) + extra;
}
