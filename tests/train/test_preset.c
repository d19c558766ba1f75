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
    const struct grad_options how = {.borders = 0};
    if (learner_init(&l, net, &r, &how, 0, pool, kernels_best(), &e) < 0) fail_msg("%s", e.text);
    for (size_t i = 0; i < n_params; i++) fill_param(&params[i], seed, l.params + params[i].offset);
    if (accumulator_init(&sum, net_trained_size(net), c->parts, &e) < 0) fail_msg("%s", e.text);
    const size_t size = shape_size(net_input(net));
    float *images = mem_new(batch, size * sizeof(*images));
    assert_non_null(images);
    fill_batch(images, seed, batch, labels);
    if (c->share > 0) {
        const struct mix mix = {.kind = MIX_BLEND, .share = c->share};
        mix_images(&mix, images, batch, net_input(net), pool);
        mix_labels(labels, batch, others);
    }
    double loss = 0;
    for (int64_t part = 0; part < c->parts; part++) {
        const size_t first = (size_t)part * BATCH;
        const struct loss_targets targets = {.labels = labels + first,
                                             .others = c->share > 0 ? others + first : NULL,
                                             .share = c->share,
                                             .smoothing = c->smoothing};
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

static const struct shape small = {.height = 1, .width = 1, .channels = 3};

static double share_of(double a, uint64_t seed, uint32_t epoch, uint32_t step)
{
    const struct recipe recipe = {.mixup = a, .seed = seed};
    assert_true(mix_is_on(&recipe));
    const struct mix mix = mix_draw(&recipe, epoch, step, small);
    assert_int_equal(mix.kind, MIX_BLEND);
    return mix.share;
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
    const struct mix mix = {.kind = MIX_BLEND, .share = 0.75};
    mix_images(&mix, images, N, small, NULL);
    mix_labels(labels, N, others);
    for (int i = 0; i < N; i++) {
        assert_int_equal(others[i], 10 + N - 1 - i);
        for (int k = 0; k < SIZE; k++) {
            double own = i * SIZE + k, other = (N - 1 - i) * SIZE + k;
            assert_near((double)images[i * SIZE + k], 0.75 * own + 0.25 * other, 1e-6);
        }
    }
    struct pool *pool = pool_new(3);
    mix_images(&mix, again, N, small, pool);
    assert_memory_equal(images, again, sizeof(images));
    pool_free(pool);
}

/* What a share s of CutMix leaves of the area on average over all middles, by the paper's equation
 * 2 with the authors' roundings, s even over (0, 1): Beta(1, 1). */
static double mean_share(int height, int width)
{
    enum { SHARES = 4000 };
    double sum = 0;
    for (int i = 0; i < SHARES; i++) {
        const double part = sqrt(1 - (i + 0.5) / SHARES);
        const int w = (int)(width * part) / 2, h = (int)(height * part) / 2;
        double across = 0, down = 0;
        for (int x = 0; x < width; x++) across += fmin(x + w, width) - fmax(x - w, 0);
        for (int y = 0; y < height; y++) down += fmin(y + h, height) - fmax(y - h, 0);
        sum += 1 - across / width * (down / height) / (width * height);
    }
    return sum / SHARES;
}

/* How often it cuts, where, and how much is left. */
static void test_cut_draws(void **state)
{
    (void)state;
    enum { N = 20000 };
    const struct shape image = {.height = 24, .width = 32, .channels = 3};
    const struct recipe recipe = {.cutmix = 1, .cutmix_prob = 0.3, .mixup = 0.4, .seed = 8},
                        alone = {.cutmix = 1, .cutmix_prob = 0.3, .seed = 8},
                        always = {.cutmix = 1000, .cutmix_prob = 1, .seed = 8};
    int cuts = 0, covered[32] = {0};
    double shares = 0, squares = 0;
    for (uint32_t step = 0; step < N; step++) {
        const struct mix m = mix_draw(&recipe, 3, step, image),
                         n = mix_draw(&alone, 3, step, image);
        if (m.kind != MIX_CUT) { /* mixup has the step, as if there were nothing else */
            assert_true(m.kind == MIX_BLEND && n.kind == MIX_NOTHING && n.share == 1);
            assert_true(m.share == share_of(0.4, 8, 3, step));
            continue;
        }
        assert_true(n.kind == MIX_CUT && n.share == m.share && n.left == m.left);
        assert_true(m.left >= 0 && m.left + m.width <= 32 && m.top >= 0 && m.top + m.height <= 24);
        assert_true(m.share == 1 - m.height * m.width / (24.0 * 32.0));
        cuts++;
        shares += m.share;
        squares += m.share * m.share;
        for (int x = m.left; x < m.left + m.width; x++) covered[x]++;
    }
    const double mean = shares / cuts, error = sqrt((squares / cuts - mean * mean) / cuts);
    assert_in_range(cuts, N * 0.3 - 330, N * 0.3 + 330);
    assert_true(fabs(mean - mean_share(24, 32)) < 5 * error);
    assert_true(covered[0] > 0 && covered[31] > 0 && covered[16] > covered[0]);
    for (uint32_t step = 0; step < 200; step++) { /* nearly half of the area, unless clipped */
        const struct mix m = mix_draw(&always, 0, step, image);
        assert_true(m.kind == MIX_CUT && m.width <= 24 && m.height <= 18);
        assert_true(m.width >= 10 && m.height >= 7 && m.share >= 0.45);
    }
}

/* The rectangle is the other image's, and nothing else is. */
static void test_cut_pairs(void **state)
{
    (void)state;
    enum { N = 5, H = 4, W = 6, C = 3, SIZE = H * W * C };
    const struct shape image = {.height = H, .width = W, .channels = C};
    const struct mix mix = {
        .kind = MIX_CUT, .share = 0.5, .top = 1, .left = 2, .height = 3, .width = 4};
    float images[N * SIZE], again[N * SIZE];
    for (int i = 0; i < N * SIZE; i++) images[i] = again[i] = (float)i;
    mix_images(&mix, images, N, image, NULL);
    for (int i = 0; i < N * SIZE; i++) {
        const int n = i / SIZE, at = i % SIZE, x = at / C % W, y = at / C / W;
        const bool inside = y >= 1 && y < 4 && x >= 2 && x < 6;
        assert_true(images[i] == (float)(inside ? (N - 1 - n) * SIZE + at : i));
    }
    struct pool *pool = pool_new(3);
    mix_images(&mix, again, N, image, pool);
    assert_memory_equal(images, again, sizeof(images));
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients), cmocka_unit_test(test_mix_share),
        cmocka_unit_test(test_mix_pairs), cmocka_unit_test(test_cut_draws),
        cmocka_unit_test(test_cut_pairs),
    };
    return cmocka_run_group_tests_name("preset", tests, NULL, NULL);
}
