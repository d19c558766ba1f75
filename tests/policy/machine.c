/* The simulated machine: see machine.h. Events in the order of time: a request reaches the desk, a
 * worker is through with a section or with heads, a reply leaves. Decoding takes no time here:
 * test_desk_sim.c has that. */
#include "config.h"

#include "machine.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "policy/cost.h"

enum { BATCH_MAX = 32, WORKERS_MAX = 16, SEATS = 64 };

const struct network network_full = {
    "resnet18, width 64",
    {{.790, 1.744, 3.284, 6.526, 12.950, 25.738},
     {.838, 1.690, 3.482, 6.836, 13.632, 27.300},
     {1.310, 2.386, 4.168, 7.698, 14.576, 28.326},
     {1.850, 3.218, 6.432, 9.372, 15.450, 29.118}},
    {{.434, .866, 1.744, 3.348, 6.808, 13.810},
     {.174, .326, .624, 1.246, 2.592, 5.044},
     {.084, .160, .312, .572, 1.092, 2.174},
     {.010, .016, .018, .026, .048, .116}},
    {.442, .525, .608, .652},
};

const struct network network_small = {
    "resnet18, width 16",
    {{.055, .106, .210, .420, .835, 1.752},
     {.033, .067, .130, .262, .529, 1.086},
     {.034, .057, .109, .216, .435, .920},
     {.053, .075, .131, .196, .389, .796}},
    {{.016, .029, .055, .111, .227, .484},
     {.006, .011, .020, .040, .080, .165},
     {.004, .006, .010, .019, .038, .077},
     {.001, .001, .001, .002, .004, .008}},
    {.442, .523, .605, .643},
};

const struct machine_os machine_os_usual = {.loop_s = 1e-4,
                                            .reply_median_s = 1.8e-3,
                                            .reply_p99_s = 6e-3,
                                            .noise = .02,
                                            .preempted = 10,
                                            .preempted_s = 3e-3,
                                            .helped = .62};
const struct machine_os machine_os_ideal = {.helped = 1};

double network_capacity(const struct network *network, unsigned workers)
{
    enum { EIGHT = 3 };
    double ms = network->head_ms[NETWORK_EXITS - 1][EIGHT];
    for (int s = 0; s < NETWORK_EXITS; s++) ms += network->section_ms[s][EIGHT];
    return workers * 8 / (ms / 1e3);
}

struct machine_class machine_deadline_class(double deadline_s)
{
    return (struct machine_class){.name = "deadline",
                                  .share = 1,
                                  .sla = {.classifier = SLA_AUTO,
                                          .deadline_ns = (int64_t)(deadline_s * 1e9),
                                          .min_confidence = -1,
                                          .min_accuracy = -1,
                                          .urgency = 3,
                                          .deadline_chooses = true}};
}

/* ---- the world ---- */

struct client {
    struct desk_request request; /* first */
    struct desk_item item;
    int ends; /* outcomes that it has had */
    bool admitted;
};

struct worker {
    enum { IDLE, IN_SECTION, IN_HEADS } state;
    struct desk_batch batch;
    struct desk_item *items[BATCH_MAX];
    int64_t begun_ns, until_ns;
    bool helped;
};

struct reply {
    int64_t computed_ns, left_ns;
};

struct world {
    const struct machine *machine;
    const struct machine_arrival *arrivals;
    size_t n, next;
    int64_t next_ns; /* when the next arrival reaches the desk */
    struct machine_outcome *outcomes;
    struct client *clients;
    struct desk *desk;
    struct desk_version versions[MACHINE_MODELS_MAX];
    struct worker workers[WORKERS_MAX];
    struct reply *replies; /* a heap by left_ns */
    size_t n_replies;
    struct rng rng;
    int64_t now;
};

static void broken(const struct world *w, const char *what)
{
    printf("# seed %" PRIu64 ", at %.6f s: %s\n", w->machine->seed,
           (double)w->now / (double)CLOCK_SECOND, what);
    printf("not ok - a property is broken\n");
    exit(1);
}

static int64_t ns_of_s(double s)
{
    return (int64_t)(s * (double)CLOCK_SECOND);
}

static double exponential(struct rng *rng, double mean)
{
    return -mean * log(1 - rng_uniform(rng));
}

/* What something takes that the table says to take so long. */
static int64_t real_ns(struct world *w, double ms)
{
    const struct machine_os *os = &w->machine->os;
    double s = ms / 1e3 * (1 + os->noise * fabs(rng_normal(&w->rng)));
    if (os->preempted > 0 && rng_uniform(&w->rng) < os->preempted * s)
        s += os->preempted_s * rng_uniform(&w->rng);
    return 1 + ns_of_s(s);
}

static double table_ms(const double *ms, int batch)
{
    int i = 0;
    while (1 << i < batch) i++;
    if (1 << i == batch) return ms[i];
    double below = ms[i - 1];
    return below + (ms[i] - below) * (batch - (1 << (i - 1))) / (1 << (i - 1));
}

/* ---- replies ---- */

static void push_reply(struct world *w, struct reply reply)
{
    size_t at = w->n_replies++;
    for (; at > 0 && w->replies[(at - 1) / 2].left_ns > reply.left_ns; at = (at - 1) / 2)
        w->replies[at] = w->replies[(at - 1) / 2];
    w->replies[at] = reply;
}

static struct reply pop_reply(struct world *w)
{
    struct reply top = w->replies[0], last = w->replies[--w->n_replies];
    size_t at = 0;
    for (size_t next; (next = 2 * at + 1) < w->n_replies; at = next) {
        if (next + 1 < w->n_replies && w->replies[next + 1].left_ns < w->replies[next].left_ns)
            next++;
        if (w->replies[next].left_ns >= last.left_ns) break;
        w->replies[at] = w->replies[next];
    }
    w->replies[at] = last;
    return top;
}

static double reply_s(struct world *w)
{
    const struct machine_os *os = &w->machine->os;
    if (os->reply_median_s <= 0) return 0;
    const double z99 = 2.326;
    double sigma = log(os->reply_p99_s / os->reply_median_s) / z99;
    return os->reply_median_s * exp(sigma * rng_normal(&w->rng));
}

/* ---- requests in, answers out ---- */

static void finish(struct world *w, struct client *client, int status, int64_t left_ns)
{
    size_t i = (size_t)(client - w->clients);
    int64_t deadline = client->request.sla->deadline_ns;
    if (client->ends++ > 0) broken(w, "an arrival has ended twice");
    w->outcomes[i] = (struct machine_outcome){
        .status = status,
        .left_ns = left_ns,
        .classifier = status == 0 ? client->item.answer.classifier : 0,
        .batch = w->outcomes[i].batch,
        .in_time = status == 0 && (deadline == 0 || left_ns <= w->arrivals[i].at_ns + deadline)};
}

static void take_ended(struct world *w)
{
    for (struct desk_item *item; (item = desk_ended(w->desk)) != NULL;) {
        struct client *client = (struct client *)item->request;
        int64_t left = w->now + ns_of_s(reply_s(w));
        int status = desk_conclude(&client->request);
        if (!client->admitted) broken(w, "who was refused has ended");
        finish(w, client, status, left);
        if (status == 0) push_reply(w, (struct reply){client->request.computed_ns, left});
    }
}

static void arrive(struct world *w)
{
    size_t i = w->next++;
    struct client *client = &w->clients[i];
    const struct machine_class *class = &w->machine->classes[w->arrivals[i].class];
    client->item = (struct desk_item){.request = &client->request};
    client->item.size =
        (struct decode_size){DECODE_PNG, 32, 32, .bytes = 2500, .samples = 3072, .pixels = 1024};
    client->request = (struct desk_request){.sla = &class->sla,
                                            .arrival_ns = w->arrivals[i].at_ns,
                                            .version = &w->versions[class->model],
                                            .items = &client->item,
                                            .n_items = 1};
    int rc = desk_arrived(w->desk, &client->request, w->now);
    client->admitted = rc == 0;
    take_ended(w);
    if (rc < 0) {
        finish(w, client, rc, w->now);
        return;
    }
    for (struct desk_item *item; (item = desk_decode(w->desk, DESK_FOREGROUND, w->now)) != NULL;) {
        desk_decoded(w->desk, item, 0, 0, 0, w->now);
        take_ended(w);
    }
    take_ended(w);
}

/* The loop takes one after the other. */
static void schedule_arrival(struct world *w)
{
    if (w->next == w->n) {
        w->next_ns = INT64_MAX;
        return;
    }
    int64_t at = w->arrivals[w->next].at_ns + ns_of_s(exponential(&w->rng, w->machine->os.loop_s));
    w->next_ns = at > w->now ? at : w->now;
}

/* ---- workers ---- */

static const struct network *network_of(const struct world *w, const struct desk_batch *b)
{
    return w->machine->networks[b->version - w->versions];
}

static void begin_section(struct world *w, struct worker *worker)
{
    struct desk_batch *b = &worker->batch;
    bool idle = false;
    for (unsigned i = 0; i < w->machine->workers; i++)
        idle |= &w->workers[i] != worker && w->workers[i].state == IDLE;
    worker->helped = idle && w->machine->os.helped < 1;
    double ms = table_ms(network_of(w, b)->section_ms[b->section], b->n);
    worker->state = IN_SECTION;
    worker->begun_ns = w->now;
    worker->until_ns = w->now + real_ns(w, worker->helped ? ms * w->machine->os.helped : ms);
    for (int i = 0; i < b->n; i++)
        w->outcomes[(struct client *)b->items[i]->request - w->clients].batch = b->n;
}

static void part(struct world *w, struct worker *worker)
{
    desk_part(w->desk, &worker->batch, w->now);
    worker->state = IDLE;
    take_ended(w);
}

static void end_section(struct world *w, struct worker *worker)
{
    struct desk_batch *b = &worker->batch;
    int section = b->section, heads = 0;
    double took = (double)(w->now - worker->begun_ns) / (double)CLOCK_SECOND;
    switch (desk_section_done(w->desk, b, took, worker->helped, true, w->now)) {
    case DESK_HEADS:
        for (int i = 0; i < b->n; i++) heads += b->items[i]->needs_head;
        worker->state = IN_HEADS;
        worker->until_ns = w->now + real_ns(w, table_ms(network_of(w, b)->head_ms[section], heads));
        break;
    case DESK_STAYS:
        begin_section(w, worker);
        break;
    case DESK_PARTS:
        part(w, worker);
        break;
    }
}

static void end_heads(struct world *w, struct worker *worker)
{
    struct desk_batch *b = &worker->batch;
    for (int i = 0; i < b->n; i++) {
        if (!b->items[i]->needs_head) continue;
        b->items[i]->computed |= 1u << b->section;
        b->items[i]->confidence = 0;
    }
    if (desk_heads_done(b, w->now) == b->n && b->could_stay && desk_stays(w->desk, b, w->now))
        begin_section(w, worker);
    else
        part(w, worker);
}

static void hand_out(struct world *w)
{
    for (unsigned i = 0; i < w->machine->workers; i++) {
        struct worker *worker = &w->workers[i];
        if (worker->state != IDLE) continue;
        enum desk_task task = desk_next(w->desk, &worker->batch, w->now);
        take_ended(w);
        if (task == DESK_DECODE) broken(w, "an image waits for its decoding");
        if (task == DESK_SECTION) begin_section(w, worker);
        if (task == DESK_WAIT && desk_waiting(w->desk) > 0) broken(w, "work waits beside a worker");
    }
}

static bool step(struct world *w)
{
    int64_t event = w->next_ns;
    struct worker *who = NULL;
    for (unsigned i = 0; i < w->machine->workers; i++) {
        struct worker *worker = &w->workers[i];
        if (worker->state == IDLE || worker->until_ns >= event) continue;
        event = worker->until_ns;
        who = worker;
    }
    if (w->n_replies > 0 && w->replies[0].left_ns <= event) {
        struct reply reply = pop_reply(w);
        w->now = reply.left_ns > w->now ? reply.left_ns : w->now;
        desk_replied(w->desk, reply.computed_ns, reply.left_ns);
        return true;
    }
    if (event == INT64_MAX) return false;
    w->now = event;
    if (who == NULL) {
        arrive(w);
        schedule_arrival(w);
    } else if (who->state == IN_SECTION) {
        end_section(w, who);
    } else {
        end_heads(w, who);
    }
    hand_out(w);
    return true;
}

/* ---- a run ---- */

static void make_version(const struct network *network, struct desk_version *version)
{
    struct classifiers c = {.model = network->name, .exits = NETWORK_EXITS, .calibrated = true};
    c.cost = cost_new(NETWORK_EXITS, BATCH_MAX);
    if (c.cost == NULL) abort();
    for (int s = 0; s < NETWORK_EXITS; s++) {
        for (int i = 0; i < NETWORK_SIZES; i++)
            cost_measured(c.cost, i, s, network->section_ms[s][i] / 1e3,
                          network->head_ms[s][i] / 1e3);
        c.accuracy[s] = network->accuracy[s];
    }
    desk_version_init(version, &c);
}

static void start(struct world *w)
{
    const struct machine *m = w->machine;
    struct desk_options options = {.workers = m->workers,
                                   .batch_max = BATCH_MAX,
                                   .queue_max = m->queue_max,
                                   .default_target_ns = CLOCK_SECOND,
                                   .seats = {SEATS, 1},
                                   .decode_memory_max = 1 << 30};
    w->clients = mem_new(w->n + 1, sizeof(*w->clients));
    w->replies = mem_new(w->n + 1, sizeof(*w->replies));
    w->desk = desk_new(&options, NULL);
    if (w->clients == NULL || w->replies == NULL || w->desk == NULL) abort();
    memset(w->clients, 0, w->n * sizeof(*w->clients));
    memset(w->outcomes, 0, w->n * sizeof(*w->outcomes));
    for (int i = 0; i < MACHINE_MODELS_MAX; i++)
        if (m->networks[i] != NULL) make_version(m->networks[i], &w->versions[i]);
    for (unsigned i = 0; i < m->workers; i++) {
        w->workers[i].batch.items = w->workers[i].items;
        w->workers[i].batch.worker = i;
    }
    schedule_arrival(w);
}

void machine_run(const struct machine *machine, const struct machine_arrival *arrivals, size_t n,
                 struct machine_outcome *ret_outcomes)
{
    struct world w = {.machine = machine, .arrivals = arrivals, .n = n, .outcomes = ret_outcomes};
    rng_init(&w.rng, machine->seed, RNG_TEST, 17, 0);
    start(&w);
    for (size_t steps = 0; step(&w); steps++)
        if (steps > 100 * n + 10000) broken(&w, "somebody waits for ever");
    for (size_t i = 0; i < n; i++)
        if (w.clients[i].ends != 1) broken(&w, "an arrival has not ended");
    if (desk_in_flight(w.desk) > 0) broken(&w, "the desk has not let go of somebody");
    for (int i = 0; i < MACHINE_MODELS_MAX; i++)
        if (machine->networks[i] != NULL) cost_free(w.versions[i].classifiers.cost);
    desk_free(w.desk);
    mem_free(w.clients);
    mem_free(w.replies);
}

/* ---- what came of it ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

void machine_score(const struct machine *machine, const struct machine_arrival *arrivals, size_t n,
                   const struct machine_outcome *outcomes, int class, struct machine_score *ret)
{
    double *latency = mem_new(n + 1, sizeof(*latency));
    size_t last = 0;
    if (latency == NULL) abort();
    *ret = (struct machine_score){.n = 0};
    for (size_t i = 0; i < n; i++) {
        const struct machine_outcome *o = &outcomes[i];
        if (class >= 0 && arrivals[i].class != class) continue;
        ret->n++;
        if (o->status != 0) {
            ret->refused++;
            continue;
        }
        const struct network *network =
            machine->networks[machine->classes[arrivals[i].class].model];
        latency[ret->answered++] = (double)(o->left_ns - arrivals[i].at_ns) / (double)CLOCK_SECOND;
        ret->in_time += o->in_time;
        ret->late += !o->in_time;
        int exit =
            o->classifier >= 0 && o->classifier < NETWORK_EXITS ? o->classifier : NETWORK_EXITS;
        if (exit == NETWORK_EXITS - 1) {
            last++;
            ret->batch_last += o->batch;
        }
        if (!o->in_time) continue;
        ret->exits[exit]++;
        if (exit < NETWORK_EXITS) ret->right += network->accuracy[exit];
    }
    if (last > 0) ret->batch_last /= (double)last;
    qsort(latency, ret->answered, sizeof(*latency), ascending);
    if (ret->answered > 0) {
        ret->latency_p50_s = latency[ret->answered / 2];
        ret->latency_p99_s = latency[ret->answered * 99 / 100];
    }
    mem_free(latency);
}
