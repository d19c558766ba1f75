/* The scheduler. Lists sorted by target, walked from the end on insertion: items come nearly in
 * order. There are as many lists as model versions with work times sections, a handful, so that the
 * earliest is found by looking at all. Left out: waiting for a batch to fill. A worker that is free
 * takes what there is, since a batch that waits costs latency and a CPU gains little from it. */
#include "config.h"

#include "policy/sched.h"

#include "base/clock.h"

void sched_queue_init(struct sched_queue *queue, int section, const struct cost *cost)
{
    *queue = (struct sched_queue){.section = section, .cost = cost};
}

void sched_init(struct sched *sched)
{
    *sched = (struct sched){.queues = NULL};
    sched_queue_init(&sched->decode, SCHED_DECODE, NULL);
    sched_queue_init(&sched->running, SCHED_RUNNING, NULL);
}

int64_t sched_target(int64_t arrival_ns, int64_t deadline_ns, int64_t default_target_ns,
                     int urgency)
{
    if (deadline_ns > 0) return arrival_ns + deadline_ns;
    return arrival_ns + (urgency >= 3 ? default_target_ns * (INT64_C(1) << (urgency - 3))
                                      : default_target_ns / (INT64_C(1) << (3 - urgency)));
}

static bool earlier(const struct sched_item *a, const struct sched_item *b)
{
    return a->target_ns != b->target_ns ? a->target_ns < b->target_ns : a->order < b->order;
}

static void list_insert(struct sched_queue *queue, struct sched_item *item)
{
    struct sched_item *before = queue->last;
    while (before != NULL && earlier(item, before)) before = before->before;
    item->before = before;
    item->after = before != NULL ? before->after : queue->first;
    *(item->before != NULL ? &item->before->after : &queue->first) = item;
    *(item->after != NULL ? &item->after->before : &queue->last) = item;
    item->place = queue;
    queue->count++;
}

static void list_remove(struct sched_item *item)
{
    struct sched_queue *queue = item->place;
    *(item->before != NULL ? &item->before->after : &queue->first) = item->after;
    *(item->after != NULL ? &item->after->before : &queue->last) = item->before;
    item->before = item->after = NULL;
    item->place = NULL;
    queue->count--;
}

static void link_queue(struct sched *sched, struct sched_queue *queue)
{
    queue->before = NULL;
    queue->after = sched->queues;
    if (queue->after != NULL) queue->after->before = queue;
    sched->queues = queue;
}

static void unlink_queue(struct sched *sched, struct sched_queue *queue)
{
    *(queue->before != NULL ? &queue->before->after : &sched->queues) = queue->after;
    if (queue->after != NULL) queue->after->before = queue->before;
    queue->before = queue->after = NULL;
}

void sched_remove(struct sched *sched, struct sched_item *item)
{
    struct sched_queue *queue = item->place;
    if (queue == NULL) return;
    list_remove(item);
    if (queue->section < 0) return;
    sched->waiting--;
    if (queue->count == 0) unlink_queue(sched, queue);
}

void sched_push(struct sched *sched, struct sched_queue *queue, struct sched_item *item,
                int64_t now_ns)
{
    sched_remove(sched, item);
    item->since_ns = now_ns;
    /* The first number stays: who came first is first at each border. */
    if (item->order == 0) item->order = ++sched->order;
    list_insert(queue, item);
    if (queue->section < 0) return;
    sched->waiting++;
    if (queue->count == 1) link_queue(sched, queue);
}

/* The queue to serve: earliest first item; among equal targets the deeper section, which frees
 * more. */
static struct sched_queue *earliest_queue(const struct sched *sched)
{
    struct sched_queue *best = NULL;
    for (struct sched_queue *q = sched->queues; q != NULL; q = q->after) {
        if (best == NULL || q->first->target_ns < best->first->target_ns ||
            (q->first->target_ns == best->first->target_ns && q->section > best->section)) {
            best = q;
        }
    }
    return best;
}

bool sched_goes_on(const struct sched *sched, const struct sched_queue *queue,
                   const struct sched_item *item)
{
    if (queue->count > 0) return false;
    for (const struct sched_queue *q = sched->queues; q != NULL; q = q->after)
        if (q->first->target_ns <= item->target_ns) return false;
    return true;
}

static int64_t end_of_batch(const struct sched_queue *q, int64_t now_ns, size_t batch)
{
    double s =
        cost_section(q->cost, q->section, (int)batch) + cost_head(q->cost, q->section, (int)batch);
    return now_ns + (int64_t)(s * (double)CLOCK_SECOND);
}

/* The latest time at which the batch must end for this item's sake; INT64_MAX when that is never,
 * or when the deadline is lost even if the batch ends at end_ns. */
static int64_t must_end(const struct sched_item *item, int64_t end_ns)
{
    if (item->deadline_ns == 0) return INT64_MAX;
    int64_t latest = item->deadline_ns - (int64_t)(item->rest_s * (double)CLOCK_SECOND);
    return end_ns <= latest ? latest : INT64_MAX;
}

/* How many of a queue's items one worker takes, so that as many workers as possible get equal
 * shares: those of the others who are free before this one would be through with its share. */
static size_t share_of(const struct sched_queue *q, int64_t now_ns, const int64_t *others,
                       size_t n_others)
{
    for (size_t takers = n_others + 1; takers > 1; takers--) {
        size_t share = (q->count + takers - 1) / takers, free = 1;
        int64_t end = now_ns + (int64_t)((double)share * q->first->work_s * (double)CLOCK_SECOND);
        for (size_t i = 0; i < n_others; i++) free += others[i] <= now_ns || others[i] < end;
        if (free >= takers) return share;
    }
    return q->count;
}

size_t sched_next(struct sched *sched, int64_t now_ns, const int64_t *others, size_t n_others,
                  size_t max, struct sched_item **ret_items, struct sched_queue **ret_queue)
{
    struct sched_queue *q = earliest_queue(sched);
    if (q == NULL || max == 0) return 0;
    size_t share = share_of(q, now_ns, others, n_others);
    if (share > max) share = max;
    size_t n = 0;
    int64_t bound = INT64_MAX;
    while (n < share && q->first != NULL) {
        struct sched_item *item = q->first;
        int64_t end = end_of_batch(q, now_ns, n + 1);
        /* Leaving an item out never helps it: it would run after this batch. So only those that are
         * in already can object. */
        if (n > 0 && end > bound) break;
        int64_t own = must_end(item, end);
        if (own < bound) bound = own;
        list_remove(item);
        sched->waiting--;
        ret_items[n++] = item;
    }
    if (q->count == 0) unlink_queue(sched, q);
    for (size_t i = 0; i < n; i++) list_insert(&sched->running, ret_items[i]);
    *ret_queue = q;
    return n;
}

struct sched_item *sched_take_decode(struct sched *sched)
{
    struct sched_item *item = sched->decode.first;
    if (item == NULL) return NULL;
    list_remove(item);
    list_insert(&sched->running, item);
    return item;
}

static double work_in(const struct sched_queue *queue, int64_t target_ns)
{
    double sum = 0;
    for (const struct sched_item *i = queue->first; i != NULL && i->target_ns <= target_ns;
         i = i->after) {
        sum += i->work_s;
    }
    return sum;
}

double sched_queued_before(const struct sched *sched, int64_t target_ns)
{
    double sum = 0;
    for (const struct sched_queue *q = sched->queues; q != NULL; q = q->after) {
        sum += work_in(q, target_ns);
    }
    return sum;
}

double sched_work_before(const struct sched *sched, int64_t target_ns)
{
    return sched_queued_before(sched, target_ns) + work_in(&sched->decode, target_ns) +
           work_in(&sched->running, target_ns);
}

static struct sched_item *worse(struct sched_item *a, struct sched_item *b)
{
    if (a == NULL) return b;
    if (b->urgency != a->urgency) return b->urgency > a->urgency ? b : a;
    return earlier(a, b) ? b : a;
}

static struct sched_item *victim_in(const struct sched_queue *queue, int urgency,
                                    struct sched_item *victim)
{
    for (struct sched_item *i = queue->first; i != NULL; i = i->after) {
        if (i->urgency > urgency) victim = worse(victim, i);
    }
    return victim;
}

struct sched_item *sched_victim(const struct sched *sched, int urgency)
{
    struct sched_item *victim = victim_in(&sched->decode, urgency, NULL);
    for (const struct sched_queue *q = sched->queues; q != NULL; q = q->after) {
        victim = victim_in(q, urgency, victim);
    }
    return victim;
}

static size_t less_urgent_in(const struct sched_queue *queue, int urgency)
{
    size_t n = 0;
    for (const struct sched_item *i = queue->first; i != NULL; i = i->after)
        n += i->urgency > urgency;
    return n;
}

size_t sched_less_urgent(const struct sched *sched, int urgency)
{
    size_t n = less_urgent_in(&sched->decode, urgency);
    for (const struct sched_queue *q = sched->queues; q != NULL; q = q->after) {
        n += less_urgent_in(q, urgency);
    }
    return n;
}
