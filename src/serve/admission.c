/* Admission: rules 5 and 6 of doc/sla.md, before anything is spent on a request. Two questions: is
 * there room (if not, somebody less urgent makes some), and which choice of its SLA is predicted to
 * be in time, on an idle machine and behind what waits already. Predictions are sums of the cost
 * table; a queue's work is shared by the workers. Left out: what newcomers will take away later;
 * the borders see to that. */
#include "config.h"

#include "engine_impl.h"

#include "base/clock.h"

/* Seconds until n images have gone the way, on a machine that does nothing else. */
static double alone_s(const struct engine *engine, const struct version *version,
                      const struct way *way, int n)
{
    int batch_max = engine->options.batch_max;
    int batch = n < batch_max ? n : batch_max;
    int batches = (n + batch_max - 1) / batch_max;
    int rounds = (batches + (int)engine->options.workers - 1) / (int)engine->options.workers;
    return engine->decode_s * n + rounds * cost_way(version->cost, way, 0, batch);
}

/* Seconds until a worker is free for a newcomer with this target. */
static double wait_s(const struct engine *engine, int64_t target_ns, int64_t now_ns)
{
    double wait =
        seconds_of(sched_work_before(&engine->sched, target_ns)) / engine->options.workers +
        engine->decode_s * (double)engine->sched.decode.count;
    int64_t first_free = INT64_MAX;
    for (unsigned w = 0; w < engine->options.workers; w++) {
        int64_t until = engine->workers[w].busy_until_ns;
        if (until < first_free) first_free = until;
    }
    /* What runs now is not interrupted, whoever is more urgent. */
    double residual = first_free > now_ns ? seconds_of(first_free - now_ns) : 0;
    return wait > residual ? wait : residual;
}

static int64_t after_s(int64_t now_ns, double s)
{
    return now_ns + (int64_t)(s * (double)CLOCK_SECOND);
}

static int retry_after(const struct engine *engine)
{
    double s = seconds_of(sched_work_before(&engine->sched, INT64_MAX)) / engine->options.workers;
    if (s > 3600) s = 3600;
    return 1 + (int)s;
}

static int refuse_busy(const struct engine *engine, struct request *request, const char *why)
{
    request->retry_after_s = retry_after(engine);
    return err_set(&request->error, ERR_BUSY, "%s; try again in %d s", why, request->retry_after_s);
}

/* Rule 8: who is less urgent makes room, if all of them together can make enough. */
static int make_room(struct engine *engine, struct request *request)
{
    size_t max = (size_t)engine->options.queue_max;
    size_t wanted = engine->in_flight + (size_t)request->n_images;
    if (wanted <= max) return 0;
    int urgency = request->sla.urgency;
    if (sched_less_urgent(&engine->sched, urgency) < wanted - max) {
        return refuse_busy(engine, request, "the queue is full");
    }
    while (engine->in_flight + (size_t)request->n_images > max) {
        struct item *victim = item_of(sched_victim(&engine->sched, urgency));
        victim->ticket->request->retry_after_s = retry_after(engine);
        ticket_fail(engine, victim->ticket, ERR_BUSY);
    }
    engine_call_returner(engine); /* hands them back */
    return 0;
}

/* The first choice that ends in time when work starts wait seconds from now; -1: none. */
static int first_in_time(const struct engine *engine, const struct ticket *ticket, int64_t now_ns,
                         double wait, int from, struct way *ret_way)
{
    const struct request *request = ticket->request;
    int64_t deadline = request->arrival_ns + request->sla.deadline_ns;
    struct way way;
    for (int n = from; way_choose(&request->sla, &ticket->version->classifiers, n, &way); n++) {
        double s = wait + alone_s(engine, ticket->version, &way, request->n_images);
        if (after_s(now_ns, s) <= deadline) {
            *ret_way = way;
            return n;
        }
        /* Not the named one, not in time: with `fail` there is no second choice (rule 6). */
        if (way.fail && !way.free_choice) break;
    }
    return -1;
}

/* Rule 6. */
static int choose_in_time(struct engine *engine, struct ticket *ticket, int64_t now_ns,
                          struct way *ret_way)
{
    struct request *request = ticket->request;
    struct way way;
    int idle = first_in_time(engine, ticket, now_ns, 0, 0, &way);
    if (idle < 0) {
        return err_set(&request->error, ERR_DEADLINE,
                       "not possible within %.3f ms of arrival, even on an idle machine",
                       (double)request->sla.deadline_ns / (double)CLOCK_MS);
    }
    int64_t target = request->arrival_ns + request->sla.deadline_ns;
    int behind = first_in_time(engine, ticket, now_ns, wait_s(engine, target, now_ns), idle, &way);
    if (behind < 0 && request->sla.fail_on_miss) {
        return err_set(&request->error, ERR_DEADLINE,
                       "not possible within %.3f ms of arrival behind the present queue",
                       (double)request->sla.deadline_ns / (double)CLOCK_MS);
    }
    if (behind < 0) return refuse_busy(engine, request, "no classifier can be in time");
    if (behind > idle) way.reason = SLA_OVERLOAD;
    *ret_way = way;
    return 0;
}

void item_predict(struct item *item, int section)
{
    enum { USUAL_BATCH = 8 };
    const struct cost *cost = item->ticket->version->cost;
    int usual = item->ticket->version->engine->options.batch_max;
    if (usual > USUAL_BATCH) usual = USUAL_BATCH;
    double all = cost_way(cost, &item->way, section, 1);
    double rest = all - cost_section(cost, section, 1);
    if ((item->way.heads & 1u << section) != 0) rest -= cost_head(cost, section, 1);
    item->sched.rest_ns = after_s(0, rest);
    item->sched.work_ns = after_s(0, cost_way(cost, &item->way, section, usual) / usual);
}

int admission_decide(struct engine *engine, struct ticket *ticket, int64_t now_ns)
{
    struct request *request = ticket->request;
    struct way way;
    int rc = 0;
    if (request->sla.deadline_ns > 0) {
        rc = choose_in_time(engine, ticket, now_ns, &way);
    } else {
        way_choose(&request->sla, &ticket->version->classifiers, 0, &way);
    }
    if (rc == 0) rc = make_room(engine, request);
    if (rc < 0) return rc;
    for (int i = 0; i < request->n_images; i++) ticket->items[i].way = way;
    return 0;
}
