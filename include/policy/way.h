/* The way of one image through a network, as its SLA wants it: which classifier shall answer, which
 * heads run on the way, at which confidence to stop, and what to do when time runs short. Pure:
 * time comes in as a judgement, confidence as a number. Any thread. */
#ifndef POLICY_WAY_H
#define POLICY_WAY_H

#include <stdbool.h>

#include "policy/classifiers.h"
#include "policy/sla.h"

struct way {
    int exits;              /* of the network */
    int goal;               /* the classifier that answers at the end.. */
    int last;               /* ..after this section.. */
    enum sla_reason reason; /* ..for this reason */
    unsigned goal_heads;    /* ..from these heads */
    unsigned learned;       /* bit s: exit s has, so that its head may run */
    unsigned heads;         /* bit s: the head of exit s runs when the way comes past it */
    double
        stop_at[POLICY_EXITS_MAX]; /* calibrated confidence at which exit s answers; > 1: never */
    /* What answers at the border after section s when all of its heads have run; else exit s does.
     * The running ensemble where nobody named a classifier and it is the better one (rule 13 of
     * doc/sla.md). */
    int answerer[POLICY_EXITS_MAX];
    unsigned answerer_heads[POLICY_EXITS_MAX];
    bool fail;        /* on-miss=fail */
    bool free_choice; /* the deadline chooses: an earlier exit is no miss (rule 2 of doc/sla.md) */
};

/* The n-th choice: 0 is what the SLA asks for, further ones take less time (rules 2, 4 and 6: the
 * single exits below it, deepest first; by held-out accuracy where the deadline chooses). Exits
 * that have not learned are none. Their reason is SLA_BY_DEADLINE. false when there is no n-th
 * choice. Exits without calibration count as more accurate the deeper they are. */
bool way_choose(const struct sla *sla, const struct classifiers *classifiers, int n,
                struct way *ret_way);

/* The heads that a classifier takes: none when the network does not have it. */
unsigned way_heads(const struct classifiers *classifiers, int classifier);

/* The shallowest exit that may answer when time runs short. */
int way_least(const struct way *way);

/* Whether the head of an exit runs even if all could do with less: a confidence looks at it, or
 * nothing else will do for an answer. */
bool way_must_run(const struct way *way, int exit);

/* The classifier whose confidence counts at the border after a section whose head has run. */
int way_answerer(const struct way *way, int section, unsigned computed);

/* How much time there is, judged at a border before the heads run, or before a section. */
enum way_time {
    WAY_ENOUGH,
    WAY_TIGHT,   /* enough for the next section, but a small delay would be too much */
    WAY_CROWDED, /* enough for this one, but then somebody who waits would be too late, or less
                    deep than this one is already */
    WAY_SHORT,   /* the next section with its head would end too late */
    WAY_OVER,    /* the deadline has passed, or will have before anything is there */
};

/* After a section: does this way want the section's head to run? Never when the deadline has
 * passed, nor one that has not learned. roomy: nobody waits who would be less deep for it;
 * otherwise no head runs on the way just in case, or for an ensemble that is not the only thing
 * that will do.
 */
bool way_needs_head(const struct way *way, int section, enum way_time time, bool roomy);

enum way_step { WAY_STOP, WAY_CONTINUE, WAY_EXPIRED };

struct way_answer {
    int classifier;
    enum sla_reason reason;
};

/* After a section and its head (computed: bit s: head s has run; if this one did, confidence is its
 * calibrated one). Past the deadline what a head has computed answers, or nothing does (rule 7).
 * WAY_STOP sets the answer. WAY_EXPIRED: 504. */
enum way_step way_after(const struct way *way, int section, unsigned computed, double confidence,
                        enum way_time time, struct way_answer *ret_answer);

/* Before a section, for one that has waited (rule 7). computed may be 0. */
enum way_step way_before(const struct way *way, unsigned computed, enum way_time time,
                         struct way_answer *ret_answer);

#endif
