/* Admission: rules 5, 6 and 8 of doc/sla.md, before anything is spent on a request. Is there room
 * (if not, somebody less urgent makes some), can any choice of its SLA be in time on an idle
 * machine, and can the least of its answers be in time beside the least of all those that were
 * promised before? How deep it will go is decided on the way (border.c). Predictions are sums of
 * the cost table and of the prices of decoding; work is shared by the workers, or by the seats. */
#include "config.h"

#include "desk_impl.h"

#include <string.h>

enum { RETRY_MAX_S = 3600, SHED_MAX = 32 };

/* What goes before a newcomer, by the clock. */
struct ahead {
    double compute_s;            /* until a worker is free for it */
    double decode_s[DESK_SEATS]; /* until a seat is */
    double pace[DESK_SEATS];     /* how much longer than alone decoding takes then */
};

static const struct ahead nothing = {.pace = {1, 1}};

/* Seconds that the request's images are in seats of a kind, if all of these are theirs. */
static double decode_s(const struct desk *desk, const struct desk_request *request,
                       enum desk_seat seat)
{
    const struct desk_burden *b = &request->burden[seat];
    double shared = b->sum_s / desk->options.seats[seat];
    return shared > b->longest_s ? shared : b->longest_s;
}

/* Seconds until all of the images are decoded, and a worker has come to them. Workers do what is in
 * the foreground beside the sections, or take turns with those who do; the background does its part
 * meanwhile. */
static double begin_s(const struct desk *desk, const struct desk_request *request,
                      const struct ahead *ahead)
{
    double s[DESK_SEATS];
    for (int k = 0; k < DESK_SEATS; k++)
        s[k] = request->burden[k].n == 0
                   ? 0
                   : ahead->decode_s[k] + ahead->pace[k] * decode_s(desk, request, k);
    double foreground = ahead->compute_s + s[DESK_FOREGROUND];
    return foreground > s[DESK_BACKGROUND] ? foreground : s[DESK_BACKGROUND];
}

static int images(const struct desk_request *request)
{
    return request->burden[DESK_FOREGROUND].n + request->burden[DESK_BACKGROUND].n;
}

/* Seconds that the sections take for all of them, with nothing else to do. */
static double compute_s(const struct desk *desk, const struct desk_request *request,
                        const struct way *way)
{
    const struct desk_options *o = &desk->options;
    int n = images(request);
    int batch = n < o->batch_max ? n : o->batch_max;
    int batches = (n + o->batch_max - 1) / o->batch_max;
    int rounds = (batches + (int)o->workers - 1) / (int)o->workers;
    return rounds * cost_way(request->version->classifiers.cost, way, 0, batch);
}

/* The same as far as the least answer that will do. */
static double least_s(const struct desk *desk, const struct desk_request *request)
{
    struct way way = request->way;
    way.last = way_least(&way);
    way.heads |= 1u << way.last;
    return compute_s(desk, request, &way);
}

/* What goes before a newcomer with this deadline, when all get the least. */
static struct ahead ahead_of(const struct desk *desk, const struct desk_request *request,
                             int64_t deadline_ns, int64_t now_ns)
{
    struct ahead ahead = nothing;
    int64_t first_free = INT64_MAX;
    for (unsigned w = 0; w < desk->options.workers; w++) {
        int64_t until = desk->workers[w].busy_until_ns;
        if (until < first_free) first_free = until;
    }
    /* What runs now is not interrupted, whoever is more urgent. */
    double residual = first_free > now_ns ? seconds_of(first_free - now_ns) : 0;
    double queue = seconds_of(promises_work(&desk->promises, 0, deadline_ns) +
                              room_busy_ns(desk, desk->options.workers, now_ns));
    ahead.compute_s = queue > residual ? queue : residual;
    for (int k = 0; k < DESK_SEATS; k++) {
        if (request->burden[k].n == 0) continue;
        ahead.decode_s[k] = decoding_wait_s(desk, k, deadline_ns, now_ns);
        ahead.pace[k] = decoding_pace(desk, k, now_ns);
    }
    return ahead;
}

static int retry_after(const struct desk *desk)
{
    double s = seconds_of(desk->sched.work_ns) / desk->options.workers;
    for (int k = 0; k < DESK_SEATS; k++) {
        double decode = seconds_of(desk->stages[k].waiting_ns) / desk->options.seats[k];
        if (decode > s) s = decode;
    }
    return 1 + (int)(s < RETRY_MAX_S ? s : RETRY_MAX_S);
}

static int refuse(const struct desk *desk, struct desk_request *request, enum desk_refusal why,
                  int code)
{
    request->refusal = why;
    if (code == ERR_BUSY) request->retry_after_s = retry_after(desk);
    return code;
}

/* Rule 8: whether there is room for n items, if need be where others are who are less urgent. */
static int look_for_room(const struct desk *desk, struct desk_request *request, size_t n)
{
    size_t max = (size_t)desk->options.queue_max, wanted = desk->in_flight + n;
    if (wanted <= max || sched_less_urgent(&desk->sched, request->sla->urgency) >= wanted - max)
        return 0;
    return refuse(desk, request, DESK_FULL, ERR_BUSY);
}

static void make_room(struct desk *desk, const struct desk_request *request, size_t n)
{
    while (desk->in_flight + n > (size_t)desk->options.queue_max) {
        struct desk_request *victim =
            item_of(sched_victim(&desk->sched, request->sla->urgency))->request;
        victim->retry_after_s = retry_after(desk);
        desk_give_up(desk, victim, ERR_BUSY);
    }
}

/* Seconds from now on that there are for a request: what is kept for the reply is not. */
static double time_s(const struct desk *desk, const struct desk_request *request, int64_t now_ns)
{
    return seconds_of(request->arrival_ns + request->sla->deadline_ns - now_ns -
                      margin_ns(&desk->margin));
}

/* The first choice that ends in time on an idle machine, where all workers do one section. */
static bool choose_idle(const struct desk *desk, struct desk_request *request, double begin_s,
                        double time_s)
{
    const struct classifiers *c = &request->version->classifiers;
    double helped = cost_helped(c->cost);
    for (int n = 0; way_choose(request->sla, c, n, &request->way); n++) {
        if (begin_s + helped * compute_s(desk, request, &request->way) <= time_s) return true;
        /* Not the named one, not in time: with `fail` there is no second choice (rule 6). */
        if (request->way.fail && !request->way.free_choice) break;
    }
    return false;
}

/* Whether it gets its least answer in time, and all with later deadlines, too, who would have. */
static bool fits(const struct desk *desk, struct desk_request *request, int64_t now_ns)
{
    int64_t deadline = request->arrival_ns + request->sla->deadline_ns;
    struct ahead ahead = ahead_of(desk, request, deadline, now_ns);
    double own_s = seconds_of(request->items->promise.work_ns[0]) * images(request);
    double time = time_s(desk, request, now_ns);
    if (begin_s(desk, request, &ahead) + least_s(desk, request) > time) return false;
    if (ahead.compute_s + own_s > time) return false;
    int64_t later = promises_due_after(&desk->promises, 0, deadline);
    return later == INT64_MIN || later + now_ns + margin_ns(&desk->margin) +
                                         room_busy_ns(desk, desk->options.workers, now_ns) +
                                         ns_of(own_s) <=
                                     0;
}

/* Rule 8, for time: those who are less urgent go until the request fits. If not enough of them
 * would, nobody goes. */
static bool fits_instead_of_others(struct desk *desk, struct desk_request *request, int64_t now_ns)
{
    struct promise *victims[SHED_MAX];
    int urgency = request->sla->urgency, n = 0;
    bool good = fits(desk, request, now_ns);
    while (!good && n < SHED_MAX) {
        struct promise *victim = promises_victim(&desk->promises, urgency);
        if (victim == NULL) break;
        promises_remove(&desk->promises, victim);
        victims[n++] = victim;
        good = fits(desk, request, now_ns);
    }
    struct desk_version *beyond = NULL;
    if (!good && share_is_left(desk, request->version, now_ns))
        beyond = share_beyond(desk, request->version, now_ns);
    struct sched_item *last = beyond != NULL ? sched_last(&beyond->queues[1][0]) : NULL;
    for (; !good && last != NULL && n < SHED_MAX; last = sched_before(last)) {
        struct promise *victim = &item_of(last)->promise;
        if (!victim->kept || last->urgency < urgency) continue;
        promises_remove(&desk->promises, victim);
        victims[n++] = victim;
        good = fits(desk, request, now_ns);
    }
    for (int i = 0; i < n; i++) {
        struct desk_item *item = item_of_promise(victims[i]);
        if (!good) {
            desk_promise(desk, item);
        } else if (item->sched.place != NULL) { /* or it has gone with the one before */
            item->request->retry_after_s = retry_after(desk);
            desk_give_up(desk, item->request, ERR_BUSY);
        }
    }
    return good;
}

/* No choice is in time. Whether one would be if images came decoded: then that is to blame. */
static void look_for_blame(const struct desk *desk, struct desk_request *request, double time_s,
                           const struct ahead *ahead, double compute_s)
{
    double longest = 0, begin = begin_s(desk, request, ahead);
    if (ahead->compute_s + compute_s > time_s) return;
    for (int k = 0; k < DESK_SEATS; k++) {
        double s = ahead->pace[k] * decode_s(desk, request, k);
        if (s > longest) longest = s;
    }
    request->blames_decoding = true;
    request->decode_s = longest;
    request->queue_s = begin - longest;
}

/* Rule 6, when nobody else is there: what it is to get. */
static int choose_way(struct desk *desk, struct desk_request *request, int64_t now_ns)
{
    struct cost *cost = request->version->classifiers.cost;
    cost_age(cost, now_ns);
    margin_age(&desk->margin, now_ns);
    double time = time_s(desk, request, now_ns);
    if (choose_idle(desk, request, begin_s(desk, request, &nothing), time)) return 0;
    look_for_blame(desk, request, time, &nothing, cost_helped(cost) * least_s(desk, request));
    return refuse(desk, request, DESK_IMPOSSIBLE, ERR_DEADLINE);
}

/* Rule 6, beside those who are there. */
static int find_time(struct desk *desk, struct desk_request *request, int64_t now_ns)
{
    double time = time_s(desk, request, now_ns), least = least_s(desk, request);
    bool whole = share_is_left(desk, request->version, now_ns);
    /* Who leaves less than one image takes in a section is not helped by smaller batches. */
    if (time - least >= request->version->longest_s)
        hurry_came(&desk->hurry, request->sla->urgency, ns_of(time - least), now_ns);
    do {
        desk_predict(desk, request->items, 0, whole);
        if (fits_instead_of_others(desk, request, now_ns)) return 0;
        whole = !whole;
    } while (!whole); /* if it was, with the least once more */
    struct ahead ahead =
        ahead_of(desk, request, request->arrival_ns + request->sla->deadline_ns, now_ns);
    look_for_blame(desk, request, time, &ahead, least);
    return refuse(desk, request, DESK_OVERLOADED,
                  request->sla->fail_on_miss ? ERR_DEADLINE : ERR_BUSY);
}

static void let_in(struct desk *desk, struct desk_request *request, int64_t now_ns)
{
    const struct sla *sla = request->sla;
    int64_t target = sched_target(request->arrival_ns, sla->deadline_ns,
                                  desk->options.default_target_ns, sla->urgency);
    struct desk_item *first = request->items;
    if (sla->deadline_ns == 0 || first->refused != 0) desk_predict(desk, first, 0, false);
    for (struct desk_item *item = first; item != NULL; item = item->sibling) {
        item->sched.urgency = sla->urgency;
        item->sched.target_ns = target;
        item->sched.deadline_ns = sla->deadline_ns > 0 ? target : 0;
        item->promise.kept = false;
        item->sched.rest_ns = first->sched.rest_ns;
        item->sched.work_ns = first->sched.work_ns;
        memcpy(item->promise.early_ns, first->promise.early_ns, sizeof(item->promise.early_ns));
        memcpy(item->promise.work_ns, first->promise.work_ns, sizeof(item->promise.work_ns));
        if (item->refused == 0) desk_promise(desk, item);
    }
    request->pending = request->n_items;
    desk->in_flight += (size_t)request->n_items;
    share_came(desk, request->version, request->n_items);
    decoding_push(desk, request, now_ns);
}

int desk_arrived(struct desk *desk, struct desk_request *request, int64_t now_ns)
{
    request->refusal = DESK_ADMITTED;
    request->given_up = 0;
    request->pending = 0;
    request->computed_ns = 0;
    request->blames_decoding = false;
    decoding_weigh(desk, request, now_ns);
    request->items->sched.urgency = request->sla->urgency;
    int rc = 0, n = images(request);
    bool bounded = request->sla->deadline_ns > 0 && n > 0;
    if (bounded) {
        rc = choose_way(desk, request, now_ns);
    } else {
        way_choose(request->sla, &request->version->classifiers, 0, &request->way);
    }
    if (rc == 0) rc = look_for_room(desk, request, (size_t)n);
    if (rc == 0 && bounded) rc = find_time(desk, request, now_ns);
    if (rc < 0) return rc;
    make_room(desk, request, (size_t)n);
    let_in(desk, request, now_ns);
    return 0;
}
