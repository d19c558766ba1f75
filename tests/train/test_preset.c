/* Presets: their constants, and the whole gradient of each, with mixed and smoothed labels
 * and accumulated over parts of a batch, against PyTorch in float64 (make_preset_vectors.py has the
 * same cases); mixup's shares and pairs; the words of --hint and --hint-exits. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/train/accumulator.h"
#include "../../src/train/learner.h"
#include "../../src/train/mix.h"
#include "../model/numbers.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/spec_file.h"
#include "../near.h"
#include "recipe/draft.h"

enum { BATCH = 5, PARTS_MAX = 3, CLASSES = 5, SIDE = 16, WIDTH = 2 };
static const double TOLERANCE = 1e-4;

static const struct preset_case {
    const char *name, *preset; /* NULL: a method without one */
    const char *method;
    double lambda, smoothing, share; /* 0: the preset's; off; no mixup */
    int64_t parts;                   /* of BATCH images */
} cases[] = {
    {"byot", "byot", "byot", 0, 0, 0, 1},
    {"scan", "scan", "byot", 0, 0, 0, 1},
    {"sdf", "sdf", "byot", 0, 0, 0, 1},
    {"scan_hint", "scan", "byot", 0.01, 0, 0, 1},
    {"sdf_hint", "sdf", "byot", 0.5, 0, 0, 1},
    {"byot_smooth", "byot", "byot", 0, 0.1, 0, 1},
    {"scan_mixed", "scan", "byot", 0, 0, 0.7, 1},
    {"sdf_both", "sdf", "byot", 0, 0.1, 0.35, 1},
    {"dsn_both", NULL, "dsn", 0, 0.2, 0.6, 1},
    {"baseline_both", NULL, "baseline", 0, 0.2, 0.6, 1},
    {"sdf_parts", "sdf", "byot", 0, 0.1, 0.35, 3},
};

static const char *top_directory(void)
{
    const char *top = getenv("top_srcdir");
    return top != NULL ? top : ".";
}

static struct net *make_net(const char *heads)
{
    char path[4096];
    struct spec spec;
    struct err e = {0};
    snprintf(path, sizeof(path), "%s/models/resnet18.json", top_directory());
    if (spec_read(path, &spec, &e) < 0) fail_msg("%s", e.text);
    enum spec_head kind;
    if (heads != NULL && spec_head_parse(heads, &kind, &e) == 0) spec_set_heads(&spec, kind);
    spec.height = spec.width = SIDE;
    if (spec_scale(&spec, WIDTH, CLASSES, &e) < 0) fail_msg("%s", e.text);
    struct net *net = net_new(&spec, &e);
    if (net == NULL) fail_msg("%s", e.text);
    return net;
}

static void fill_batch(float *images, int seed, size_t batch, int32_t *labels)
{
    char text[32];
    const size_t pixels = SIDE * SIDE;
    snprintf(text, sizeof(text), "%d.images", seed);
    for (size_t i = 0; i < batch * 3 * pixels; i++) { /* PyTorch's order is NCHW */
        size_t image = i / pixels / 3, channel = i / pixels % 3, pixel = i % pixels;
        images[(image * pixels + pixel) * 3 + channel] = number(fnv(text), i, 0.0, 2.0);
    }
    snprintf(text, sizeof(text), "%d.labels", seed);
    for (size_t i = 0; i < batch; i++) labels[i] = (int32_t)(hash_at(fnv(text), i) % CLASSES);
}

static const struct record *find(const struct record *records, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(records[i].name, name) == 0) return &records[i];
    }
    fail_msg("%s is not in the vectors", name);
    return NULL;
}

static void check_gradient(const struct preset_case *c, const struct param *p,
                           const struct record *wanted, const float *dparams)
{
    double difference, norm;
    assert_int_equal(wanted->count, p->size <= WHOLE ? p->size : SIGNS + 1);
    distance(wanted, false, dparams + p->offset, p->size, &difference, &norm);
    if (norm < 1e-7 && difference < 1e-5) return; /* a bias before a norm: rounding alone */
    if (!(difference <= TOLERANCE * norm))
        fail_msg("%s: %s is off by %.3g in L2, of a norm of %.3g", c->name, p->name, difference,
                 norm);
}

static void give(struct recipe_draft *draft, const char *option, const char *text)
{
    struct err e = {0};
    if (recipe_give(draft, recipe_option_find(option), text, &e) < 0) fail_msg("%s", e.text);
}

static void check_case(const struct preset_case *c, struct pool *pool)
{
    char path[4096], name[160];
    struct err e = {0};
    struct learner l = {0};
    struct accumulator sum;
    int32_t labels[PARTS_MAX * BATCH], others[PARTS_MAX * BATCH];
    size_t n, n_params, batch = (size_t)c->parts * BATCH;
    struct recipe_draft draft;
    recipe_draft_init(&draft, RECIPE_COMMAND_LINE);
    give(&draft, "method", c->method);
    if (c->preset != NULL) give(&draft, "preset", c->preset);
    if (recipe_finish(&draft, &e) < 0) fail_msg("%s", e.text);
    struct recipe r = draft.recipe;
    struct net *net = make_net(recipe_choice("heads", draft.heads));
    const struct param *params = net_params(net, &n_params);
    snprintf(path, sizeof(path), "%s/tests/train/vectors/preset_%s.bin", top_directory(), c->name);
    struct record *records = records_read(path, &n);
    const int seed = (int)find(records, n, "seed")->values[0];

    r.batch = (int64_t)batch;
    r.accumulate = c->parts;
    r.label_smoothing = c->smoothing;
    if (c->lambda > 0) r.lambda = c->lambda;
    if (learner_init(&l, net, &r, 0, 0, pool, kernels_best(), &e) < 0) fail_msg("%s", e.text);
    for (size_t i = 0; i < n_params; i++) fill_param(&params[i], seed, l.params + params[i].offset);
    if (accumulator_init(&sum, net_trained_size(net), c->parts, &e) < 0) fail_msg("%s", e.text);
    const size_t size = shape_size(net_input(net));
    float *images = mem_new(batch, size * sizeof(*images));
    assert_non_null(images);
    fill_batch(images, seed, batch, labels);
    if (c->share > 0) {
        mix_images(images, batch, size, c->share, pool);
        mix_labels(labels, batch, others);
    }
    double loss = 0;
    for (int64_t part = 0; part < c->parts; part++) {
        const size_t first = (size_t)part * BATCH;
        const struct loss_targets targets = {labels + first, c->share > 0 ? others + first : NULL,
                                             c->share, c->smoothing};
        memcpy(grad_input(l.grad), images + first * size, BATCH * size * sizeof(*images));
        grad_forward(l.grad, l.params, BATCH);
        loss += learner_loss(&l, &r, &targets, NULL) / (double)c->parts;
        learner_backward(&l);
        accumulator_take(&sum, part, l.dparams, pool);
    }
    assert_near(loss, (double)find(records, n, "total")->values[0], 1e-5);
    for (size_t i = 0; i < n_params; i++) {
        if (!params[i].trained) continue;
        snprintf(name, sizeof(name), "grad.%s", params[i].name);
        check_gradient(c, &params[i], find(records, n, name), l.dparams);
    }
    mem_free(images);
    accumulator_release(&sum);
    records_free(records, n);
    learner_release(&l);
    net_free(net);
}

static void test_gradients(void **state)
{
    (void)state;
    struct pool *pool = pool_new(2);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_case(&cases[i], NULL);
        check_case(&cases[i], pool);
    }
    pool_free(pool);
}

static double share_of(double a, uint64_t seed, uint32_t epoch, uint32_t step)
{
    const struct recipe recipe = {.mixup = a, .seed = seed};
    assert_true(mix_is_on(&recipe));
    return mix_share(&recipe, epoch, step);
}

/* Moments of Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1)). Small ones are near 0 or 1. */
static void test_mix_share(void **state)
{
    (void)state;
    enum { N = 40000 };
    const double alphas[] = {0.001, 0.2, 0.5, 1, 4, 100};
    for (size_t i = 0; i < sizeof(alphas) / sizeof(alphas[0]); i++) {
        double sum = 0, squares = 0, fourth = 0, a = alphas[i], variance = 1 / (4 * (2 * a + 1));
        for (uint32_t step = 0; step < N; step++) {
            double x = share_of(a, 8, 3, step);
            assert_true(x >= 0 && x <= 1); /* and is a number */
            assert_true(x == share_of(a, 8, 3, step));
            x -= 0.5;
            sum += x;
            squares += x * x;
            fourth += x * x * x * x;
        }
        double error = sqrt((fourth / N - squares / N * squares / N) / N);
        assert_true(fabs(sum / N) < 5 * sqrt(variance / N));
        assert_true(fabs(squares / N - variance) < 5 * error + 1e-9);
    }
    for (uint32_t step = 0; step < 1000; step++) { /* the least that is taken */
        double x = share_of(1e-6, 8, 3, step);
        assert_true(x >= 0 && x <= 1);
    }
    assert_true(share_of(1, 8, 3, 0) != share_of(1, 8, 4, 0));
    assert_true(share_of(1, 8, 3, 0) != share_of(1, 9, 3, 0));
}

static void test_mix_pairs(void **state)
{
    (void)state;
    enum { N = 7, SIZE = 3 };
    float images[N * SIZE], again[N * SIZE];
    int32_t labels[N], others[N];
    for (int i = 0; i < N * SIZE; i++) images[i] = again[i] = (float)i;
    for (int i = 0; i < N; i++) labels[i] = 10 + i;
    mix_images(images, N, SIZE, 0.75, NULL);
    mix_labels(labels, N, others);
    for (int i = 0; i < N; i++) {
        assert_int_equal(others[i], 10 + N - 1 - i);
        for (int k = 0; k < SIZE; k++) {
            double own = i * SIZE + k, other = (N - 1 - i) * SIZE + k;
            assert_near((double)images[i * SIZE + k], 0.75 * own + 0.25 * other, 1e-6);
        }
    }
    struct pool *pool = pool_new(3);
    mix_images(again, N, SIZE, 0.75, pool);
    assert_memory_equal(images, again, sizeof(images));
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_mix_share),
        cmocka_unit_test(test_mix_pairs),
    };
    return cmocka_run_group_tests_name("preset", tests, NULL, NULL);
}
