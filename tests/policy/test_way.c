/* The rules as tables: which way an SLA becomes, and what it does at each border. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../seeded.h"
#include "policy/classifiers.h"
#include "policy/way.h"

enum { N = 4, ENS = CLASSIFIER_ENSEMBLE };

static const struct classifiers calibrated = {
    .exits = N, .calibrated = true, .accuracy = {.5, .6, .8, .7}, .ensemble_accuracy = .75};
static const struct classifiers ensemble_best = {
    .exits = N, .calibrated = true, .accuracy = {.5, .6, .7, .8}, .ensemble_accuracy = .9};
static const struct classifiers tuned = {.exits = N,
                                         .calibrated = true,
                                         .accuracy = {.5, .6, .7, .8},
                                         .ensemble_accuracy = .9,
                                         .tuned = true,
                                         .thresholds = {.9, 1.5, .6, 0}};
static const struct classifiers absent = {.exits = N};

/* Of exits that have not learned, the figures would lead astray. */
static const struct classifiers half = {.exits = N,
                                        .untrained = 5,
                                        .calibrated = true,
                                        .accuracy = {.95, .6, .95, .7},
                                        .ensemble_accuracy = .72,
                                        .tuned = true,
                                        .thresholds = {0, .9, 0, 0}};
static const struct classifiers alone = {.exits = N,
                                         .untrained = 7,
                                         .calibrated = true,
                                         .accuracy = {.9, .9, .9, .7},
                                         .ensemble_accuracy = .7};
/* With running ensembles: of exits 1 and 2, of 1 and 3, of all. */
#define R(exit) CLASSIFIER_RUNNING((exit)-1)
static const struct classifiers blended = {.exits = N,
                                           .calibrated = true,
                                           .accuracy = {.5, .6, .7, .72},
                                           .ensemble_accuracy = .74,
                                           .running = {0, 3, 5, 15},
                                           .running_accuracy = {0, .62, .69, .76},
                                           .tuned = true,
                                           .thresholds = {.9, .8, 2, 0}};

/* Levels of a bounded loss; the best is exit 3 of 4, or the ensemble. */
static const struct classifiers levelled = {.exits = N,
                                            .calibrated = true,
                                            .accuracy = {.5, .6, .8, .7},
                                            .ensemble_accuracy = .75,
                                            .levels = 2,
                                            .max_loss = {.01, .05},
                                            .level_confidence = {2, .8}};
static const struct classifiers levelled_all = {.exits = N,
                                                .untrained = 2,
                                                .calibrated = true,
                                                .accuracy = {.5, .6, .7, .8},
                                                .ensemble_accuracy = .9,
                                                .levels = 1,
                                                .max_loss = {0},
                                                .level_confidence = {.8}};

/* "2", "auto confidence=0.9 fail", "auto deadline": as headers would make it. */
static struct sla sla_from(const char *text)
{
    static const struct {
        const char *word, *header, *value; /* NULL: what follows the word */
    } words[] = {{"fail", "SLA-On-Miss", "fail"},
                 {"deadline", "SLA-Deadline-Ms", "5"},
                 {"confidence=", "SLA-Min-Confidence", NULL},
                 {"accuracy=", "SLA-Min-Accuracy", NULL},
                 {"loss=", "SLA-Max-Loss", NULL}};
    char copy[128], *save = NULL;
    struct sla_draft draft;
    struct sla sla;
    sla_draft_init(&draft);
    snprintf(copy, sizeof(copy), "%s", text);
    char *word = strtok_r(copy, " ", &save);
    assert_int_equal(sla_draft_header(&draft, "SLA-Classifier", word, NULL), 0);
    while ((word = strtok_r(NULL, " ", &save)) != NULL) {
        size_t i = 0;
        while (strncmp(word, words[i].word, strlen(words[i].word)) != 0) i++;
        const char *value = words[i].value != NULL ? words[i].value : word + strlen(words[i].word);
        assert_int_equal(sla_draft_header(&draft, words[i].header, value, NULL), 0);
    }
    assert_int_equal(sla_draft_finish(&draft, SLA_DEEPEST, &sla, NULL), 0);
    return sla;
}

static void plans(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *sla;
        const struct classifiers *classifiers;
        int n; /* which choice */
        int goal, last;
        enum sla_reason reason;
        unsigned heads;
        double stop_at[N]; /* 2: never */
    } rows[] = {
        /* Named classifiers: one head. */
        {"2", &absent, 0, 1, 1, SLA_REQUESTED, 2, {2, 2, 2, 2}},
        {"deepest", &calibrated, 0, 3, 3, SLA_REQUESTED, 8, {2, 2, 2, 2}},
        {"ensemble", &absent, 0, ENS, 3, SLA_REQUESTED, 15, {2, 2, 2, 2}},
        /* They degrade to the exits below; the ensemble to the deepest first (rule 4 of
         * doc/sla.md). */
        {"3", &absent, 1, 1, 1, SLA_BY_DEADLINE, 2, {2, 2, 2, 2}},
        {"3", &absent, 2, 0, 0, SLA_BY_DEADLINE, 1, {2, 2, 2, 2}},
        {"ensemble", &absent, 1, 3, 3, SLA_BY_DEADLINE, 8, {2, 2, 2, 2}},
        {"ensemble", &absent, 4, 0, 0, SLA_BY_DEADLINE, 1, {2, 2, 2, 2}},
        /* auto alone (rule 2). */
        {"auto", &absent, 0, 3, 3, SLA_REQUESTED, 8, {2, 2, 2, 2}},
        {"auto", &calibrated, 0, 3, 3, SLA_REQUESTED, 8, {2, 2, 2, 2}},
        {"auto", &tuned, 0, 3, 3, SLA_CONFIDENCE, 13, {.9, 1.5, .6, 0}},
        {"auto", &tuned, 2, 2, 2, SLA_BY_DEADLINE, 5, {.9, 1.5, .6, 2}},
        /* auto with only a deadline: by held-out accuracy (rule 2). */
        {"auto deadline", &calibrated, 0, 2, 2, SLA_BY_DEADLINE, 4, {2, 2, 2, 2}},
        {"auto deadline", &calibrated, 1, ENS, 3, SLA_BY_DEADLINE, 15, {2, 2, 2, 2}},
        {"auto deadline", &calibrated, 2, 3, 3, SLA_BY_DEADLINE, 8, {2, 2, 2, 2}},
        {"auto deadline", &calibrated, 4, 0, 0, SLA_BY_DEADLINE, 1, {2, 2, 2, 2}},
        {"auto deadline", &absent, 0, 3, 3, SLA_BY_DEADLINE, 8, {2, 2, 2, 2}},
        {"auto deadline", &absent, 4, ENS, 3, SLA_BY_DEADLINE, 15, {2, 2, 2, 2}},
        /* Min-Confidence: every exit may stop it, the best one answers at the end (rule 3). */
        {"auto confidence=0.9", &calibrated, 0, 2, 3, SLA_EXHAUSTED, 15, {.9, .9, .9, .9}},
        {"auto confidence=0.9", &ensemble_best, 0, ENS, 3, SLA_EXHAUSTED, 15, {.9, .9, .9, .9}},
        /* Min-Accuracy: the shallowest that has it. */
        {"auto accuracy=0.55", &calibrated, 0, 1, 1, SLA_ACCURACY, 2, {2, 2, 2, 2}},
        {"auto accuracy=0.6", &calibrated, 0, 1, 1, SLA_ACCURACY, 2, {2, 2, 2, 2}},
        {"auto accuracy=0", &calibrated, 0, 0, 0, SLA_ACCURACY, 1, {2, 2, 2, 2}},
        {"auto accuracy=0.85", &ensemble_best, 0, ENS, 3, SLA_ACCURACY, 15, {2, 2, 2, 2}},
        {"auto accuracy=0.95", &ensemble_best, 0, ENS, 3, SLA_EXHAUSTED, 15, {2, 2, 2, 2}},
        {"auto accuracy=0.95", &calibrated, 0, 2, 2, SLA_EXHAUSTED, 4, {2, 2, 2, 2}},
        /* Max-Loss: the best one in the end, no exit behind it (rule 12). */
        {"auto loss=0.01", &levelled, 0, 2, 2, SLA_ACCURACY, 4, {2, 2, 2, 2}},
        {"auto loss=0.049", &levelled, 0, 2, 2, SLA_ACCURACY, 4, {2, 2, 2, 2}},
        {"auto loss=0.05", &levelled, 0, 2, 2, SLA_ACCURACY, 7, {.8, .8, 2, 2}},
        {"auto loss=1", &levelled, 1, 2, 2, SLA_BY_DEADLINE, 7, {.8, .8, 2, 2}},
        {"auto loss=0.5", &levelled_all, 0, ENS, 3, SLA_ACCURACY, 13, {.8, 2, .8, .8}},
        {"auto loss=1 accuracy=0.6", &levelled, 0, 2, 2, SLA_ACCURACY, 6, {2, .8, 2, 2}},
        {"auto loss=1 accuracy=0.95", &levelled, 0, 2, 2, SLA_EXHAUSTED, 4, {2, 2, 2, 2}},
        {"auto loss=1 confidence=0.9", &levelled, 0, 2, 2, SLA_EXHAUSTED, 7, {.9, .9, .9, 2}},
        {"auto loss=1 confidence=0.3", &levelled, 0, 2, 2, SLA_EXHAUSTED, 7, {.8, .8, .3, 2}},
        /* Both. */
        {"auto accuracy=0.55 confidence=0.9", &calibrated, 0, 2, 3, SLA_EXHAUSTED, 15,
         {2, .9, .9, .9}},
        {"auto accuracy=0.95 confidence=0.9", &calibrated, 0, 2, 3, SLA_EXHAUSTED, 15,
         {2, 2, 2, 2}},
        /* Exits that have not learned are not there. */
        {"ensemble", &half, 0, ENS, 3, SLA_REQUESTED, 10, {2, 2, 2, 2}},
        {"deepest", &half, 1, 1, 1, SLA_BY_DEADLINE, 2, {2, 2, 2, 2}},
        {"ensemble", &half, 1, 3, 3, SLA_BY_DEADLINE, 8, {2, 2, 2, 2}},
        {"ensemble", &half, 2, 1, 1, SLA_BY_DEADLINE, 2, {2, 2, 2, 2}},
        {"auto", &half, 0, 3, 3, SLA_CONFIDENCE, 10, {2, .9, 2, 0}},
        {"auto deadline", &half, 0, ENS, 3, SLA_BY_DEADLINE, 10, {2, 2, 2, 2}},
        {"auto deadline", &half, 1, 3, 3, SLA_BY_DEADLINE, 8, {2, 2, 2, 2}},
        {"auto deadline", &half, 2, 1, 1, SLA_BY_DEADLINE, 2, {2, 2, 2, 2}},
        {"auto confidence=0.9", &half, 0, ENS, 3, SLA_EXHAUSTED, 10, {2, .9, 2, .9}},
        {"auto accuracy=0.5", &half, 0, 1, 1, SLA_ACCURACY, 2, {2, 2, 2, 2}},
        {"auto accuracy=0.9", &half, 0, ENS, 3, SLA_EXHAUSTED, 10, {2, 2, 2, 2}},
        {"ensemble", &alone, 0, ENS, 3, SLA_REQUESTED, 8, {2, 2, 2, 2}},
        {"auto deadline", &alone, 0, 3, 3, SLA_BY_DEADLINE, 8, {2, 2, 2, 2}},
        {"auto deadline", &alone, 1, ENS, 3, SLA_BY_DEADLINE, 8, {2, 2, 2, 2}},
        /* Running ensembles (rule 13): named, and where they are better than the exit. */
        {"ensemble:2", &blended, 0, R(2), 1, SLA_REQUESTED, 3, {2, 2, 2, 2}},
        {"ensemble:3", &blended, 0, R(3), 2, SLA_REQUESTED, 5, {2, 2, 2, 2}},
        {"ensemble:2", &blended, 1, 1, 1, SLA_BY_DEADLINE, 2, {2, 2, 2, 2}},
        {"ensemble:2", &blended, 2, 0, 0, SLA_BY_DEADLINE, 1, {2, 2, 2, 2}},
        {"deepest", &blended, 0, 3, 3, SLA_REQUESTED, 8, {2, 2, 2, 2}},
        {"auto", &blended, 0, R(4), 3, SLA_CONFIDENCE, 15, {.9, .8, 2, 0}},
        {"auto", &blended, 3, R(2), 1, SLA_BY_DEADLINE, 3, {.9, .8, 2, 2}},
        {"auto accuracy=0.61", &blended, 0, R(2), 1, SLA_ACCURACY, 3, {2, 2, 2, 2}},
        {"auto accuracy=0.65", &blended, 0, 2, 2, SLA_ACCURACY, 4, {2, 2, 2, 2}},
        {"auto confidence=0.9", &blended, 0, R(4), 3, SLA_EXHAUSTED, 15, {.9, .9, .9, .9}},
        {"auto deadline", &blended, 0, R(4), 3, SLA_BY_DEADLINE, 15, {2, 2, 2, 2}},
        {"auto deadline", &blended, 1, ENS, 3, SLA_BY_DEADLINE, 15, {2, 2, 2, 2}},
        {"auto deadline", &blended, 2, 3, 3, SLA_BY_DEADLINE, 8, {2, 2, 2, 2}},
        {"auto deadline", &blended, 4, R(3), 2, SLA_BY_DEADLINE, 5, {2, 2, 2, 2}},
        {"auto deadline", &blended, 5, R(2), 1, SLA_BY_DEADLINE, 3, {2, 2, 2, 2}},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct way way;
        struct sla sla = sla_from(rows[i].sla);
        if (!way_choose(&sla, rows[i].classifiers, rows[i].n, &way)) fail_msg("row %zu", i);
        if (way.goal != rows[i].goal || way.last != rows[i].last || way.reason != rows[i].reason ||
            way.heads != rows[i].heads || way.exits != N) {
            fail_msg("row %zu (%s): goal %d last %d reason %s heads %x", i, rows[i].sla, way.goal,
                     way.last, sla_reason_name(way.reason), way.heads);
        }
        for (int s = 0; s < N; s++) assert_true(way.stop_at[s] == rows[i].stop_at[s]);
    }
}

static void choices_end(void **state)
{
    (void)state;
    static const struct {
        const char *sla;
        const struct classifiers *classifiers;
        int choices;
    } rows[] = {{"1", &calibrated, 1},
                {"4", &calibrated, 4},
                {"deepest", &calibrated, 4},
                {"ensemble", &calibrated, 5},
                {"auto deadline", &calibrated, 5},
                {"deepest", &half, 2},
                {"ensemble", &half, 3},
                {"auto deadline", &half, 3},
                {"deepest", &alone, 1},
                {"ensemble:2", &blended, 3},
                {"auto deadline", &blended, 8}};
    struct way way;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sla sla = sla_from(rows[i].sla);
        for (int n = 0; n < rows[i].choices; n++) {
            assert_true(way_choose(&sla, rows[i].classifiers, n, &way));
        }
        assert_false(way_choose(&sla, rows[i].classifiers, rows[i].choices, &way));
    }
}

/* A walk down the network: time and confidence at each border are given, the answer is compared. */
static void walks(void **state)
{
    (void)state;
    enum {
        E = WAY_ENOUGH,
        T = WAY_TIGHT,
        C = WAY_CROWDED,
        S = WAY_SHORT,
        O = WAY_OVER,
        EXPIRED = -2
    };
    /* clang-format off */
    static const struct {
        const char *sla;
        const struct classifiers *classifiers;
        int time[N];
        double confidence[N];
        int classifier; /* or EXPIRED */
        enum sla_reason reason;
        int sections;   /* run */
        unsigned heads; /* run */
    } rows[] = {
        {"3", &absent, {E, E, E, E}, {1, 1, 1, 1}, 2, SLA_REQUESTED, 3, 4},
        {"deepest", &absent, {E, E, E, E}, {1, 1, 1, 1}, 3, SLA_REQUESTED, 4, 8},
        {"ensemble", &absent, {E, E, E, E}, {1, 1, 1, 1}, ENS, SLA_REQUESTED, 4, 15},
        {"auto", &tuned, {E, E, E, E}, {.9, 1, 1, 1}, 0, SLA_CONFIDENCE, 1, 1},
        {"auto", &tuned, {E, E, E, E}, {.89, 1, .6, 1}, 2, SLA_CONFIDENCE, 3, 5},
        {"auto", &tuned, {E, E, E, E}, {.1, .1, .1, .1}, 3, SLA_CONFIDENCE, 4, 13},
        {"auto confidence=0.9", &ensemble_best, {E, E, E, E},
         {.8, .95, 1, 1}, 1, SLA_CONFIDENCE, 2, 3},
        {"auto confidence=0.9", &ensemble_best, {E, E, E, E},
         {.8, .8, .8, .8}, ENS, SLA_EXHAUSTED, 4, 15},
        {"auto confidence=0.9", &calibrated, {E, E, E, E},
         {.8, .8, .8, .8}, 2, SLA_EXHAUSTED, 4, 15},
        {"auto accuracy=0.55 confidence=0.9", &calibrated, {E, E, E, E},
         {1, .8, 1, 1}, 2, SLA_CONFIDENCE, 3, 7},
        {"auto accuracy=0.55", &calibrated, {E, E, E, E}, {1, .1, 1, 1}, 1, SLA_ACCURACY, 2, 2},
        {"auto accuracy=0.95 confidence=0.5", &calibrated, {E, E, E, E},
         {1, 1, 1, 1}, 2, SLA_EXHAUSTED, 4, 15},
        /* Short of time: the present exit answers (degrade).. */
        {"deepest", &absent, {E, S, E, E}, {0}, 1, SLA_BY_DEADLINE, 2, 2},
        {"ensemble", &absent, {E, E, S, E}, {0}, 2, SLA_BY_DEADLINE, 3, 7},
        {"auto", &tuned, {E, S, E, E}, {0}, 1, SLA_BY_DEADLINE, 2, 3},
        {"auto confidence=0.9", &calibrated, {S, E, E, E}, {.1}, 0, SLA_BY_DEADLINE, 1, 1},
        {"auto confidence=0.9", &calibrated, {S, E, E, E}, {.95}, 0, SLA_CONFIDENCE, 1, 1},
        {"auto accuracy=0.55", &calibrated, {S, E, E, E}, {0}, 0, SLA_BY_DEADLINE, 1, 1},
        {"auto deadline", &ensemble_best, {E, S, E, E}, {0}, 1, SLA_BY_DEADLINE, 2, 3},
        /* ..tight of time: the head runs as an insurance.. */
        {"deepest", &absent, {E, T, E, E}, {0}, 3, SLA_REQUESTED, 4, 10},
        {"deepest fail", &absent, {E, T, E, E}, {0}, 3, SLA_REQUESTED, 4, 8},
        /* ..too late: what a head has computed, or nothing (rule 7). */
        {"deepest", &absent, {E, E, E, O}, {0}, EXPIRED, 0, 4, 0},
        {"deepest", &absent, {E, O, E, E}, {0}, EXPIRED, 0, 2, 0},
        {"ensemble", &absent, {O, E, E, E}, {0}, EXPIRED, 0, 1, 0},
        {"auto accuracy=0.55", &calibrated, {E, O, E, E}, {0}, EXPIRED, 0, 2, 0},
        {"auto confidence=0.9", &calibrated, {E, O, E, E}, {.1}, 0, SLA_BY_DEADLINE, 2, 1},
        {"deepest", &absent, {T, O, E, E}, {0}, 0, SLA_BY_DEADLINE, 2, 1},
        {"ensemble", &absent, {E, E, O, E}, {0}, 1, SLA_BY_DEADLINE, 3, 3},
        /* fail (rule 7). */
        {"deepest fail", &absent, {E, S, E, E}, {0}, EXPIRED, 0, 2, 0},
        {"deepest fail", &absent, {E, E, E, O}, {0}, EXPIRED, 0, 4, 0},
        {"ensemble fail", &absent, {E, E, O, E}, {0}, EXPIRED, 0, 3, 3},
        {"auto confidence=0.9 fail", &calibrated, {E, S, E, E}, {.1, .1}, EXPIRED, 0, 2, 3},
        {"auto confidence=0.9 fail", &calibrated, {E, S, E, E}, {.1, .9}, 1, SLA_CONFIDENCE, 2, 3},
        {"auto deadline fail", &calibrated, {E, S, E, E}, {0}, 1, SLA_BY_DEADLINE, 2, 2},
        {"auto deadline fail", &calibrated, {E, O, E, E}, {0}, EXPIRED, 0, 2, 0},
        /* At an exit that has not learned there is no answer: on to the next one. */
        {"deepest", &half, {S, E, E, E}, {0}, 3, SLA_REQUESTED, 4, 8},
        {"deepest", &half, {S, S, E, E}, {0}, 1, SLA_BY_DEADLINE, 2, 2},
        {"deepest", &half, {T, E, E, E}, {0}, 3, SLA_REQUESTED, 4, 8},
        {"deepest", &half, {S, E, S, E}, {0}, 3, SLA_REQUESTED, 4, 8},
        {"deepest", &half, {S, O, E, E}, {0}, EXPIRED, 0, 2, 0},
        {"deepest fail", &half, {S, E, E, E}, {0}, EXPIRED, 0, 1, 0},
        {"auto confidence=0.9", &half, {E, E, E, E}, {1, 0, 1, 0}, ENS, SLA_EXHAUSTED, 4, 10},
        /* What answers at a border is the better of exit and running ensemble, if its heads ran. */
        {"auto", &blended, {E, E, E, E}, {.9, 0, 0, 0}, 0, SLA_CONFIDENCE, 1, 1},
        {"auto", &blended, {E, E, E, E}, {.1, .8, 0, 0}, R(2), SLA_CONFIDENCE, 2, 3},
        {"auto", &blended, {E, E, E, E}, {.1, .1, 1, 0}, R(4), SLA_CONFIDENCE, 4, 15},
        {"auto", &blended, {E, S, E, E}, {0}, R(2), SLA_BY_DEADLINE, 2, 3},
        {"auto", &blended, {E, E, S, E}, {0}, 2, SLA_BY_DEADLINE, 3, 7},
        {"deepest", &blended, {E, S, E, E}, {0}, 1, SLA_BY_DEADLINE, 2, 2},
        {"auto deadline", &blended, {E, S, E, E}, {0}, R(2), SLA_BY_DEADLINE, 2, 3},
        {"ensemble:3", &blended, {E, E, E, E}, {0}, R(3), SLA_REQUESTED, 3, 5},
        {"ensemble:3", &blended, {E, S, E, E}, {0}, 1, SLA_BY_DEADLINE, 2, 3},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct way way;
        struct sla sla = sla_from(rows[i].sla);
        assert_true(way_choose(&sla, rows[i].classifiers, 0, &way));
        unsigned computed = 0;
        enum way_step step = WAY_CONTINUE;
        struct way_answer answer = {EXPIRED, SLA_REQUESTED};
        int s = 0;
        for (; step == WAY_CONTINUE; s++) {
            assert_true(s < N);
            enum way_time time = (enum way_time)rows[i].time[s];
            if (way_needs_head(&way, s, time, true)) computed |= 1u << s;
            step = way_after(&way, s, computed, rows[i].confidence[s], time, &answer);
        }
        if (answer.classifier != rows[i].classifier || s != rows[i].sections ||
            computed != rows[i].heads || (step == WAY_STOP && answer.reason != rows[i].reason)) {
            fail_msg("row %zu (%s): classifier %d, %s, %d sections, heads %x", i, rows[i].sla,
                     answer.classifier, sla_reason_name(answer.reason), s, computed);
        }
    }
}

static void waits(void **state)
{
    (void)state;
    static const struct {
        const char *sla;
        unsigned computed;
        enum way_time time;
        enum way_step step;
        int classifier;
    } rows[] = {
        {"deepest", 0, WAY_ENOUGH, WAY_CONTINUE, 0},
        {"deepest", 3, WAY_TIGHT, WAY_CONTINUE, 0},
        /* Late by prediction: an answer that is there is in time; without one, trying is all. */
        {"deepest", 3, WAY_SHORT, WAY_STOP, 1},
        {"deepest", 0, WAY_SHORT, WAY_CONTINUE, 0},
        {"deepest fail", 3, WAY_SHORT, WAY_EXPIRED, 0},
        {"auto deadline fail", 1, WAY_SHORT, WAY_STOP, 0},
        /* Late: 200 with what was computed, or 504 with nothing, or with fail. */
        {"deepest", 0, WAY_OVER, WAY_EXPIRED, 0},
        {"deepest", 5, WAY_OVER, WAY_STOP, 2},
        {"deepest fail", 5, WAY_OVER, WAY_EXPIRED, 0},
        {"auto deadline fail", 1, WAY_OVER, WAY_EXPIRED, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct way way;
        struct sla sla = sla_from(rows[i].sla);
        struct way_answer answer = {-9, SLA_REQUESTED};
        assert_true(way_choose(&sla, &calibrated, 0, &way));
        enum way_step step = way_before(&way, rows[i].computed, rows[i].time, &answer);
        if (step != rows[i].step) fail_msg("row %zu (%s): step %d", i, rows[i].sla, (int)step);
        if (step != WAY_STOP) continue;
        assert_int_equal(answer.classifier, rows[i].classifier);
        assert_int_equal(answer.reason, SLA_BY_DEADLINE);
    }
}

static struct sla random_sla(struct rng *rng)
{
    struct sla sla = {.classifier = (enum sla_classifier)rng_below(rng, SLA_AUTO + 1),
                      .exit = (int)rng_below(rng, N),
                      .min_confidence = -1,
                      .min_accuracy = -1,
                      .fail_on_miss = rng_below(rng, 2) != 0};
    if (sla.classifier != SLA_AUTO) return sla;
    if (rng_below(rng, 2) != 0) sla.min_confidence = rng_uniform(rng);
    if (rng_below(rng, 2) != 0) sla.min_accuracy = rng_uniform(rng);
    sla.has_max_loss = rng_below(rng, 2) != 0;
    sla.max_loss = rng_uniform(rng);
    bool least = sla.min_confidence >= 0 || sla.min_accuracy >= 0 || sla.has_max_loss;
    sla.deadline_chooses = !least && rng_below(rng, 2) != 0;
    return sla;
}

/* Whatever is asked and however time goes: a walk ends within the network, with a classifier whose
 * heads have run, and `degrade` never fails once a head has run. */
static void any_walk_ends_with_what_was_computed(void **state)
{
    (void)state;
    static const struct classifiers *const networks[] = {
        &calibrated, &ensemble_best, &tuned, &half, &alone, &blended, &levelled, &levelled_all};
    struct rng rng = seeded(77);
    for (int i = 0; i < 20000; i++) {
        struct sla sla = random_sla(&rng);
        struct way way;
        int n = (int)rng_below(&rng, 6);
        const struct classifiers *c = networks[rng_below(&rng, 6)];
        if (sla_check_model(&sla, c, NULL) < 0 || !way_choose(&sla, c, n, &way)) continue;
        assert_true(way.last >= 0 && way.last < N);
        unsigned computed = 0;
        enum way_step step = WAY_CONTINUE;
        struct way_answer answer = {0, SLA_REQUESTED};
        bool over = false;
        for (int s = 0; step == WAY_CONTINUE; s++) {
            assert_true(s <= way.last);
            enum way_time time = over ? WAY_OVER : (enum way_time)rng_below(&rng, WAY_OVER + 1);
            over = time == WAY_OVER;
            if (way_needs_head(&way, s, time, rng_below(&rng, 2) != 0)) computed |= 1u << s;
            step = way_after(&way, s, computed, rng_uniform(&rng), time, &answer);
        }
        if (step == WAY_EXPIRED) {
            assert_true(way.fail || (over && computed == 0));
        } else {
            unsigned heads = way_heads(c, answer.classifier);
            assert_true(heads != 0 && (computed & heads) == heads);
        }
        assert_int_equal(computed & c->untrained, 0);
    }
}

/* What runs even if others would have to do with less for it. */
static void heads_that_can_wait(void **state)
{
    (void)state;
    static const struct {
        const char *sla;
        const struct classifiers *classifiers;
        int least;
        unsigned must, crowded; /* heads: without room; those that run all the same */
    } rows[] = {
        {"deepest", &calibrated, 0, 8, 15},    {"deepest fail", &calibrated, 3, 8, 8},
        {"ensemble", &calibrated, 0, 8, 15},   {"ensemble fail", &calibrated, 3, 15, 15},
        {"auto deadline", &blended, 0, 8, 15}, {"auto deadline fail", &blended, 0, 8, 15},
        {"auto", &tuned, 0, 13, 15},           {"deepest", &half, 1, 8, 10},
        {"2", &calibrated, 0, 2, 15},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct way way;
        struct sla sla = sla_from(rows[i].sla);
        assert_true(way_choose(&sla, rows[i].classifiers, 0, &way));
        unsigned must = 0, crowded = 0;
        for (int s = 0; s < N; s++) {
            must |= way_must_run(&way, s) ? 1u << s : 0;
            crowded |= way_needs_head(&way, s, WAY_CROWDED, false) ? 1u << s : 0;
            assert_true(way_needs_head(&way, s, WAY_TIGHT, false) == way_must_run(&way, s));
        }
        if (way_least(&way) != rows[i].least || must != rows[i].must || crowded != rows[i].crowded)
            fail_msg("row %zu: %d %x %x", i, way_least(&way), must, crowded);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans), cmocka_unit_test(choices_end),
        cmocka_unit_test(walks), cmocka_unit_test(heads_that_can_wait),
        cmocka_unit_test(waits), cmocka_unit_test(any_walk_ends_with_what_was_computed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
