/* What several who train one network need of a grad: gradients told as they become final, and norms
 * whose statistics are those of a batch that several grads hold a part of. */
#include "config.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "nets.h"
#include "nn/grad.h"
#include "nn/loss.h"

enum { BATCH = 12, PARTS = 3, CLASSES = 7 };

static struct net *new_net(void)
{
    struct err e;
    struct spec spec = spec_resnet18();
    if (spec_scale(&spec, 4, CLASSES, &e) < 0) fail_msg("%s", e.text);
    struct net *net = net_new(&spec, &e);
    if (net == NULL) fail_msg("%s", e.text);
    return net;
}

/* A network with first values and a batch, whole or the part that begins with image `first`. */
struct pass {
    struct net *net;
    struct grad *grad;
    float *params, *dparams;
    int first, batch;
};

static struct pass pass_new(unsigned exits, struct pool *pool, int first, int batch)
{
    struct err e;
    struct rng rng;
    struct pass p = {.net = new_net(), .first = first, .batch = batch};
    p.grad =
        grad_new(p.net, batch, &(struct grad_options){.exits = exits}, pool, kernels_best(), &e);
    if (p.grad == NULL) fail_msg("%s", e.text);
    p.params = mem_new(net_block_size(p.net), sizeof(float));
    p.dparams = mem_new(net_trained_size(p.net), sizeof(float));
    assert_true(p.params != NULL && p.dparams != NULL);
    net_init_params(p.net, 1, p.params);
    size_t size = shape_size(net_input(p.net));
    for (int i = 0; i < batch; i++) {
        rng_init(&rng, 1, RNG_TEST, (uint32_t)(first + i), 0);
        for (size_t k = 0; k < size; k++)
            grad_input(p.grad)[(size_t)i * size + k] = (float)rng_normal(&rng);
    }
    return p;
}

static void pass_free(struct pass *p)
{
    grad_free(p->grad);
    net_free(p->net);
    mem_free(p->params);
    mem_free(p->dparams);
}

/* The mean over the whole batch, of which the pass adds its part. */
static void run(struct pass *p, unsigned exits)
{
    int32_t labels[BATCH];
    for (int i = 0; i < p->batch; i++) labels[i] = (p->first + i) % CLASSES;
    grad_forward(p->grad, p->params, p->batch);
    for (int i = 0; i < net_sections(p->net); i++) {
        if ((exits >> i & 1) != 0)
            loss_cross_entropy(p->batch, CLASSES, grad_logits(p->grad, i), labels,
                               (double)p->batch / BATCH, grad_dlogits(p->grad, i));
    }
    grad_backward(p->grad, p->params, p->dparams);
}

/* --- gradients told as they become final ------------------------------------------------------ */

struct told {
    const struct pass *pass;
    float *copy;              /* of each gradient as it was told */
    uint8_t *times;           /* that each was */
    uint64_t order;           /* a hash of the ranges in their order */
    size_t calls, first_half; /* calls until half of the gradients were told */
    size_t entries;
};

static void take(void *arg, const struct grad_range *ranges, size_t n)
{
    struct told *told = arg;
    told->calls++;
    for (size_t i = 0; i < n; i++) {
        assert_true(ranges[i].first < ranges[i].end &&
                    ranges[i].end <= net_trained_size(told->pass->net));
        told->order = (told->order ^ ranges[i].first) * 1099511628211u;
        for (size_t k = ranges[i].first; k < ranges[i].end; k++) {
            told->copy[k] = told->pass->dparams[k];
            told->times[k]++;
        }
        told->entries += ranges[i].end - ranges[i].first;
    }
    if (2 * told->entries < net_trained_size(told->pass->net)) told->first_half = told->calls;
}

static void check_told(unsigned exits, unsigned threads)
{
    struct pool *pool = threads > 1 ? pool_new(threads) : NULL;
    struct pass p = pass_new(exits, pool, 0, BATCH);
    size_t trained = net_trained_size(p.net), n_params;
    struct told told = {.pass = &p,
                        .copy = mem_new(trained, sizeof(float)),
                        .times = mem_new(trained, sizeof(*told.times))};
    assert_true(told.copy != NULL && told.times != NULL);
    grad_on_ready(p.grad, take, &told);
    run(&p, exits);

    const struct param *params = net_params(p.net, &n_params);
    for (size_t i = 0; i < n_params; i++) {
        if (!params[i].trained) continue;
        bool learns = params[i].exit < 0 || (exits >> params[i].exit & 1) != 0;
        for (size_t k = params[i].offset; k < params[i].offset + params[i].size; k++) {
            if (told.times[k] != learns) fail_msg("entry %zu was told %d times", k, told.times[k]);
            if (learns) assert_true(told.copy[k] == p.dparams[k]);
        }
    }
    /* The deepest stages have most of the parameters and are through first. */
    assert_true(3 * told.first_half < told.calls);

    uint64_t order = told.order;
    told.order = 0;
    memset(told.times, 0, trained);
    run(&p, exits);
    assert_true(told.order == order);
    grad_on_ready(p.grad, NULL, NULL);
    size_t calls = told.calls;
    run(&p, exits);
    assert_int_equal(told.calls, calls);

    mem_free(told.copy);
    mem_free(told.times);
    pass_free(&p);
    pool_free(pool);
}

static void test_told(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        check_told(15, threads);
        check_told(8, threads);
    }
}

/* --- norms over several grads ----------------------------------------------------------------- */

/* Adds up an array over threads, in their order. */
struct meeting {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const double *given[PARTS];
    int came, left;
    double sums[4096];
};

struct part {
    struct meeting *meeting;
    int number;
    struct pass pass;
};

static void add(void *arg, double *sums, size_t n)
{
    const struct part *part = arg;
    struct meeting *m = part->meeting;
    assert_true(n <= sizeof(m->sums) / sizeof(*m->sums));
    pthread_mutex_lock(&m->lock);
    while (m->left > 0) pthread_cond_wait(&m->changed, &m->lock);
    m->given[part->number] = sums;
    if (++m->came == PARTS) {
        memset(m->sums, 0, n * sizeof(double));
        for (int p = 0; p < PARTS; p++)
            for (size_t i = 0; i < n; i++) m->sums[i] += m->given[p][i];
        m->came = 0;
        m->left = PARTS;
    }
    pthread_cond_broadcast(&m->changed);
    while (m->left == 0) pthread_cond_wait(&m->changed, &m->lock);
    memcpy(sums, m->sums, n * sizeof(double));
    m->left--;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

static void *run_part(void *arg)
{
    struct part *part = arg;
    grad_share_norms(part->pass.grad, PARTS, add, part);
    run(&part->pass, 15);
    return NULL;
}

/* Three grads with a third of the batch each, against one that has all of it. */
static void test_shared_norms(void **state)
{
    (void)state;
    static struct meeting meeting = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                     .changed = PTHREAD_COND_INITIALIZER};
    struct part parts[PARTS];
    pthread_t threads[PARTS];
    struct pass whole = pass_new(15, NULL, 0, BATCH);
    run(&whole, 15);
    for (int i = 0; i < PARTS; i++) {
        parts[i] = (struct part){&meeting, i, pass_new(15, NULL, i * BATCH / PARTS, BATCH / PARTS)};
        assert_int_equal(pthread_create(&threads[i], NULL, run_part, &parts[i]), 0);
    }
    for (int i = 0; i < PARTS; i++) pthread_join(threads[i], NULL);

    double error = 0, size = 0;
    for (size_t i = 0; i < net_trained_size(whole.net); i++) {
        double sum = 0;
        for (int p = 0; p < PARTS; p++) sum += (double)parts[p].pass.dparams[i];
        error += pow(sum - (double)whole.dparams[i], 2);
        size += pow((double)whole.dparams[i], 2);
    }
    if (!(sqrt(error / size) < 1e-5)) fail_msg("gradients differ by %g", sqrt(error / size));
    for (size_t i = net_trained_size(whole.net); i < net_block_size(whole.net); i++) {
        for (int p = 0; p < PARTS; p++) { /* running statistics */
            double a = (double)parts[p].pass.params[i], b = (double)whole.params[i];
            if (!(fabs(a - b) <= 1e-6 + 1e-5 * fabs(b))) fail_msg("entry %zu: %g, %g", i, a, b);
        }
    }
    for (int i = 0; i < PARTS; i++) pass_free(&parts[i].pass);
    pass_free(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_told),
                                       cmocka_unit_test(test_shared_norms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
