/* Which heads learn, and from which terms: losses and gradients of every method against the formula
 * written out again in double, and the gradient of what the shallow exits see by differences. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../near.h"

#include "base/rng.h"
#include "train/objective.h"

enum { N = 3, EXITS = 3, CLASSES = 4, D = 5 };

struct data {
    float fixed[N * CLASSES], mean[N * CLASSES]; /* the deepest's logits and the mean of all */
    float logits[EXITS][N * CLASSES], feature[EXITS][N * D];
    float dlogits[EXITS][N * CLASSES], dfeature[EXITS][N * D];
    float source[N * CLASSES], ensemble[N * CLASSES];
    int32_t labels[N], others[N];
    struct objective_batch batch;
};

static void fill(struct data *d)
{
    struct rng r;
    rng_init(&r, 7, RNG_TEST, 0, 0);
    memset(d, 0, sizeof(*d));
    for (int i = 0; i < EXITS; i++) {
        for (int j = 0; j < N * CLASSES; j++) d->logits[i][j] = (float)(2 * rng_normal(&r));
        for (int j = 0; j < N * D; j++) d->feature[i][j] = (float)rng_uniform(&r);
        d->batch.logits[i] = d->logits[i];
        d->batch.feature[i] = d->feature[i];
        d->batch.dlogits[i] = d->dlogits[i];
        d->batch.dfeature[i] = d->dfeature[i];
    }
    memcpy(d->fixed, d->logits[EXITS - 1], sizeof(d->fixed));
    for (int j = 0; j < N * CLASSES; j++) {
        for (int i = 0; i < EXITS; i++) d->mean[j] += d->logits[i][j] / EXITS;
    }
    for (int j = 0; j < N * CLASSES; j++) d->source[j] = (float)(2 * rng_normal(&r));
    d->batch.source = d->source;
    for (int n = 0; n < N; n++) {
        d->labels[n] = n % CLASSES;
        d->others[n] = (2 * n + 1) % CLASSES; /* the middle one's is its own label */
    }
    d->batch.n = N;
    d->batch.n_exits = EXITS;
    d->batch.classes = CLASSES;
    d->batch.features = D;
    d->batch.targets.labels = d->labels;
    d->batch.ensemble = d->ensemble;
}

static void softmax(const float *z, double t, double *p)
{
    double sum = 0;
    for (int k = 0; k < CLASSES; k++) sum += p[k] = exp((double)z[k] / t);
    for (int k = 0; k < CLASSES; k++) p[k] /= sum;
}

static double cross_entropy(const struct data *d, int exit)
{
    double sum = 0, p[CLASSES];
    for (int n = 0; n < N; n++) {
        softmax(d->logits[exit] + n * CLASSES, 1, p);
        const struct loss_targets *t = &d->batch.targets;
        double share = t->others != NULL ? t->share : 1;
        for (int k = 0; k < CLASSES; k++) {
            double q = share * (k == d->labels[n]) + (1 - share) * (k == d->others[n]);
            if (t->past != NULL)
                q = (1 - t->past_share) * q + t->past_share * (double)t->past[n * CLASSES + k];
            q = (1 - t->smoothing) * q + t->smoothing / CLASSES;
            sum -= q * log(p[k]) * (t->weights != NULL ? (double)t->weights[k] : 1);
        }
    }
    return sum / N;
}

/* KL of an exit's answers from the teacher's logits. */
static double divergence(const struct data *d, int exit, const float *teacher, double t)
{
    double sum = 0, p[CLASSES], q[CLASSES];
    for (int n = 0; n < N; n++) {
        softmax(d->logits[exit] + n * CLASSES, t, p);
        softmax(teacher + n * CLASSES, t, q);
        for (int k = 0; k < CLASSES; k++) sum += q[k] * log(q[k] / p[k]);
    }
    return sum / N;
}

static double hint(const struct recipe *k, const struct data *d, int exit)
{
    if (k->hint_exits != 0 && (k->hint_exits >> exit & 1) == 0) return 0;
    double sum = 0;
    for (int j = 0; j < N * D; j++) {
        double x = (double)d->feature[exit][j] - (double)d->feature[EXITS - 1][j];
        sum += x * x;
    }
    return k->hint == HINT_NORM ? sqrt(sum) : k->hint == HINT_SUM ? sum : sum / (N * D);
}

/* What exits learn from: the deepest one, or the mean of all, as it was when the batch was made. */
static const float *teacher_of(const struct recipe *k, const struct data *d)
{
    return k->distill_from == DISTILL_FROM_ENSEMBLE ? d->mean : d->fixed;
}

/* What the deepest exit learns: from the labels, and from the source. */
static double expected_deepest(const char *name, const struct recipe *k, const struct data *d)
{
    if (strcmp(name, "byot") == 0 && k->distill_from == DISTILL_FROM_ENSEMBLE) {
        double kd = k->kd_scale ? k->temperature * k->temperature : 1;
        return exit_weight(&k->exit_weights, EXITS - 1) *
               ((1 - k->alpha) * cross_entropy(d, EXITS - 1) +
                k->alpha * kd * divergence(d, EXITS - 1, d->mean, k->temperature));
    }
    double scale = k->kd_scale ? k->temperature * k->temperature : 1;
    bool peer = strcmp(name, "dml") == 0;
    bool teacher =
        strcmp(name, "kd") == 0 || strcmp(name, "fitnet") == 0 || strcmp(name, "at") == 0;
    double labels = teacher ? 1 - k->alpha : 1, source = teacher || peer ? k->alpha * scale : 0;
    bool shallow = strcmp(name, "dsn") == 0 || strcmp(name, "byot") == 0;
    double weight = shallow ? exit_weight(&k->exit_weights, EXITS - 1) : 1;
    return weight * labels * cross_entropy(d, EXITS - 1) +
           source * divergence(d, EXITS - 1, d->source, k->temperature);
}

static double expected(const char *name, const struct recipe *k, const struct data *d)
{
    double loss = expected_deepest(name, k, d);
    for (int i = 0; i < EXITS - 1; i++) {
        double weight = exit_weight(&k->exit_weights, i);
        if (strcmp(name, "dsn") == 0) loss += weight * cross_entropy(d, i);
        if (strcmp(name, "byot") == 0) {
            double scale = k->kd_scale ? k->temperature * k->temperature : 1;
            loss +=
                weight * ((1 - k->alpha) * cross_entropy(d, i) +
                          k->alpha * scale * divergence(d, i, teacher_of(k, d), k->temperature) +
                          k->lambda * hint(k, d, i));
        }
    }
    return loss;
}

/* The gradient with respect to *x while the teacher's part is held: exits below the deepest see the
 * deepest as a constant, so only shallow entries may be compared with the whole loss; the deepest's
 * with its own part. */
static void check_gradient(const char *name, const struct recipe *k, struct data *d, float *x,
                           double got, int exit)
{
    const float h = 1.0f / 64, old = *x;
    *x = old + h;
    double up = exit == EXITS - 1 ? expected_deepest(name, k, d) : expected(name, k, d);
    *x = old - h;
    double down = exit == EXITS - 1 ? expected_deepest(name, k, d) : expected(name, k, d);
    *x = old;
    assert_near(got, (up - down) / (2.0 * (double)h), 2e-4);
}

static void check_data(const char *name, const struct recipe *k, struct data *all, bool mixed,
                       double smoothing)
{
    all->batch.targets.others = mixed ? all->others : NULL;
    all->batch.targets.share = 0.7;
    all->batch.targets.smoothing = smoothing;
    struct recipe recipe = *k;
    recipe.method = method_find(name);
    assert_non_null(recipe.method);
    assert_near(objective_loss(&recipe, &all->batch), expected(name, k, all), 1e-6);
    for (int i = 0; i < EXITS; i++) {
        for (int j = 0; j < N * CLASSES; j++) {
            check_gradient(name, k, all, &all->logits[i][j], (double)all->dlogits[i][j], i);
        }
        for (int j = 0; j < N * D; j++) {
            if (i == EXITS - 1) {
                assert_near((double)all->dfeature[i][j], 0, 0); /* the teacher is a constant */
            } else {
                check_gradient(name, k, all, &all->feature[i][j], (double)all->dfeature[i][j], i);
            }
        }
    }
}

static void check_method(const char *name, const struct recipe *k, bool mixed, double smoothing)
{
    struct data d;
    fill(&d);
    check_data(name, k, &d, mixed, smoothing);
}

static void test_losses(void **state)
{
    (void)state;
    const struct recipe sets[] = {
        {.temperature = 3, .alpha = 0.3, .lambda = 0.03, .kd_scale = true},
        {.temperature = 3, .alpha = 0.3, .lambda = 0.03, .kd_scale = false},
        {.temperature = 1.5, .alpha = 1, .lambda = 0, .kd_scale = true},
        {.temperature = 4, .alpha = 0, .lambda = 0.5, .kd_scale = true, .hint_exits = 2},
        {.temperature = 3, .alpha = 0.5, .lambda = 0.02, .kd_scale = true, .hint = HINT_SUM},
        {.temperature = 3, .alpha = 0.3, .lambda = 0.3, .hint = HINT_NORM, .hint_exits = 1},
        {.temperature = 2,
         .alpha = 0.4,
         .lambda = 0.1,
         .kd_scale = true,
         .exit_weights = {3, {0.5, 0, 2}}},
        {.temperature = 3,
         .alpha = 0.6,
         .lambda = 0.03,
         .kd_scale = true,
         .distill_from = DISTILL_FROM_ENSEMBLE,
         .exit_weights = {3, {0.5, 1, 0.25}}}};
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        for (int more = 0; more < 4; more++) { /* mixup, label smoothing, both */
            for (size_t m = 0; method_at(m) != NULL; m++) {
                check_method(method_at(m)->name, &sets[i], more & 1, more & 2 ? 0.1 : 0);
            }
        }
    }
}

/* Answers of before and weights of classes, alone and with all else. */
static void test_targets(void **state)
{
    (void)state;
    static const float weights[CLASSES] = {0.5F, 2, 1, 0};
    const struct recipe k = {.temperature = 3, .alpha = 0.3, .lambda = 0.03, .kd_scale = true};
    for (int more = 0; more < 16; more++) {
        struct data d;
        float past[N * CLASSES];
        fill(&d);
        for (int n = 0; n < N; n++) {
            double p[CLASSES];
            softmax(d.source + n * CLASSES, 1, p);
            for (int c = 0; c < CLASSES; c++) past[n * CLASSES + c] = (float)p[c];
        }
        d.batch.targets.past = more & 1 ? past : NULL;
        d.batch.targets.past_share = 0.6;
        d.batch.targets.weights = more & 2 ? weights : NULL;
        check_data("byot", &k, &d, more & 4, more & 8 ? 0.1 : 0);
    }
}

static void test_exit_weights(void **state)
{
    (void)state;
    struct err e = {0};
    struct recipe k = {.method = method_find("dsn"), .exit_weights = {3, {1, 1, 1}}};
    assert_int_equal(objective_check(&k, 3, &e), 0);
    assert_int_equal(objective_check(&k, 4, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "--exit-weights 1,1,1: 3 weights, but the network has 4"));
}

/* The baseline reads and writes nothing of the other exits. */
static void test_baseline_alone(void **state)
{
    (void)state;
    struct data d;
    fill(&d);
    for (int i = 0; i < EXITS - 1; i++) {
        d.batch.logits[i] = d.batch.feature[i] = NULL;
        d.batch.dlogits[i] = d.batch.dfeature[i] = NULL;
    }
    const struct recipe k = {
        .method = method_find("baseline"), .temperature = 3, .alpha = 0.3, .lambda = 0.03};
    assert_near(objective_loss(&k, &d.batch), cross_entropy(&d, EXITS - 1), 1e-6);
}

static void test_exits(void **state)
{
    (void)state;
    assert_int_equal(objective_exits(method_find("baseline"), 4), 8);
    assert_int_equal(objective_exits(method_find("dsn"), 4), 15);
    assert_int_equal(objective_exits(method_find("byot"), 1), 1);
    assert_int_equal(objective_exits(method_find("at"), 4), 8);
}

/* Classifiers of which something is learnt: those that the method teaches. */
static void test_learned(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        unsigned learned;
    } rows[] = {{"baseline", 8}, {"kd", 8},   {"fitnet", 8}, {"at", 8},
                {"dml", 8},      {"dsn", 15}, {"byot", 15}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct recipe r = {.method = method_find(rows[i].method)};
        assert_int_equal(objective_learned(&r, 4), rows[i].learned);
    }
}

static void test_guide_weight(void **state)
{
    (void)state;
    struct recipe r;
    recipe_default(&r, method_find("fitnet"));
    assert_true(objective_guide_weight(&r) == 10);
    recipe_default(&r, method_find("at"));
    assert_true(objective_guide_weight(&r) == 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_losses),       cmocka_unit_test(test_baseline_alone),
        cmocka_unit_test(test_targets),      cmocka_unit_test(test_exit_weights),
        cmocka_unit_test(test_exits),        cmocka_unit_test(test_learned),
        cmocka_unit_test(test_guide_weight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
