/* What a free worker computes next, and what becomes of each item at the border behind a section:
 *
 *   desk_next: a batch of those with a deadline or of those without, less those whose time is up
 *   desk_section_done: how much time each has left, how much the others leave it, and so whose head
 *                      is to run
 *   desk_heads_done: stop with an answer, go on, or expired
 *   desk_stays, desk_part: the batch goes on as it is, or everybody leaves it
 *
 * Left out: what the rules say for a judgement of the time (way.c), the order (sched.c), and
 * whether all who wait fit (room.c). */
#include "config.h"

#include "desk_impl.h"

#include <string.h>

/* Of the machine, those without a deadline whose target has passed get this part at least. */
enum { PATIENT_PART = 16 };

/* The least of the others leaves so much time that several of them may come at a time. */
enum { COMING = 2 };

static bool has_deadline(const struct desk_item *item)
{
    return item->sched.deadline_ns != 0;
}

void desk_wait(struct desk *desk, struct desk_item *item, int section, int64_t now_ns)
{
    struct desk_version *version = item->request->version;
    /* For the first section it was predicted when it was let in. */
    if (section > 0) desk_predict(desk, item, section, share_is_left(desk, version, now_ns));
    desk_promise(desk, item);
    sched_push(&desk->sched, &version->queues[has_deadline(item)][section], &item->sched, now_ns);
}

/* Whether somebody else wants the worker. */
static bool others_wait(const struct desk *desk)
{
    return desk->promises.root != NULL || desk->sched.waiting > 0;
}

/* Time before a section that is about to run in a batch of n. Where others wait nothing is tried
 * that is late for sure. */
static enum way_time judge_before(const struct desk *desk, const struct desk_batch *b,
                                  const struct desk_item *item, int n, int64_t now_ns)
{
    int64_t deadline = item->sched.deadline_ns;
    if (deadline == 0) return WAY_ENOUGH;
    if (now_ns > deadline) return WAY_OVER;
    const struct cost *cost = b->version->classifiers.cost;
    double s = cost_section(cost, b->section, n) + cost_head(cost, b->section, n);
    int64_t end = now_ns + ns_of(s) + item->sched.rest_ns;
    if (end > deadline && others_wait(desk)) return WAY_OVER;
    return end > deadline - margin_ns(&desk->margin) ? WAY_SHORT : WAY_ENOUGH;
}

/* Time after a section, its heads not run yet, as far as this one's own deadline goes, when so many
 * go on together. */
static enum way_time judge_after(const struct desk *desk, const struct desk_batch *b,
                                 const struct desk_item *item, int along, int64_t now_ns)
{
    int64_t deadline = item->sched.deadline_ns;
    if (deadline == 0) return WAY_ENOUGH;
    if (now_ns > deadline) return WAY_OVER;
    if (b->section == item->request->way.last) return WAY_ENOUGH;
    const struct cost *cost = b->version->classifiers.cost;
    int next = b->section + 1;
    double section = cost_section(cost, next, along);
    double end = cost_head(cost, b->section, b->n) + section + cost_head(cost, next, along);
    deadline -= margin_ns(&desk->margin);
    if (now_ns + ns_of(end) > deadline) return WAY_SHORT;
    return now_ns + ns_of(end + section) > deadline ? WAY_TIGHT : WAY_ENOUGH;
}

/* Of all. Who may stop counts with all of the batch who go on. Who may not goes on with those who
 * have to go before it. */
static void judge(const struct desk *desk, const struct desk_batch *b, int64_t now_ns)
{
    int along = 0;
    for (int i = 0; i < b->n; i++) along += b->section < b->items[i]->request->way.last;
    for (int i = 0; i < b->n; i++) {
        struct desk_item *item = b->items[i];
        const struct way *way = &item->request->way;
        bool free = b->section >= way_least(way) && (way->learned >> b->section & 1) != 0;
        item->time = judge_after(desk, b, item, free ? along : item->ahead + 1, now_ns);
        along -= b->section < way->last && item->time >= WAY_SHORT;
    }
}

/* ---- who may go on, beside those who wait ---- */

/* Whether the item could stop here for the others' sake, and else would go on. */
static bool may_stop(const struct desk_batch *b, const struct desk_item *item)
{
    const struct way *way = &item->request->way;
    return has_deadline(item) && b->section < way->last && b->section >= way_least(way) &&
           (way->learned >> b->section & 1) != 0 &&
           (item->time == WAY_ENOUGH || item->time == WAY_TIGHT);
}

static bool goes_on_anyway(const struct desk_batch *b, const struct desk_item *item)
{
    return b->section < item->request->way.last && !may_stop(b, item) &&
           (item->time == WAY_ENOUGH || item->time == WAY_TIGHT);
}

/* The urgency of the first without a deadline whose target has passed; SCHED_URGENCIES: nobody. */
static int overdue(const struct desk *desk, int64_t now_ns)
{
    const struct sched_queue *queue = sched_earliest(&desk->sched, false);
    if (queue == NULL) return SCHED_URGENCIES;
    const struct sched_item *first = sched_first(queue);
    return first->target_ns < now_ns ? first->urgency : SCHED_URGENCIES;
}

/* How many of n of one urgency go on, beside `along` who do: all, half, a quarter.. as far as all
 * who wait fit. */
static int let_on(const struct desk *desk, const struct desk_batch *b, int urgency, int n,
                  int along, int stopping, int64_t now_ns)
{
    const struct cost *cost = b->version->classifiers.cost;
    /* Who had less than its share goes on while the others keep the least. */
    int depth = share_is_left(desk, b->version, now_ns) ? -1 : b->section;
    int level = room_level(&b->version->classifiers, depth, urgency);
    for (int go = n; go > 0; go /= 2) {
        double s = cost_section(cost, b->section + 1, along + go) +
                   cost_head(cost, b->section + 1, along + go);
        int stay = stopping + n - go;
        if (stay > 0) s += cost_head(cost, b->section, stay);
        if (room_lack_ns(desk, level, s, b->worker, now_ns) <= 0) return go;
    }
    return 0;
}

/* The urgent ones first; the others are crowded out. */
static void crowd(const struct desk *desk, struct desk_batch *b, int64_t now_ns)
{
    int of[SCHED_URGENCIES] = {0}, along = 0, optional = 0;
    for (int i = 0; i < b->n; i++) {
        along += goes_on_anyway(b, b->items[i]);
        if (!may_stop(b, b->items[i])) continue;
        of[b->items[i]->sched.urgency]++;
        optional++;
    }
    if (optional == 0) return;
    int pressed = overdue(desk, now_ns);
    for (int u = 0; u < SCHED_URGENCIES; u++) {
        if (of[u] == 0) continue;
        optional -= of[u];
        int go = u >= pressed ? 0 : let_on(desk, b, u, of[u], along, optional, now_ns);
        along += go;
        for (int i = 0; i < b->n; i++) {
            struct desk_item *item = b->items[i];
            if (item->sched.urgency == u && may_stop(b, item) && go-- <= 0)
                item->time = WAY_CROWDED;
        }
    }
}

/* ---- a batch ---- */

/* Of so many that were taken, those that have no time left leave before the section. */
static void drop_late(struct desk *desk, struct desk_batch *b, int taken, int64_t now_ns)
{
    b->n = 0;
    for (int i = 0; i < taken; i++) {
        struct desk_item *item = item_of(desk->taken[i]);
        promises_remove(&desk->promises, &item->promise);
    }
    for (int i = 0; i < taken; i++) {
        struct desk_item *item = item_of(desk->taken[i]);
        item->wait_ns = now_ns - item->sched.since_ns;
        item->waited_ns += item->wait_ns;
        item->step = way_before(&item->request->way, item->computed,
                                judge_before(desk, b, item, taken, now_ns), &item->answer);
        if (item->step == WAY_CONTINUE) {
            item->ahead = b->n;
            b->items[b->n++] = item;
        } else {
            item->dropped = true;
            if (item->step == WAY_STOP) item->request->computed_ns = now_ns;
            desk_end(desk, item, item->step == WAY_STOP ? 0 : ERR_DEADLINE);
        }
    }
}

/* Those that are known to need the head come first, so that one call computes them all. */
static void order_by_head(struct desk_batch *b)
{
    int first = 0;
    for (int i = 0; i < b->n; i++) {
        struct desk_item *item = b->items[i];
        if ((item->request->way.heads & 1u << b->section) == 0) continue;
        memmove(b->items + first + 1, b->items + first, (size_t)(i - first) * sizeof(*b->items));
        b->items[first++] = item;
    }
}

/* Predicts how long the worker is taken by the section, and by the way of its batch's first. */
static void begin(struct desk *desk, struct desk_batch *b, int64_t now_ns)
{
    const struct cost *cost = b->version->classifiers.cost;
    struct desk_worker *worker = &desk->workers[b->worker];
    b->section_s = cost_section(cost, b->section, b->n);
    worker->busy_until_ns = now_ns + ns_of(b->section_s + cost_head(cost, b->section, b->n));
    worker->free_ns = now_ns + ns_of(cost_way(cost, &b->items[0]->request->way, b->section, b->n));
}

/* How long the machine can do something else before those who wait get the least; INT64_MAX: nobody
 * waits. */
static int64_t slack_ns(const struct desk *desk, unsigned worker, int64_t now_ns)
{
    int64_t lack = room_lack_ns(desk, 0, 0, worker, now_ns);
    return lack == INT64_MIN ? INT64_MAX : -lack;
}

/* A batch of this queue is not to take longer, for the sake of those who may come meanwhile. */
static int64_t longest_ns(const struct desk *desk, const struct sched_queue *queue)
{
    int64_t least = hurry_least_ns(&desk->hurry, sched_first(queue)->urgency);
    return least == INT64_MAX ? least : least / COMING;
}

/* Whether of another version somebody with a deadline has an earlier one than all of a queue. */
static bool others_are_before(const struct desk *desk, const struct desk_version *version,
                              const struct sched_queue *queue)
{
    for (const struct sched_queue *q = desk->sched.queues; q != NULL; q = q->after) {
        const struct sched_item *first = sched_first(q);
        if (q->promised && item_of(sched_first(q))->request->version != version &&
            first->target_ns < sched_first(queue)->target_ns)
            return true;
    }
    return false;
}

/* Some sections cost an image much less in a large batch, and who comes there comes a few at a
 * time. The queue before it whose items may come to such a section in time for those n who are
 * there, the first of which is `first`; NULL: there is none, or they are enough. */
static struct sched_queue *worth_waiting_for(const struct desk *desk, struct desk_version *version,
                                             int section, size_t n, const struct sched_item *first,
                                             unsigned worker, int64_t now_ns)
{
    const struct cost *cost = version->classifiers.cost;
    struct sched_queue *queues = version->queues[1], *before = NULL;
    if (n >= (size_t)version->enough[section][section]) return NULL;
    for (int k = 0; k < section; k++) {
        if (queues[k].count == 0) continue;
        if (before == NULL || sched_first(&queues[k])->target_ns < sched_first(before)->target_ns)
            before = &queues[k];
    }
    if (before == NULL || others_are_before(desk, version, before)) return NULL;
    int depth = room_depth(desk, version, first->urgency, before->section, worker, now_ns);
    if (depth < section) return NULL;
    size_t more = (size_t)version->enough[before->section][depth];
    if (more > before->count) more = before->count;
    int all = (int)(n + more);
    double s = cost_section(cost, section, all) + cost_head(cost, section, all);
    for (int k = before->section; k < section; k++) s += cost_section(cost, k, (int)more);
    int64_t end = now_ns + ns_of(s) + first->rest_ns + margin_ns(&desk->margin);
    return end <= first->deadline_ns ? before : NULL;
}

/* Which queue is served, and how long a batch of it may take at most. The earliest target goes
 * first (rule 8 of doc/sla.md), but who has no deadline lets pass those who would be late
 * otherwise; once it is overdue itself, not for ever. */
static struct sched_queue *choose(struct desk *desk, const struct desk_batch *b, int64_t now_ns,
                                  int64_t *ret_longest_ns)
{
    struct sched_queue *promised = sched_earliest(&desk->sched, true);
    struct sched_queue *patient = sched_earliest(&desk->sched, false);
    if (promised != NULL) {
        const struct sched_item *first = sched_first(promised);
        struct desk_version *version = item_of(sched_first(promised))->request->version;
        struct sched_queue *before = worth_waiting_for(desk, version, promised->section,
                                                       promised->count, first, b->worker, now_ns);
        if (before != NULL) promised = before;
        *ret_longest_ns = longest_ns(desk, promised);
    }
    if (patient == NULL) return promised;
    const struct sched_item *first = sched_first(patient);
    int64_t one = ns_of(cost_section(patient->cost, patient->section, 1) +
                        cost_head(patient->cost, patient->section, 1));
    int64_t slack = slack_ns(desk, b->worker, now_ns);
    if (slack < INT64_MAX / desk->options.workers) slack *= desk->options.workers;
    bool turn = first->target_ns < now_ns && now_ns >= desk->patient_turn_ns;
    if (promised != NULL && !turn &&
        (slack < one || sched_first(promised)->target_ns <= first->target_ns))
        return promised;
    int64_t longest = longest_ns(desk, patient);
    *ret_longest_ns = slack < longest ? slack : longest;
    if (turn) desk->patient_turn_ns = now_ns + PATIENT_PART * one;
    return patient;
}

/* Takes a batch from the scheduler; false: nothing waits. Afterwards all of it may have ended. */
static bool take(struct desk *desk, struct desk_batch *b, int64_t now_ns)
{
    struct sched_limits limits = {.now_ns = now_ns,
                                  .others = desk->others,
                                  .max = (size_t)desk->options.batch_max,
                                  .margin_ns = margin_ns(&desk->margin)};
    struct sched_queue *queue = choose(desk, b, now_ns, &limits.longest_ns);
    if (queue == NULL) return false;
    if (queue->promised) {
        const struct desk_item *first = item_of(sched_first(queue));
        const struct desk_version *version = first->request->version;
        int depth =
            room_depth(desk, version, first->sched.urgency, queue->section, b->worker, now_ns);
        int enough = version->enough[queue->section][depth];
        if ((size_t)enough < limits.max) limits.max = (size_t)enough;
    }
    for (unsigned w = 0; w < desk->options.workers; w++)
        if (w != b->worker) desk->others[limits.n_others++] = desk->workers[w].free_ns;
    size_t n = sched_next(&desk->sched, queue, &limits, desk->taken);
    b->section = queue->section;
    b->version = item_of(desk->taken[0])->request->version;
    drop_late(desk, b, (int)n, now_ns);
    return true;
}

enum desk_task desk_next(struct desk *desk, struct desk_batch *batch, int64_t now_ns)
{
    desk_occupied(desk, batch->worker, 0);
    while (take(desk, batch, now_ns)) {
        if (batch->n == 0) continue;
        begin(desk, batch, now_ns);
        order_by_head(batch);
        return DESK_SECTION;
    }
    if (!desk_is_quiet(desk)) return DESK_WAIT;
    batch->items[0] = desk_decode(desk, DESK_FOREGROUND, now_ns);
    return batch->items[0] != NULL ? DESK_DECODE : DESK_WAIT;
}

int desk_heads_done(struct desk_batch *batch, int64_t now_ns)
{
    int going_on = 0;
    for (int i = 0; i < batch->n; i++) {
        struct desk_item *item = batch->items[i];
        const struct way *way = &item->request->way;
        bool late = item->sched.deadline_ns > 0 && now_ns > item->sched.deadline_ns;
        enum way_time time = late && way->fail ? WAY_OVER : item->time;
        item->step =
            way_after(way, batch->section, item->computed, item->confidence, time, &item->answer);
        going_on += item->step == WAY_CONTINUE;
    }
    return going_on;
}

/* Whether a batch, if all of it went on, would be the next one, all of it and nobody with it. Who
 * has no deadline asks again when somebody waits who has. */
static bool goes_on_first(const struct desk *desk, const struct desk_batch *b, int64_t now_ns)
{
    const struct desk_item *earliest = b->items[0];
    bool promised = has_deadline(earliest);
    for (int i = 0; i < b->n; i++) {
        const struct desk_item *item = b->items[i];
        if (item->request->given_up != 0) return false;
        if (item->sched.target_ns < earliest->sched.target_ns) earliest = item;
    }
    if (b->section + 1 == b->version->classifiers.exits) return false;
    if (!promised && desk->promises.root != NULL) return false;
    if (promised && worth_waiting_for(desk, b->version, b->section + 1, (size_t)b->n,
                                      &earliest->sched, b->worker, now_ns) != NULL)
        return false;
    return sched_goes_on(&desk->sched, &b->version->queues[promised][b->section + 1],
                         &earliest->sched);
}

static void go_on(struct desk *desk, struct desk_batch *b, int64_t now_ns)
{
    b->section++;
    begin(desk, b, now_ns);
}

bool desk_stays(struct desk *desk, struct desk_batch *batch, int64_t now_ns)
{
    if (!goes_on_first(desk, batch, now_ns)) return false;
    go_on(desk, batch, now_ns);
    return true;
}

/* Whether all who wait can have all they want when the heads of this section run for everybody. */
static bool has_room(const struct desk *desk, const struct desk_batch *b, int64_t now_ns)
{
    const struct classifiers *c = &b->version->classifiers;
    double s = cost_head(c->cost, b->section, b->n);
    return room_lack_ns(desk, room_level(c, c->exits, 0), s, b->worker, now_ns) <= 0;
}

enum desk_border desk_section_done(struct desk *desk, struct desk_batch *batch, double took_s,
                                   bool helped, bool may_stay, int64_t now_ns)
{
    cost_learn(batch->version->classifiers.cost, batch->section_s, took_s, helped, now_ns);
    share_used(batch->version, took_s, now_ns);
    bool heads = false;
    judge(desk, batch, now_ns);
    crowd(desk, batch, now_ns);
    bool roomy = !has_deadline(batch->items[0]) || has_room(desk, batch, now_ns);
    for (int i = 0; i < batch->n; i++) {
        struct desk_item *item = batch->items[i];
        item->needs_head = item->request->given_up == 0 &&
                           way_needs_head(&item->request->way, batch->section, item->time, roomy);
        heads |= item->needs_head;
    }
    batch->could_stay = may_stay && goes_on_first(desk, batch, now_ns);
    if (heads) return DESK_HEADS;
    if (desk_heads_done(batch, now_ns) < batch->n || !batch->could_stay) return DESK_PARTS;
    go_on(desk, batch, now_ns);
    return DESK_STAYS;
}

void desk_part(struct desk *desk, struct desk_batch *batch, int64_t now_ns)
{
    desk_occupied(desk, batch->worker, 0);
    for (int i = 0; i < batch->n; i++) {
        struct desk_item *item = batch->items[i];
        int over = item->request->given_up != 0 ? item->request->given_up : item->fault;
        if (over == 0 && item->step == WAY_EXPIRED) over = ERR_DEADLINE;
        if (over != 0 || item->step == WAY_STOP) {
            if (over == 0) item->request->computed_ns = now_ns;
            desk_end(desk, item, over);
            continue;
        }
        desk_wait(desk, item, batch->section + 1, now_ns);
    }
}
