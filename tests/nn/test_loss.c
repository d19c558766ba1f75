/* Losses: each term against PyTorch, gradients by central differences, extreme logits. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "nn/loss.h"
#include "vectors.h"

enum { N = 5, CLASSES = 7, COUNT = N * CLASSES };

static void check_term(const struct record *wanted, double value)
{
    assert_non_null(wanted);
    if (!(fabs(value - (double)wanted->values[0]) <= 1e-6 * fabs(value)))
        fail_msg("%s: %.9g, wanted %.9g", wanted->name, value, (double)wanted->values[0]);
}

static void check_file(const char *file)
{
    struct vectors *v = vectors_load(file);
    int n = v->batch, classes = net_classes(v->net), d = net_feature_size(v->net), last = 4;
    const float *teacher = vectors_find(v, "train.logits.%d", last)->values;
    const float *target = vectors_find(v, "train.features.%d", last)->values;
    float sink[1000] = {0};
    assert_true(n * classes <= 1000 && n * d <= 1000);
    for (int i = 1; i <= last; i++) {
        const float *logits = vectors_find(v, "train.logits.%d", i)->values;
        const float *features = vectors_find(v, "train.features.%d", i)->values;
        check_term(vectors_find(v, "loss.ce.%d", i),
                   loss_cross_entropy(n, classes, logits, v->labels, 1.0, sink));
        if (i == last) break;
        check_term(vectors_find(v, "loss.kl.%d", i),
                   loss_distill(n, classes, logits, teacher, 3.0, 1.0, sink));
        check_term(vectors_find(v, "loss.kl_scaled.%d", i),
                   loss_distill(n, classes, logits, teacher, 3.0, 9.0, sink));
        check_term(vectors_find(v, "loss.hint.%d", i),
                   loss_hint(n, d, features, target, 1.0, sink));
    }
    vectors_free(v);
}

static void test_terms(void **state)
{
    (void)state;
    check_file("resnet18_even.bin");
    check_file("resnet18_odd.bin");
}

struct term {
    float student[COUNT], teacher[COUNT];
    int32_t labels[N], others[N];
};

static struct term random_term(uint32_t round)
{
    struct term t;
    struct rng rng;
    rng_init(&rng, 3, RNG_TEST, round, 0);
    for (int i = 0; i < COUNT; i++) {
        t.student[i] = (float)(2 * rng_normal(&rng));
        t.teacher[i] = (float)(2 * rng_normal(&rng));
    }
    for (int i = 0; i < N; i++) t.labels[i] = (int32_t)rng_below(&rng, CLASSES);
    for (int i = 0; i < N; i++) t.others[i] = (int32_t)rng_below(&rng, CLASSES);
    return t;
}

static double evaluate(int kind, const struct term *t, float *gradient)
{
    switch (kind) {
    case 0:
        return loss_cross_entropy(N, CLASSES, t->student, t->labels, 0.7, gradient);
    case 1:
        return loss_distill(N, CLASSES, t->student, t->teacher, 3.0, 2.7, gradient);
    case 2:
        return loss_distill(N, CLASSES, t->student, t->teacher, 1.0, 0.5, gradient);
    case 3:
        return loss_hint(N, CLASSES, t->student, t->teacher, 0.3, gradient);
    case 4:
        return loss_hint_as(LOSS_HINT_SUM, N, CLASSES, t->student, t->teacher, 0.01, gradient);
    case 5:
        return loss_hint_as(LOSS_HINT_NORM, N, CLASSES, t->student, t->teacher, 0.3, gradient);
    case 6: {
        const struct loss_targets smooth = {
            .labels = t->labels, .others = NULL, .share = 0, .smoothing = 0.1};
        return loss_soft_cross_entropy(N, CLASSES, t->student, &smooth, 0.7, gradient);
    }
    default: {
        const struct loss_targets mixed = {
            .labels = t->labels, .others = t->others, .share = 0.35, .smoothing = 0.2};
        return loss_soft_cross_entropy(N, CLASSES, t->student, &mixed, 0.7, gradient);
    }
    }
}

/* The gradient is added to what stands there. */
static void test_gradients(void **state)
{
    (void)state;
    const float h = 1.0f / 128;
    for (int kind = 0; kind < 8; kind++) {
        struct term t = random_term((uint32_t)kind);
        float gradient[COUNT], sink[COUNT];
        for (int i = 0; i < COUNT; i++) gradient[i] = 10.0f;
        assert_true(evaluate(kind, &t, gradient) > 0);
        for (int i = 0; i < COUNT; i++) {
            float old = t.student[i];
            t.student[i] = old + h;
            double up = evaluate(kind, &t, sink), step = (double)t.student[i];
            t.student[i] = old - h;
            double down = evaluate(kind, &t, sink);
            step -= (double)t.student[i];
            t.student[i] = old;
            assert_true(fabs((up - down) / step - ((double)gradient[i] - 10)) < 1e-5);
        }
    }
}

/* A student that says what the teacher says has nothing to learn; KL is never negative. */
static void test_distill_of_equals(void **state)
{
    (void)state;
    for (uint32_t round = 10; round < 60; round++) {
        struct term t = random_term(round);
        float gradient[COUNT] = {0};
        assert_true(loss_distill(N, CLASSES, t.student, t.teacher, 2.0, 1.0, gradient) > 0);
        memset(gradient, 0, sizeof(gradient));
        for (int i = 0; i < COUNT; i++) /* softmax does not see what is added to all logits */
            t.teacher[i] = t.student[i] + 0.5f * (float)(i / CLASSES);
        assert_true(fabs(loss_distill(N, CLASSES, t.student, t.teacher, 2.0, 1.0, gradient)) <
                    1e-6);
        for (int i = 0; i < COUNT; i++) assert_true(fabsf(gradient[i]) < 1e-6f);
    }
}

/* Mixed labels are the mixture of two losses, smooth ones that with the mean over all classes; with
 * neither the bits are the plain loss's. */
static void test_soft_labels(void **state)
{
    (void)state;
    struct term t = random_term(70);
    float plain[COUNT] = {0}, gradient[COUNT] = {0}, sink[COUNT];
    const struct loss_targets hard = {
        .labels = t.labels, .others = NULL, .share = 0.5, .smoothing = 0};
    double own = loss_cross_entropy(N, CLASSES, t.student, t.labels, 0.7, plain);
    assert_true(own == loss_soft_cross_entropy(N, CLASSES, t.student, &hard, 0.7, gradient));
    assert_memory_equal(plain, gradient, sizeof(plain));

    double other = loss_cross_entropy(N, CLASSES, t.student, t.others, 0.7, sink), all = 0;
    for (int32_t k = 0; k < CLASSES; k++) {
        const int32_t same[N] = {k, k, k, k, k};
        all += loss_cross_entropy(N, CLASSES, t.student, same, 0.7, sink) / CLASSES;
    }
    const struct loss_targets soft = {
        .labels = t.labels, .others = t.others, .share = 0.3, .smoothing = 0.2};
    double wanted = 0.8 * (0.3 * own + 0.7 * other) + 0.2 * all;
    double value = loss_soft_cross_entropy(N, CLASSES, t.student, &soft, 0.7, sink);
    assert_true(fabs(value - wanted) < 1e-9);

    float z[3] = {3e38f, -3e38f, 0.0f}, dz[3] = {0};
    const int32_t wrong = 1;
    const struct loss_targets extreme = {
        .labels = &wrong, .others = NULL, .share = 0, .smoothing = 0.1};
    assert_true(isfinite(loss_soft_cross_entropy(1, 3, z, &extreme, 1.0, dz)) && isfinite(dz[0]));
}

/* The three forms of one sum; where nothing differs, the norm has the gradient 0. */
static void test_hint_forms(void **state)
{
    (void)state;
    struct term t = random_term(71);
    float sink[COUNT], gradient[COUNT] = {0};
    double mean = loss_hint_as(LOSS_HINT_MEAN, N, CLASSES, t.student, t.teacher, 1.0, sink);
    double sum = loss_hint_as(LOSS_HINT_SUM, N, CLASSES, t.student, t.teacher, 1.0, sink);
    double norm = loss_hint_as(LOSS_HINT_NORM, N, CLASSES, t.student, t.teacher, 1.0, gradient);
    assert_true(mean == loss_hint(N, CLASSES, t.student, t.teacher, 1.0, sink));
    assert_true(fabs(sum - mean * COUNT) < 1e-9 && fabs(norm * norm - sum) < 1e-9);
    double length = 0; /* of the norm's gradient: always the weight */
    for (int i = 0; i < COUNT; i++) length += (double)gradient[i] * (double)gradient[i];
    assert_true(fabs(length - 1) < 1e-6);
    memset(gradient, 0, sizeof(gradient));
    for (int form = LOSS_HINT_MEAN; form <= LOSS_HINT_NORM; form++)
        assert_true(loss_hint_as((enum loss_hint_form)form, N, CLASSES, t.student, t.student, 1.0,
                                 gradient) == 0.0);
    for (int i = 0; i < COUNT; i++) assert_true(gradient[i] == 0.0f);
}

static void test_extreme_logits(void **state)
{
    (void)state;
    float z[3] = {3e38f, -3e38f, 0.0f}, gradient[3] = {0}, p[3];
    const int32_t right = 0, wrong = 1;
    assert_true(loss_cross_entropy(1, 3, z, &right, 1.0, gradient) == 0.0);
    assert_true(gradient[0] == 0.0f && gradient[1] == 0.0f);
    double loss = loss_cross_entropy(1, 3, z, &wrong, 1.0, gradient);
    assert_true(isfinite(loss) && loss > 5e38);
    assert_true(gradient[0] == 1.0f && gradient[1] == -1.0f);

    float teacher[3] = {-3e38f, 3e38f, 0.0f};
    assert_true(isfinite(loss_distill(1, 3, z, teacher, 3.0, 9.0, gradient)));
    float same[3] = {3e38f, -3e38f, 0.0f};
    assert_true(loss_distill(1, 3, same, z, 3.0, 9.0, gradient) == 0.0);

    loss_softmax(3, z, 1.0, p);
    assert_true(p[0] == 1.0f && p[1] == 0.0f && p[2] == 0.0f);

    float nan[3] = {NAN, 0.0f, 0.0f}; /* must show in the value, so that the trainer stops */
    assert_true(isnan(loss_cross_entropy(1, 3, nan, &wrong, 1.0, gradient)));
}

static void test_softmax(void **state)
{
    (void)state;
    float z[4] = {0.0f, logf(2.0f), logf(4.0f), logf(1.0f)}, p[4];
    loss_softmax(4, z, 1.0, p);
    const float wanted[4] = {0.125f, 0.25f, 0.5f, 0.125f};
    for (int k = 0; k < 4; k++) assert_true(fabsf(p[k] - wanted[k]) < 1e-6f);
    loss_softmax(4, z, 2.0, z); /* in place, and flatter */
    assert_true(fabsf(z[0] + z[1] + z[2] + z[3] - 1.0f) < 1e-6f);
    assert_true(fabsf(z[2] / z[0] - 2.0f) < 1e-5f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terms),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_distill_of_equals),
        cmocka_unit_test(test_soft_labels),
        cmocka_unit_test(test_hint_forms),
        cmocka_unit_test(test_extreme_logits),
        cmocka_unit_test(test_softmax),
    };
    return cmocka_run_group_tests_name("loss", tests, NULL, NULL);
}
