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
    float logits[EXITS][N * CLASSES], feature[EXITS][N * D];
    float dlogits[EXITS][N * CLASSES], dfeature[EXITS][N * D];
    float source[N * CLASSES];
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
    d->batch.labels = d->labels;
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
        double share = d->batch.others != NULL ? d->batch.share : 1;
        for (int k = 0; k < CLASSES; k++) {
            double q = share * (k == d->labels[n]) + (1 - share) * (k == d->others[n]);
            q = (1 - d->batch.smoothing) * q + d->batch.smoothing / CLASSES;
            sum -= q * log(p[k]);
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

/* What the deepest exit learns: from the labels, and from the source. */
static double expected_deepest(const char *name, const struct recipe *k, const struct data *d)
{
    double scale = k->kd_scale ? k->temperature * k->temperature : 1;
    bool peer = strcmp(name, "dml") == 0;
    bool teacher =
        strcmp(name, "kd") == 0 || strcmp(name, "fitnet") == 0 || strcmp(name, "at") == 0;
    double labels = teacher ? 1 - k->alpha : 1, source = teacher || peer ? k->alpha * scale : 0;
    return labels * cross_entropy(d, EXITS - 1) +
           source * divergence(d, EXITS - 1, d->source, k->temperature);
}

static double expected(const char *name, const struct recipe *k, const struct data *d)
{
    double loss = expected_deepest(name, k, d);
    for (int i = 0; i < EXITS - 1; i++) {
        if (strcmp(name, "dsn") == 0) loss += cross_entropy(d, i);
        if (strcmp(name, "byot") == 0) {
            double scale = k->kd_scale ? k->temperature * k->temperature : 1;
            loss += (1 - k->alpha) * cross_entropy(d, i) +
                    k->alpha * scale * divergence(d, i, d->logits[EXITS - 1], k->temperature) +
                    k->lambda * hint(k, d, i);
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

static void check_method(const char *name, const struct recipe *k, bool mixed, double smoothing)
{
    struct data d;
    fill(&d);
    d.batch.others = mixed ? d.others : NULL;
    d.batch.share = 0.7;
    d.batch.smoothing = smoothing;
    struct recipe recipe = *k;
    recipe.method = method_find(name);
    assert_non_null(recipe.method);
    assert_near(objective_loss(&recipe, &d.batch), expected(name, k, &d), 1e-6);
    for (int i = 0; i < EXITS; i++) {
        for (int j = 0; j < N * CLASSES; j++) {
            check_gradient(name, k, &d, &d.logits[i][j], (double)d.dlogits[i][j], i);
        }
        for (int j = 0; j < N * D; j++) {
            if (i == EXITS - 1) {
                assert_near((double)d.dfeature[i][j], 0, 0); /* the teacher is a constant */
            } else {
                check_gradient(name, k, &d, &d.feature[i][j], (double)d.dfeature[i][j], i);
            }
        }
    }
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
        {.temperature = 3, .alpha = 0.3, .lambda = 0.3, .hint = HINT_NORM, .hint_exits = 1}};
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        for (int more = 0; more < 4; more++) { /* mixup, label smoothing, both */
            for (size_t m = 0; method_at(m) != NULL; m++) {
                check_method(method_at(m)->name, &sets[i], more & 1, more & 2 ? 0.1 : 0);
            }
        }
    }
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
        cmocka_unit_test(test_losses),
        cmocka_unit_test(test_baseline_alone),
        cmocka_unit_test(test_exits),
        cmocka_unit_test(test_guide_weight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
