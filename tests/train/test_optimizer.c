/* SGD against the formula by hand, whatever the number of threads; untrained heads stay as they
 * are. */
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

#define RATE 0.05
#define MOMENTUM 0.9
#define DECAY 0.01

static void fill(float *x, size_t n, uint32_t stream)
{
    struct rng r;
    rng_init(&r, 1, RNG_TEST, stream, 0);
    for (size_t i = 0; i < n; i++) x[i] = (float)rng_normal(&r);
}

/* Whether the entry of the block belongs to something that learns. */
static bool learns(const struct net *net, size_t at, unsigned exits)
{
    size_t n;
    const struct param *p = net_params(net, &n);
    for (size_t i = 0; i < n; i++) {
        if (at < p[i].offset || at >= p[i].offset + p[i].size) continue;
        return p[i].trained && (p[i].exit < 0 || (exits >> p[i].exit & 1) != 0);
    }
    return false;
}

static void check(unsigned threads, unsigned exits)
{
    struct net *net = tiny_net(8, 10);
    assert_non_null(net);
    struct err e = {0};
    const struct recipe recipe = {.momentum = MOMENTUM, .weight_decay = DECAY};
    size_t all = net_block_size(net), trained = net_trained_size(net);
    struct pool *pool = pool_new(threads);
    struct optimizer *o = optimizer_new(net, exits, pool, kernels_best(), &e);
    assert_non_null(o);
    float *w = mem_new(all, sizeof(*w)), *first = mem_new(all, sizeof(*w)),
          *g = mem_new(trained, sizeof(*g));
    fill(w, all, 0);
    memcpy(first, w, all * sizeof(*w));
    fill(g, trained, 1);
    optimizer_step(o, &recipe, RATE, g, w);
    optimizer_step(o, &recipe, RATE, g, w);
    for (size_t i = 0; i < all; i++) {
        double x = (double)first[i], v = 0;
        for (int k = 0; k < 2 && learns(net, i, exits); k++) {
            v = MOMENTUM * v + (double)g[i] + DECAY * x;
            x -= RATE * v;
        }
        assert_near((double)w[i], x, 1e-6);
        if (!learns(net, i, exits)) assert_memory_equal(&w[i], &first[i], sizeof(*w));
        if (i < trained) assert_near((double)optimizer_velocity(o)[i], v, 1e-6);
    }
    mem_free(w);
    mem_free(first);
    mem_free(g);
    optimizer_free(o);
    pool_free(pool);
    net_free(net);
}

static void test_step(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        check(threads, 3);
        check(threads, 2);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    struct net *net = tiny_net(8, 10);
    bool made = false;
    for (unsigned n = 1; !made; n++) {
        struct err e = {0};
        mem_fail_at(n);
        struct optimizer *o = optimizer_new(net, 3, NULL, kernels_best(), &e);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_step),
                                       cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
