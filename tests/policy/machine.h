/* A simulated machine that serves arrivals with the daemon's own desk (policy/desk.h) on a virtual
 * clock: workers that take what a measured table says, give or take, and an operating system that
 * comes between: the loop is late, a worker is preempted, a reply waits before it leaves. What the
 * client gets, and when, is compared with a bound (bound.h). */
#ifndef TESTS_POLICY_MACHINE_H
#define TESTS_POLICY_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/desk.h"

enum { NETWORK_SIZES = 6, NETWORK_EXITS = 4, MACHINE_CLASSES_MAX = 4, MACHINE_MODELS_MAX = 2 };

/* Four sections, batches of 1, 2, 4 .. 32. */
struct network {
    const char *name;
    double section_ms[NETWORK_EXITS][NETWORK_SIZES], head_ms[NETWORK_EXITS][NETWORK_SIZES];
    double accuracy[NETWORK_EXITS];
};

/* ResNet18 at full width and the shipped one, at width 16, as doc/scheduler.md says. */
extern const struct network network_full, network_small;

/* Images a second that workers answer with the deepest exit in batches of 8. */
double network_capacity(const struct network *network, unsigned workers);

/* What some of the clients ask for. */
struct machine_class {
    const char *name;
    double share; /* of the arrivals */
    struct sla sla;
    int model; /* 0.. */
};

/* The class that says SLA-Deadline-Ms and nothing else. */
struct machine_class machine_deadline_class(double deadline_s);

struct machine_os {
    double loop_s; /* until the loop has read a request: exponential, its mean */
    double reply_median_s, reply_p99_s; /* from computed to sent: log-normal; 0: at once */
    double noise;       /* of a section's time: standard deviation as a fraction, never less than
                           the table's */
    double preempted;   /* so often in a second of computing something else comes between.. */
    double preempted_s; /* ..for up to so long */
    double helped;      /* time of a section with the help of an idle worker; 1: none */
};
extern const struct machine_os machine_os_usual, machine_os_ideal;

struct machine {
    uint64_t seed;
    unsigned workers;
    int queue_max;
    const struct network *networks[MACHINE_MODELS_MAX];
    struct machine_class classes[MACHINE_CLASSES_MAX];
    int n_classes;
    struct machine_os os;
};

struct machine_arrival {
    int64_t at_ns;
    int class;
};

struct machine_outcome {
    int status;     /* 0: answered, or the code of the refusal */
    bool in_time;   /* by the client's clock; without a deadline always */
    int classifier; /* with status 0 */
    int batch;      /* that its last section ran in */
    int64_t left_ns;
};

/* Serves the arrivals, in the order of time. Ends the program with a message where a property is
 * broken: an arrival without an outcome, or with two; an order that turned round within a class; a
 * bound on the time that everybody waits. */
void machine_run(const struct machine *machine, const struct machine_arrival *arrivals, size_t n,
                 struct machine_outcome *ret_outcomes);

/* What came of it. */
struct machine_score {
    size_t n, answered, in_time, refused, late;
    size_t exits[NETWORK_EXITS + 1]; /* in time, by classifier; the last: an ensemble */
    double right; /* in time, with the right label, as held-out accuracy has it */
    double latency_p50_s, latency_p99_s;
    double batch_last; /* images in a batch of the last section, on average over images */
};

/* Of one class; -1: of all. */
void machine_score(const struct machine *machine, const struct machine_arrival *arrivals, size_t n,
                   const struct machine_outcome *outcomes, int class, struct machine_score *ret);

#endif
