/* Tables: what each header and member takes, what it becomes, and how sources are put together. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../seeded.h"
#include "base/clock.h"
#include "base/mem.h"
#include "policy/classifiers.h"
#include "policy/sla.h"

#define MS CLOCK_MS
#define CAP (INT64_C(1000000000) * CLOCK_SECOND)

/* One header alone, put together with the default `deepest`. */
static int one(const char *name, const char *value, struct sla *sla, struct err *e)
{
    struct sla_draft draft;
    *e = (struct err){.code = 0};
    sla_draft_init(&draft);
    int rc = sla_draft_header(&draft, name, value, e);
    return rc < 0 ? rc : sla_draft_finish(&draft, SLA_DEEPEST, sla, e);
}

static void nothing_said_is_the_default(void **state)
{
    (void)state;
    struct sla sla;
    struct err e;
    assert_int_equal(one("Accept", "SLA-Classifier: 2", &sla, &e), 0);
    assert_int_equal(sla.classifier, SLA_DEEPEST);
    assert_int_equal(sla.deadline_ns, 0);
    assert_true(sla.min_confidence < 0 && sla.min_accuracy < 0);
    assert_false(sla.fail_on_miss);
    assert_false(sla.deadline_chooses);
    assert_int_equal(sla.urgency, 3);
}

static void classifiers(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        enum sla_classifier classifier;
        int exit;
    } good[] = {{"1", SLA_EXIT, 0},
                {"4", SLA_EXIT, 3},
                {"12", SLA_EXIT, 11},
                {"deepest", SLA_DEEPEST, 0},
                {" ensemble\t", SLA_ENSEMBLE, 0},
                {"ensemble:2", SLA_RUNNING, 1},
                {"ensemble:12", SLA_RUNNING, 11},
                {"auto", SLA_AUTO, 0}};
    static const char *const bad[] = {"ensemble:",
                                      "ensemble:0",
                                      "ensemble:1",
                                      "ensemble:02",
                                      "ensemble: 2",
                                      "Ensemble:2",
                                      "ensemble:12345",
                                      "",
                                      "0",
                                      "-1",
                                      "01",
                                      "1.0",
                                      "one",
                                      "+1",
                                      "Deepest",
                                      "1 2",
                                      "12345",
                                      "auto,",
                                      "\"1\""};
    struct sla sla;
    struct err e;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(one("sla-CLASSIFIER", good[i].value, &sla, &e), 0);
        assert_int_equal(sla.classifier, good[i].classifier);
        assert_int_equal(sla.exit, good[i].exit);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(one("SLA-Classifier", bad[i], &sla, &e), ERR_RANGE);
        assert_int_equal(e.code, ERR_RANGE);
        assert_non_null(strstr(e.text, "SLA-Classifier"));
        assert_non_null(strstr(e.text, "deepest, ensemble, ensemble:K or auto"));
    }
}

static void deadlines(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int64_t ns;
    } good[] = {{"25", 25 * MS},
                {"0.5", MS / 2},
                {"1.000001", MS + 1},
                {"0.0000001", 1},
                {"00012", 12 * MS},
                {"999999999", 999999999 * MS},
                {"1000000000001", CAP},
                {"99999999999999999999999999999999999999999999", CAP},
                {"3.141592653589793238462643383279", 3141593}};
    static const char *const bad[] = {"",     "0",   "0.000", "-5",      "+5", "1e3",
                                      "0x10", "inf", "nan",   "5,5",     "5.", ".5",
                                      "5 5",  "5ms", "1.2.3", "\xd9\xa3"};
    struct sla sla;
    struct err e;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(one("SLA-Deadline-Ms", good[i].value, &sla, &e), 0);
        assert_int_equal(sla.deadline_ns, good[i].ns);
        assert_int_equal(sla.classifier, SLA_AUTO);
        assert_true(sla.deadline_chooses);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(one("SLA-Deadline-Ms", bad[i], &sla, &e), ERR_RANGE);
        assert_non_null(strstr(e.text, "SLA-Deadline-Ms"));
        assert_non_null(strstr(e.text, "greater than 0"));
    }
}

static void fractions(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        double number;
    } good[] = {{"0", 0},
                {"1", 1},
                {"0.9", .9},
                {"1.0", 1},
                {"0.123456789012345678", 0.123456789012345678}};
    static const char *const bad[] = {"",     "1.1", "-0.1", "90%",       "0,9",
                                      "1e-1", "NaN", "2",    "1.00000001"};
    static const char *const names[] = {"SLA-Min-Confidence", "SLA-Min-Accuracy"};
    struct sla sla;
    struct err e;
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
            assert_int_equal(one(names[k], good[i].value, &sla, &e), 0);
            double got = k == 0 ? sla.min_confidence : sla.min_accuracy;
            assert_true(fabs(got - good[i].number) < 1e-15);
            assert_int_equal(sla.classifier, SLA_AUTO);
            assert_false(sla.deadline_chooses);
        }
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            assert_int_equal(one(names[k], bad[i], &sla, &e), ERR_RANGE);
            assert_non_null(strstr(e.text, names[k]));
        }
    }
}

static void on_miss_and_priority(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int urgency; /* -1: refused */
    } priorities[] = {{"u=0", 0},
                      {"u=7", 7},
                      {"u=5, i", 5},
                      {"i", 3},
                      {"i, u=2", 2},
                      {"u=2,u=6", 6},
                      {"u=1;x=\"a,u=4\"", 1},
                      {"", 3},
                      {"a=\"u=8\"", 3},
                      {" u=4 ", 4},
                      {"u=8", -1},
                      {"u=-1", -1},
                      {"u", -1},
                      {"u=", -1},
                      {"u=1.5", -1},
                      {"u=10", -1},
                      {"u=x", -1},
                      {"i,u=9", -1},
                      {"u=5", 5}};
    struct sla sla;
    struct err e;
    assert_int_equal(one("SLA-On-Miss", "fail", &sla, &e), 0);
    assert_true(sla.fail_on_miss);
    assert_int_equal(sla.classifier, SLA_DEEPEST);
    assert_int_equal(one("SLA-On-Miss", "degrade", &sla, &e), 0);
    assert_false(sla.fail_on_miss);
    assert_int_equal(one("SLA-On-Miss", "retry", &sla, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "degrade or fail"));
    for (size_t i = 0; i < sizeof(priorities) / sizeof(priorities[0]); i++) {
        int rc = one("Priority", priorities[i].value, &sla, &e);
        if (priorities[i].urgency < 0) {
            assert_int_equal(rc, ERR_RANGE);
            assert_non_null(strstr(e.text, "Priority"));
        } else {
            assert_int_equal(rc, 0);
            assert_int_equal(sla.urgency, priorities[i].urgency);
            assert_int_equal(sla.classifier, SLA_DEEPEST);
        }
    }
}

static void bounds_of_others(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        int64_t ns; /* 0: none, -1: refused */
    } rows[] = {{"grpc-timeout", "100m", 100 * MS},
                {"GRPC-Timeout", "1S", CLOCK_SECOND},
                {"grpc-timeout", "2M", 120 * CLOCK_SECOND},
                {"grpc-timeout", "1H", 3600 * CLOCK_SECOND},
                {"grpc-timeout", "5u", 5000},
                {"grpc-timeout", "7n", 7},
                {"grpc-timeout", "99999999H", CAP},
                {"grpc-timeout", "123456789m", -1},
                {"grpc-timeout", "0m", -1},
                {"grpc-timeout", "1s", -1},
                {"grpc-timeout", "m", -1},
                {"grpc-timeout", "10", -1},
                {"grpc-timeout", "1.5S", -1},
                {"grpc-timeout", "-1S", -1},
                {"grpc-timeout", "1 S", -1},
                {"x-envoy-expected-rq-timeout-ms", "15000", 15 * CLOCK_SECOND},
                {"X-Envoy-Expected-Rq-Timeout-Ms", "0", 0},
                {"x-envoy-expected-rq-timeout-ms", "999999999999999999", CAP},
                {"x-envoy-expected-rq-timeout-ms", "1.5", -1},
                {"x-envoy-expected-rq-timeout-ms", "", -1},
                {"Prefer", "wait=2", 2 * CLOCK_SECOND},
                {"Prefer", "respond-async, wait=10", 10 * CLOCK_SECOND},
                {"Prefer", "WAIT = \"3\"; a=b", 3 * CLOCK_SECOND},
                {"Prefer", "wait=9, wait=4", 4 * CLOCK_SECOND},
                {"Prefer", "return=minimal", 0},
                {"Prefer", "x=\"wait=1\"", 0},
                {"Prefer", "waiting=1", 0},
                {"Prefer", "wait", -1},
                {"Prefer", "wait=0", -1},
                {"Prefer", "wait=soon", -1},
                {"Prefer", "wait=1.5", -1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sla sla;
        struct err e;
        int rc = one(rows[i].name, rows[i].value, &sla, &e);
        if (rows[i].ns < 0) {
            assert_int_equal(rc, ERR_RANGE);
            assert_non_null(strstr(e.text, "takes"));
            continue;
        }
        assert_int_equal(rc, 0);
        assert_int_equal(sla.deadline_ns, rows[i].ns);
        /* Rule 1 of doc/sla.md: they bound the time and choose nothing. */
        assert_int_equal(sla.classifier, SLA_DEEPEST);
        assert_false(sla.deadline_chooses);
    }
}

/* "Name: value" lines; the result as a whole. */
static void sources_together(void **state)
{
    (void)state;
    static const struct {
        const char *headers[5];
        int rc;
        enum sla_classifier classifier;
        int64_t ns;
        bool deadline_chooses;
        const char *named; /* in the message */
    } rows[] = {
        /* The smallest bound counts (rule 1). */
        {{"SLA-Deadline-Ms: 50", "grpc-timeout: 20m"}, 0, SLA_AUTO, 20 * MS, true, NULL},
        {{"SLA-Deadline-Ms: 50", "Prefer: wait=1"}, 0, SLA_AUTO, 50 * MS, true, NULL},
        {{"grpc-timeout: 1S", "x-envoy-expected-rq-timeout-ms: 400", "Prefer: wait=2"},
         0,
         SLA_DEEPEST,
         400 * MS,
         false,
         NULL},
        {{"Prefer: wait=5", "Prefer: wait=2", "Prefer: return=minimal"},
         0,
         SLA_DEEPEST,
         2 * CLOCK_SECOND,
         false,
         NULL},
        /* A named classifier with a deadline stays named. */
        {{"SLA-Classifier: 2", "SLA-Deadline-Ms: 50"}, 0, SLA_EXIT, 50 * MS, false, NULL},
        {{"SLA-Classifier: auto", "SLA-Deadline-Ms: 50"}, 0, SLA_AUTO, 50 * MS, true, NULL},
        {{"SLA-Classifier: auto", "grpc-timeout: 50m"}, 0, SLA_AUTO, 50 * MS, false, NULL},
        {{"SLA-Min-Confidence: 0.5", "SLA-Deadline-Ms: 50"}, 0, SLA_AUTO, 50 * MS, false, NULL},
        {{"SLA-Classifier: auto", "SLA-Min-Accuracy: 0.5"}, 0, SLA_AUTO, 0, false, NULL},
        {{"SLA-Max-Loss: 0"}, 0, SLA_AUTO, 0, false, NULL},
        {{"SLA-Max-Loss: 0.01", "SLA-Deadline-Ms: 50"}, 0, SLA_AUTO, 50 * MS, false, NULL},
        {{"SLA-Max-Loss: 0.01", "SLA-Classifier: 2"}, ERR_RANGE, 0, 0, false, "SLA-Max-Loss"},
        /* Min-* with a named classifier (rule 3). */
        {{"SLA-Classifier: 2", "SLA-Min-Confidence: 0.5"},
         ERR_RANGE,
         0,
         0,
         false,
         "SLA-Min-Confidence"},
        {{"SLA-Min-Accuracy: 0.5", "SLA-Classifier: deepest"},
         ERR_RANGE,
         0,
         0,
         false,
         "SLA-Min-Accuracy"},
        {{"SLA-Classifier: ensemble", "SLA-Min-Accuracy: 0.5"},
         ERR_RANGE,
         0,
         0,
         false,
         "SLA-Classifier"},
        /* The same header twice, even with the same value (rule 11). */
        {{"SLA-Classifier: 2", "sla-classifier: 2"},
         ERR_RANGE,
         0,
         0,
         false,
         "SLA-Classifier: given twice"},
        {{"Priority: u=1", "Priority: u=2"}, ERR_RANGE, 0, 0, false, "Priority: given twice"},
        {{"grpc-timeout: 1S", "grpc-timeout: 1S"},
         ERR_RANGE,
         0,
         0,
         false,
         "grpc-timeout: given twice"},
        /* An unknown name. */
        {{"SLA-Color: blue"}, ERR_RANGE, 0, 0, false, "SLA-Color"},
        {{"sla-deadline: 5"}, ERR_RANGE, 0, 0, false, "SLA-Deadline-Ms"},
        {{"SLA-: 5"}, ERR_RANGE, 0, 0, false, "SLA-"},
        {{"SLAP: 5"}, 0, SLA_DEEPEST, 0, false, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sla_draft draft;
        struct sla sla;
        struct err e = {.code = 0};
        int rc = 0;
        sla_draft_init(&draft);
        for (int k = 0; rc == 0 && rows[i].headers[k] != NULL; k++) {
            char name[64];
            const char *colon = strchr(rows[i].headers[k], ':');
            snprintf(name, sizeof(name), "%.*s", (int)(colon - rows[i].headers[k]),
                     rows[i].headers[k]);
            rc = sla_draft_header(&draft, name, colon + 1, &e);
        }
        if (rc == 0) rc = sla_draft_finish(&draft, SLA_DEEPEST, &sla, &e);
        if (rc != rows[i].rc) fail_msg("row %zu: %d (%s)", i, rc, e.text);
        if (rc < 0) {
            if (strstr(e.text, rows[i].named) == NULL) fail_msg("row %zu: %s", i, e.text);
            continue;
        }
        assert_int_equal(sla.classifier, rows[i].classifier);
        assert_int_equal(sla.deadline_ns, rows[i].ns);
        assert_int_equal(sla.deadline_chooses, rows[i].deadline_chooses);
    }
}

static void default_classifiers(void **state)
{
    (void)state;
    struct sla_draft draft;
    struct sla sla;
    sla_draft_init(&draft);
    assert_int_equal(sla_draft_finish(&draft, SLA_AUTO, &sla, NULL), 0);
    assert_int_equal(sla.classifier, SLA_AUTO);
    assert_false(sla.deadline_chooses);
    assert_int_equal(sla_draft_finish(&draft, SLA_ENSEMBLE, &sla, NULL), 0);
    assert_int_equal(sla.classifier, SLA_ENSEMBLE);
}

static void members(void **state)
{
    (void)state;
    static const struct {
        const char *header, *header_value, *prefix, *name, *value;
        int rc;
    } rows[] = {
        {NULL, NULL, "", "classifier", "2", 0},
        {NULL, NULL, "", "classifier", "2.0", ERR_RANGE},
        {NULL, NULL, "", "deadline_ms", "2.5e1", 0},
        {NULL, NULL, "", "deadline_ms", "1e", ERR_RANGE},
        {NULL, NULL, "", "deadline_ms", "1e99999", ERR_RANGE},
        {NULL, NULL, "", "min_confidence", "1e-05", 0},
        {NULL, NULL, "", "min_confidence", "1e+1", ERR_RANGE},
        {NULL, NULL, "", "min_accuracy", "true", ERR_RANGE},
        {NULL, NULL, "", "on_miss", "fail", 0},
        {NULL, NULL, "", "priority", "5", 0},
        {NULL, NULL, "", "priority", "u=5", 0},
        {NULL, NULL, "", "priority", "9", ERR_RANGE},
        {NULL, NULL, "", "Classifier", "2", ERR_RANGE},
        {NULL, NULL, "", "colour", "2", ERR_RANGE},
        {NULL, NULL, "sla_", "sla_classifier", "2", 0},
        {NULL, NULL, "sla_", "sla_colour", "2", ERR_RANGE},
        {NULL, NULL, "sla_", "binary_data_output", "true", 0},
        {NULL, NULL, "sla_", "classifier", "nonsense", 0}, /* somebody else's */
        {"SLA-Classifier", "2", "", "classifier", "2", 0},
        {"SLA-Classifier", "2", "", "classifier", "3", ERR_CONFLICT},
        {"SLA-Classifier", "deepest", "sla_", "sla_classifier", "ensemble", ERR_CONFLICT},
        {"SLA-Deadline-Ms", "25", "", "deadline_ms", "25.0", 0},
        {"SLA-Deadline-Ms", "25", "", "deadline_ms", "26", ERR_CONFLICT},
        {"SLA-Min-Confidence", "0.5", "", "min_confidence", "0.25", ERR_CONFLICT},
        {"SLA-Min-Accuracy", "0.5", "", "min_accuracy", "0.50", 0},
        {"SLA-Max-Loss", "0.5", "", "max_loss", "0.50", 0},
        {"SLA-Max-Loss", "0.5", "", "max_loss", "0", ERR_CONFLICT},
        {NULL, NULL, "", "max_loss", "1.5", ERR_RANGE},
        {"SLA-On-Miss", "fail", "", "on_miss", "degrade", ERR_CONFLICT},
        {"Priority", "u=5", "", "priority", "5", 0},
        {"Priority", "u=5", "", "priority", "u=4", ERR_CONFLICT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sla_draft draft;
        struct err e = {.code = 0};
        sla_draft_init(&draft);
        if (rows[i].header != NULL) {
            assert_int_equal(sla_draft_header(&draft, rows[i].header, rows[i].header_value, &e), 0);
        }
        int rc = sla_draft_member(&draft, rows[i].prefix, rows[i].name, rows[i].value, &e);
        if (rc != rows[i].rc) fail_msg("row %zu: %d (%s)", i, rc, e.text);
        if (rc < 0)
            assert_true(strstr(e.text, rows[i].name) != NULL && strstr(e.text, "takes") != NULL);
        if (rc == ERR_CONFLICT) assert_non_null(strstr(e.text, rows[i].header));
    }
}

/* A value that is refused leaves nothing behind, and is shown as harmless text. */
static void refusals_are_clean(void **state)
{
    (void)state;
    struct sla_draft draft;
    struct sla sla;
    struct err e;
    sla_draft_init(&draft);
    char longer[2000];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(sla_draft_header(&draft, "SLA-Deadline-Ms", longer, &e), ERR_RANGE);
    assert_true(strlen(e.text) < 200);
    assert_int_equal(sla_draft_header(&draft, "SLA-Deadline-Ms", "\x01\"\xff\n", &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "\"????\""));
    assert_int_equal(sla_draft_header(&draft, "SLA-Deadline-Ms", NULL, &e), ERR_RANGE);
    assert_int_equal(sla_draft_header(&draft, "SLA-Classifier", "nine", NULL), ERR_RANGE);
    assert_int_equal(sla_draft_finish(&draft, SLA_DEEPEST, &sla, &e), 0);
    assert_int_equal(sla.deadline_ns, 0);
    assert_int_equal(sla.classifier, SLA_DEEPEST);
    assert_int_equal(sla_draft_header(&draft, "SLA-Deadline-Ms", "5", &e), 0);
}

/* Decimals against strtod in the C locale, for numbers that both take. */
static void decimals_agree_with_strtod(void **state)
{
    (void)state;
    struct rng rng = seeded(20240607);
    for (int i = 0; i < 20000; i++) {
        char text[64] = "0.";
        int digits = 1 + (int)rng_below(&rng, 25);
        for (int k = 0; k < digits; k++) text[2 + k] = (char)('0' + rng_below(&rng, 10));
        text[2 + digits] = '\0';
        struct sla sla;
        struct err e;
        assert_int_equal(one("SLA-Min-Accuracy", text, &sla, &e), 0);
        double want = strtod(text, NULL);
        if (fabs(sla.min_accuracy - want) > 4e-16 * want)
            fail_msg("%s: %.17g", text, sla.min_accuracy);
    }
}

static void networks_and_what_they_can(void **state)
{
    (void)state;
    struct classifiers c = {.model = "tiny", .exits = 2};
    struct err e;
    struct sla sla = {.classifier = SLA_EXIT, .exit = 1, .min_confidence = -1, .min_accuracy = -1};
    assert_int_equal(sla_check_model(&sla, &c, &e), 0);
    sla.exit = 2;
    assert_int_equal(sla_check_model(&sla, &c, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "\"3\" given, takes 1 to 2"));
    assert_non_null(strstr(e.text, "tiny"));
    c.untrained = 1;
    sla.exit = 1;
    assert_int_equal(sla_check_model(&sla, &c, &e), 0);
    sla.exit = 0;
    assert_int_equal(sla_check_model(&sla, &c, &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.text, "classifier 1 of the model tiny has not learned"));
    assert_non_null(strstr(e.text, "take deepest"));
    c.untrained = 0;
    sla = (struct sla){
        .classifier = SLA_RUNNING, .exit = 1, .min_confidence = -1, .min_accuracy = -1};
    assert_int_equal(sla_check_model(&sla, &c, &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.text, "no weights for ensemble:2"));
    c.running[1] = 3;
    assert_int_equal(sla_check_model(&sla, &c, &e), 0);
    sla.exit = 2;
    assert_int_equal(sla_check_model(&sla, &c, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "\"ensemble:3\" given"));
    static const char *const possible[] = {
        "takes 1, deepest, ensemble or auto for",
        "takes 1 to 2, deepest, ensemble, ensemble:2, or auto for",
        "takes 1 to 3, deepest, ensemble, ensemble:K with K from 2 to 3, or auto for"};
    const struct classifiers before = c;
    for (c.exits = 1; c.exits <= 3; c.exits++) {
        sla.exit = c.exits;
        assert_int_equal(sla_check_model(&sla, &c, &e), ERR_RANGE);
        assert_non_null(strstr(e.text, possible[c.exits - 1]));
    }
    c = before;
    c.running[1] = 0;
    sla = (struct sla){.classifier = SLA_AUTO, .min_confidence = 0, .min_accuracy = -1};
    assert_int_equal(sla_check_model(&sla, &c, &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.text, "SLA-Min-Confidence"));
    sla = (struct sla){.classifier = SLA_AUTO, .min_confidence = -1, .min_accuracy = .75};
    assert_int_equal(sla_check_model(&sla, &c, &e), ERR_UNSUPPORTED);
    c.calibrated = true;
    c.accuracy[0] = .5;
    c.accuracy[1] = .6;
    c.ensemble_accuracy = .7;
    assert_int_equal(sla_check_model(&sla, &c, &e), 0); /* the best one answers, exhausted */
    sla.fail_on_miss = true;
    assert_int_equal(sla_check_model(&sla, &c, &e), ERR_UNSUPPORTED);
    c.running[1] = 3;
    c.running_accuracy[1] = .8;
    assert_int_equal(sla_check_model(&sla, &c, &e), 0);
    c.running[1] = 0;
    c.untrained = 1;
    c.accuracy[0] = .8; /* means nothing */
    assert_int_equal(sla_check_model(&sla, &c, &e), ERR_UNSUPPORTED);
    sla.min_accuracy = .7;
    assert_int_equal(sla_check_model(&sla, &c, &e), 0);
}

/* Rule 12: the largest level that is not above what was asked for. */
static void levels_of_a_loss(void **state)
{
    (void)state;
    struct classifiers c = {.model = "tiny",
                            .exits = 2,
                            .calibrated = true,
                            .levels = 3,
                            .max_loss = {.005, .01, .05},
                            .level_confidence = {.9, .8, .5}};
    struct sla sla = {.classifier = SLA_AUTO, .min_confidence = -1, .min_accuracy = -1};
    static const struct {
        double max_loss;
        int level;
    } rows[] = {{0, -1}, {.0049, -1}, {.005, 0}, {.0099, 0}, {.01, 1}, {.049, 1}, {.05, 2}, {1, 2}};
    struct err e;
    assert_int_equal(sla_check_model(&sla, &c, &e), 0);
    sla.has_max_loss = true;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        sla.max_loss = rows[i].max_loss;
        assert_int_equal(sla_level(&sla, &c), rows[i].level);
        assert_int_equal(sla_check_model(&sla, &c, &e), rows[i].level < 0 ? ERR_UNSUPPORTED : 0);
        if (rows[i].level < 0) assert_non_null(strstr(e.text, "promises nothing below 0.005"));
    }
    c.levels = 0;
    assert_int_equal(sla_check_model(&sla, &c, &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.text, "autodidact tune"));
}

/* Rule 9: the last nanosecond of the time that was given is in time. */
static void met_until_the_deadline(void **state)
{
    (void)state;
    struct sla sla = {.deadline_ns = 0};
    assert_true(sla_met(&sla, 5, INT64_MAX));
    sla.deadline_ns = 10;
    assert_true(sla_met(&sla, 5, 15));
    assert_false(sla_met(&sla, 5, 16));
    assert_true(sla_met(&sla, INT64_MAX - 5, INT64_MAX));
}

static void reasons_have_names(void **state)
{
    (void)state;
    static const char *const names[] = {"requested", "confidence", "accuracy",
                                        "deadline",  "overload",   "exhausted"};
    for (int i = SLA_REQUESTED; i <= SLA_EXHAUSTED; i++) {
        assert_string_equal(sla_reason_name((enum sla_reason)i), names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_said_is_the_default),
        cmocka_unit_test(classifiers),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(fractions),
        cmocka_unit_test(on_miss_and_priority),
        cmocka_unit_test(bounds_of_others),
        cmocka_unit_test(sources_together),
        cmocka_unit_test(default_classifiers),
        cmocka_unit_test(members),
        cmocka_unit_test(refusals_are_clean),
        cmocka_unit_test(decimals_agree_with_strtod),
        cmocka_unit_test(networks_and_what_they_can),
        cmocka_unit_test(levels_of_a_loss),
        cmocka_unit_test(met_until_the_deadline),
        cmocka_unit_test(reasons_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
