/* Optimizers against their formulas written out again in double, whatever the number of threads;
 * what does not decay does not; untrained heads stay as they are; clipping. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../near.h"

#include "base/mem.h"
#include "base/rng.h"
#include "../nn/tiny.h"
#include "train/optimizer.h"

enum { STEPS = 3 };

static void fill(float *x, size_t n, uint32_t stream)
{
    struct rng r;
    rng_init(&r, 1, RNG_TEST, stream, 0);
    for (size_t i = 0; i < n; i++) x[i] = (float)rng_normal(&r);
}

/* The parameter that the entry of the block belongs to, when it learns; else NULL. */
static const struct param *learning(const struct net *net, size_t at, unsigned exits)
{
    size_t n;
    const struct param *p = net_params(net, &n);
    for (size_t i = 0; i < n; i++) {
        if (at < p[i].offset || at >= p[i].offset + p[i].size) continue;
        return p[i].trained && (p[i].exit < 0 || (exits >> p[i].exit & 1) != 0) ? &p[i] : NULL;
    }
    return NULL;
}

static bool is_norm_or_bias(const struct param *p)
{
    return p->role != PARAM_CONV_WEIGHT && p->role != PARAM_LINEAR_WEIGHT;
}

/* One number through some steps: PyTorch's torch.optim.SGD, and torch.optim.AdamW without amsgrad.
 */
static void sgd(const struct recipe *r, double decay, double rate, double slope, double *x,
                double *moments)
{
    const double g = slope + decay * *x;
    moments[0] = r->momentum * moments[0] + g;
    *x -= rate * (r->nesterov ? g + r->momentum * moments[0] : moments[0]);
}

static void adamw(const struct recipe *r, double decay, double rate, double slope, int t, double *x,
                  double *moments)
{
    *x *= 1 - rate * decay;
    moments[0] = r->adam_beta1 * moments[0] + (1 - r->adam_beta1) * slope;
    moments[1] = r->adam_beta2 * moments[1] + (1 - r->adam_beta2) * slope * slope;
    const double mean = moments[0] / (1 - pow(r->adam_beta1, t));
    *x -= rate * mean / (sqrt(moments[1] / (1 - pow(r->adam_beta2, t))) + r->adam_epsilon);
}

static void check(const struct recipe *r, unsigned threads, unsigned exits)
{
    struct net *net = tiny_net(8, 10);
    assert_non_null(net);
    struct err e = {0};
    size_t all = net_block_size(net), trained = net_trained_size(net);
    struct pool *pool = pool_new(threads);
    struct optimizer *o = optimizer_new(net, r, exits, pool, kernels_best(), &e);
    assert_non_null(o);
    float *w = mem_new(all, sizeof(*w)), *first = mem_new(all, sizeof(*w)),
          *g = mem_new(trained, sizeof(*g));
    fill(w, all, 0);
    memcpy(first, w, all * sizeof(*w));
    fill(g, trained, 1);
    for (int t = 1; t <= STEPS; t++) {
        const struct optimizer_step s = {t, 0.05 / t, 0.7};
        optimizer_step(o, &s, g, w);
    }
    for (size_t i = 0; i < all; i++) {
        double x = (double)first[i], moments[2] = {0, 0};
        const struct param *p = learning(net, i, exits);
        for (int t = 1; t <= STEPS && p != NULL; t++) {
            const double slope = 0.7 * (double)g[i];
            const bool still = r->decay_on == DECAY_ON_WEIGHTS && is_norm_or_bias(p);
            const double decay = still ? 0 : r->weight_decay;
            if (r->optimizer == OPTIMIZER_ADAMW)
                adamw(r, decay, 0.05 / t, slope, t, &x, moments);
            else
                sgd(r, decay, 0.05 / t, slope, &x, moments);
        }
        assert_near((double)w[i], x, 2e-6);
        if (p == NULL) assert_memory_equal(&w[i], &first[i], sizeof(*w));
        for (size_t m = 0; m < optimizer_moments(r) && i < trained; m++)
            assert_near((double)optimizer_moment(o, m)[i], moments[m], 2e-6);
    }
    mem_free(w);
    mem_free(first);
    mem_free(g);
    optimizer_free(o);
    pool_free(pool);
    net_free(net);
}

static const struct recipe recipes[] = {
    {.momentum = 0.9, .weight_decay = 0.01},
    {.momentum = 0.9, .weight_decay = 0.01, .nesterov = true},
    {.momentum = 0.5, .weight_decay = 0.1, .decay_on = DECAY_ON_WEIGHTS},
    {.optimizer = OPTIMIZER_ADAMW,
     .weight_decay = 0.05,
     .adam_beta1 = 0.9,
     .adam_beta2 = 0.999,
     .adam_epsilon = 1e-8},
    {.optimizer = OPTIMIZER_ADAMW,
     .weight_decay = 0.5,
     .adam_beta1 = 0.5,
     .adam_beta2 = 0.9,
     .adam_epsilon = 0.1,
     .decay_on = DECAY_ON_WEIGHTS},
};

enum { RECIPES = sizeof(recipes) / sizeof(recipes[0]) };

static void test_step(void **state)
{
    (void)state;
    for (size_t i = 0; i < RECIPES; i++) {
        for (unsigned threads = 1; threads <= 3; threads++) {
            check(&recipes[i], threads, 3);
            check(&recipes[i], threads, 2);
        }
    }
}

static void test_moments(void **state)
{
    (void)state;
    assert_int_equal(optimizer_moments(&recipes[0]), 1);
    assert_string_equal(optimizer_moment_name(&recipes[0], 0), "momentum");
    assert_int_equal(optimizer_moments(&recipes[3]), 2);
    assert_string_equal(optimizer_moment_name(&recipes[3], 0), "exp_avg");
    assert_string_equal(optimizer_moment_name(&recipes[3], 1), "exp_avg_sq");
}

/* The squares of what learns, in equal bits for any number of threads. */
static void test_square(void **state)
{
    (void)state;
    struct net *net = tiny_net(8, 10);
    const size_t trained = net_trained_size(net);
    float *g = mem_new(trained, sizeof(*g));
    fill(g, trained, 2);
    for (unsigned exits = 2; exits <= 3; exits++) {
        double wanted = 0, first = 0;
        for (size_t i = 0; i < trained; i++)
            if (learning(net, i, exits) != NULL) wanted += (double)g[i] * (double)g[i];
        for (unsigned threads = 1; threads <= 3; threads++) {
            struct err e = {0};
            struct pool *pool = pool_new(threads);
            struct optimizer *o = optimizer_new(net, &recipes[0], exits, pool, kernels_best(), &e);
            assert_non_null(o);
            const double square = optimizer_square(o, g);
            assert_near(square, wanted, 1e-9 * wanted);
            if (threads == 1) first = square;
            assert_memory_equal(&square, &first, sizeof(square));
            optimizer_free(o);
            pool_free(pool);
        }
    }
    mem_free(g);
    net_free(net);
}

/* torch.nn.utils.clip_grad_norm_(): a norm of 5 down to 2, and one that is small enough. */
static void test_clip(void **state)
{
    (void)state;
    struct recipe r = {.clip = 2};
    assert_near(optimizer_clip(&r, 25), 2 / (5 + 1e-6), 1e-15);
    assert_true(optimizer_clip(&r, 3.9) == 1);
    assert_true(optimizer_clip(&r, 0) == 1);
    r.clip = 0; /* off */
    assert_true(optimizer_clip(&r, 1e12) == 1);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct net *net = tiny_net(8, 10);
    bool made = false;
    for (unsigned n = 1; !made; n++) {
        struct err e = {0};
        mem_fail_at(n);
        struct optimizer *o = optimizer_new(net, &recipes[3], 3, NULL, kernels_best(), &e);
        made = mem_fail_left() > 0;
        mem_fail_at(0);
        if (!made) {
            assert_null(o);
            assert_int_equal(e.code, -ENOMEM);
        }
        optimizer_free(o);
    }
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_step), cmocka_unit_test(test_moments),
                                       cmocka_unit_test(test_square), cmocka_unit_test(test_clip),
                                       cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
