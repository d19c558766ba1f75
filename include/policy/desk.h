/* The desk: who is let in, what is decoded and computed next, who answers with what. It is told
 * what happens, with the time as an argument, and says what to do; who does it, and on which
 * threads, is not its matter, nor is the clock. So the daemon and a simulation drive the same rules
 * (doc/sla.md).
 *
 *   desk_arrived -> desk_decode, desk_decoded -> desk_next -> the section is computed
 *      | refused                                    ^            | desk_section_done
 *      v                                            |            v
 *   desk_explain                        goes on ----+------ the heads that somebody needs
 *                                                   |            | desk_heads_done
 *                            desk_ended <--- ends --+------------+ desk_stays | desk_part
 *
 * A request carries items, one an image; each is in one place at a time. Requests, items, versions
 * and batches are structs of the caller's, linked in place: after desk_new() nothing is allocated.
 * Whatever ends, an item's time, its request's or its room, is found in desk_ended(); the caller
 * empties that after each call. No function may run while another one does, but those that name
 * a batch or a request only. */
#ifndef POLICY_DESK_H
#define POLICY_DESK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "policy/classifiers.h"
#include "policy/decode_cost.h"
#include "policy/margin.h"
#include "policy/promises.h"
#include "policy/sched.h"
#include "policy/sla.h"
#include "policy/way.h"

struct desk;

/* Where images are decoded: what takes long has seats of its own, so that nobody waits behind it
 * who does not. */
enum desk_seat { DESK_FOREGROUND, DESK_BACKGROUND, DESK_SEATS };

struct desk_options {
    unsigned workers;           /* at least 1 */
    int batch_max;              /* items in one batch */
    int queue_max;              /* items that are in and have not ended */
    int64_t default_target_ns;  /* of urgency 3, where there is no deadline (rule 8) */
    unsigned seats[DESK_SEATS]; /* images decoded at a time, of each kind at least 1 */
    size_t decode_memory_max;   /* bytes that they may take together */
    double decode_slowness;     /* of decode_cost_init() */
};

/* A version of a network. What is in flight keeps its version: it goes when nobody is left. */
struct desk_version {
    struct classifiers classifiers;
    struct sched_queue queues[2][POLICY_EXITS_MAX]; /* [1]: of those with a deadline */
    /* As the table has it: an image in a usual batch, and one alone. */
    struct desk_price {
        double section_s, head_s;
    } usual[POLICY_EXITS_MAX], alone[POLICY_EXITS_MAX];
    double longest_s; /* of the sections, for one image */
    /* From a section to an exit: how many images in a batch are enough, larger ones gain little. */
    int enough[POLICY_EXITS_MAX][POLICY_EXITS_MAX];

    /* Of the machine it has this share before others, among those that are asked for: 1 unless
     * somebody sets it after desk_version_init(), at any time. More than 0. */
    double share;
    size_t in_flight; /* items */
    double used_s;    /* of workers, lately */
    int64_t used_at_ns;
    struct desk_version *before, *after; /* of those with items in flight */
};

/* Why a request was not let in. */
enum desk_refusal {
    DESK_ADMITTED,
    DESK_FULL,       /* and nobody less urgent makes room: 503 */
    DESK_OVERLOADED, /* no classifier can be in time behind the others: 503, or 504 with `fail` */
    DESK_IMPOSSIBLE  /* not in time on an idle machine either: 504 */
};

struct desk_request {
    /* set by the caller before desk_arrived(); what they point to stays until the last item has
     * ended */
    const struct sla *sla;
    int64_t arrival_ns;
    struct desk_version *version;
    struct desk_item *items; /* linked by `sibling` */
    int n_items;             /* 1..queue_max */
    uint64_t client;         /* equal for those who share a share of the seats; 0: nobody else's */

    /* the desk's */
    struct way way; /* of all items */
    int pending;    /* items that have not ended */
    int given_up;   /* the code with which all of it ends: cancelled, shed; or 0 */
    enum desk_refusal refusal;
    int retry_after_s;   /* with ERR_BUSY, whether it was refused or shed */
    int64_t computed_ns; /* when the last of its answers was there; 0: none was computed */
    struct desk_burden {
        int n;
        double sum_s, longest_s; /* predicted, to decode them */
        struct desk_item *held;  /* from here on some are held back */
        int64_t held_ns;
    } burden[DESK_SEATS];     /* what its images are for the seats of each kind */
    bool blames_decoding;     /* refused for what decoding takes, which is: */
    double decode_s, queue_s; /* seconds, and those before it begins */
};

struct desk_item {
    /* set by the caller before desk_arrived(), the rest 0 */
    struct sched_item sched; /* first; the scheduler's */
    struct promise promise;  /* the desk's: while it waits and has a deadline */
    struct desk_request *request;
    struct desk_item *sibling; /* NULL: the last of its request */
    struct decode_size size;   /* memory_bytes at most desk_decode_memory_max() */
    int refused;               /* negative: it cannot be decoded, and ends at once with this code */

    /* set by who computed heads, before desk_heads_done() */
    unsigned computed; /* bit s: head s has run */
    double confidence; /* of the head that ran last, calibrated */
    int fault;         /* negative: what came out cannot be an answer; it ends with this code */

    /* in a batch, the desk's */
    bool needs_head;          /* of the section that was computed */
    enum way_step step;       /* WAY_CONTINUE: its features are needed in the next section */
    int ahead;                /* of its batch, by target */
    enum way_time time;       /* at the present border */
    struct way_answer answer; /* with WAY_STOP, and at the end with status 0 */

    /* the desk's */
    enum desk_seat seat; /* where it is decoded.. */
    unsigned seat_no;    /* ..while it is */
    int64_t price_ns;    /* of decoding it, predicted when it came */
    bool decoded;
    int64_t wait_ns;   /* before it was taken the last time */
    int64_t waited_ns; /* in all */
    int status;        /* at the end: 0, or ERR_DEADLINE.. */
    bool dropped;      /* it ended when it was taken, and not for what a section gave */
    bool last;         /* with it the request has ended */
    struct desk_item *next_ended;
};

/* Items of one version that go through a section together, on one worker. */
struct desk_batch {
    /* set by the caller */
    struct desk_item **items; /* room for batch_max */
    unsigned worker;          /* from 0 */

    struct desk_version *version;
    int n, section;
    double section_s; /* what the section is predicted to take, without heads */
    bool could_stay;  /* at the border: if all go on, they are expected to stay together */
};

/* NULL with -ENOMEM. */
struct desk *desk_new(const struct desk_options *options, struct err *e);

/* Those of desk_options from now on, for what arrives. */
void desk_set_limits(struct desk *desk, int queue_max, int64_t default_target_ns);
void desk_free(struct desk *desk);

/* Before the first request of a version. */
void desk_version_init(struct desk_version *version, const struct classifiers *classifiers);

/* Lets a request in (0): its items wait for decoding; or refuses it: ERR_BUSY or ERR_DEADLINE
 * (rules 5 and 6). The classifiers have been asked (sla_check_model()). Others that are less urgent
 * may have to go for it (rule 8). */
int desk_arrived(struct desk *desk, struct desk_request *request, int64_t now_ns);

/* The next item to be decoded in a seat of that kind, which it has until desk_decoded(); NULL: no
 * seat is free, or nobody's turn (rule 14). */
struct desk_item *desk_decode(struct desk *desk, enum desk_seat seat, int64_t now_ns);

/* An item has been decoded, in so many seconds by the clock (0: it did not come to that) with so
 * many of a processor (0: not known). status: 0, or the code with which it ends, alone of its
 * request. */
void desk_decoded(struct desk *desk, struct desk_item *item, int status, double took_s,
                  double cpu_s, int64_t now_ns);

/* Bytes that decoding one image may take. Never changes; may be called at any time. */
size_t desk_decode_memory_max(const struct desk *desk);

/* Its client has gone, or the like: items that wait end now, with this code, those in work when
 * they come back. A request that has ended is left alone. */
void desk_give_up(struct desk *desk, struct desk_request *request, int code);

/* Until then a worker does something else; 0: no more. */
void desk_occupied(struct desk *desk, unsigned worker, int64_t until_ns);

enum desk_task {
    DESK_WAIT,    /* until something happens: who is free never waits for a batch to fill */
    DESK_DECODE,  /* batch->items[0], in the foreground */
    DESK_SECTION, /* batch->section of batch->version with its items, n of them at least 1 */
};

/* A worker is free: what it does next. Those who are known to need the head of the section come
 * first in the batch. */
enum desk_task desk_next(struct desk *desk, struct desk_batch *batch, int64_t now_ns);

enum desk_border {
    DESK_HEADS, /* the heads of those with `needs_head`, then desk_heads_done() */
    DESK_STAYS, /* all go on to the next section, which batch->section is now, and nobody is there
                   to join them or goes before: as they are, without a copy */
    DESK_PARTS, /* desk_part(), when the features of those that go on are where others find them */
};

/* A section has been computed. helped: by other workers, too, so that its time says nothing of when
 * all are busy, but what help is worth. may_stay: the caller has nothing else to do first. */
enum desk_border desk_section_done(struct desk *desk, struct desk_batch *batch, double took_s,
                                   bool helped, bool may_stay, int64_t now_ns);

/* The heads have run. Decides for each item; returns how many go on. Touches the batch alone: other
 * functions may run meanwhile. */
int desk_heads_done(struct desk_batch *batch, int64_t now_ns);

/* A batch of which all go on: whether it stays together as with DESK_STAYS, or parts. */
bool desk_stays(struct desk *desk, struct desk_batch *batch, int64_t now_ns);

/* Everybody leaves the batch: ends, or waits for the next section. */
void desk_part(struct desk *desk, struct desk_batch *batch, int64_t now_ns);

/* The next item that has ended, in that order; NULL: no more. The desk is through with it, and
 * after the last one with its request. */
struct desk_item *desk_ended(struct desk *desk);

/* What a request whose last item has ended comes to: 0 when there is something to answer with, or a
 * negative code, that of its first item unless all of it was given up or has missed its deadline.
 * Touches the request alone. */
int desk_conclude(const struct desk_request *request);

/* The sentence for the human that goes with a refusal, or with what desk_conclude() said. Touches
 * the request alone. Returns status. */
int desk_explain(const struct desk_request *request, int status, struct err *e);

/* A reply has left, as far as the caller can see it go, for a request with that computed_ns: so
 * much of every deadline is kept for what comes after computing. */
void desk_replied(struct desk *desk, int64_t computed_ns, int64_t left_ns);
double desk_margin_s(const struct desk *desk);

size_t desk_in_flight(const struct desk *desk); /* items that have not ended */
size_t desk_waiting(const struct desk *desk);   /* of those, how many wait for a section */

struct desk_decoding {
    size_t waiting, running; /* items */
    size_t memory_bytes;     /* of those that run */
};
struct desk_decoding desk_decoding(const struct desk *desk, enum desk_seat seat);

/* Whether so little is in flight, but for the background, that workers decode what they will
 * compute. When there is more, they would begin with single images while others are decoded. */
bool desk_is_quiet(const struct desk *desk);

#endif
