/* A network as the policy sees it (rules are those of doc/sla.md): plain numbers. Who serves a
 * network fills one of these for each version, and keeps it for as long as somebody asks for that
 * version. */
#ifndef POLICY_CLASSIFIERS_H
#define POLICY_CLASSIFIERS_H

#include <stdbool.h>

struct cost; /* cost.h */

enum { POLICY_EXITS_MAX = 8, POLICY_LEVELS_MAX = 16 };

/* Classifiers are numbered: 0.. the exits from the shallowest on, the ensemble of all of them, and
 * the running ensembles of exits 0..exit. */
#define CLASSIFIER_ENSEMBLE (-1)
#define CLASSIFIER_RUNNING(exit) (POLICY_EXITS_MAX + (exit))

struct classifiers {
    const char *model;  /* its name, for messages */
    int exits;          /* 1..POLICY_EXITS_MAX; exit i stands at the end of section i */
    unsigned untrained; /* bit i: exit i has not learned and never answers; not the deepest */
    bool calibrated;    /* the accuracies below are known, and so is what a confidence means */
    double accuracy[POLICY_EXITS_MAX], ensemble_accuracy; /* fractions, of held-out images */
    /* Of the running ensembles; 0: there is none. Which heads it takes. */
    unsigned running[POLICY_EXITS_MAX];
    double running_accuracy[POLICY_EXITS_MAX];
    bool tuned;                          /* there are thresholds */
    double thresholds[POLICY_EXITS_MAX]; /* calibrated confidence at which exit i, or its running
                                            ensemble (rule 13), answers; > 1: never; deepest 0 */
    /* Least confidences by which answers lose at most so much against the best classifier (rule
     * 12); max_loss rises. */
    int levels;
    double max_loss[POLICY_LEVELS_MAX], level_confidence[POLICY_LEVELS_MAX];
    struct cost *cost; /* what its sections and heads take; not for sla.h and way.h, which judge
                          without times */
};

#endif
