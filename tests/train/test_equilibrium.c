/* Rescaled gradients of a network with four classifiers against the paper's two factors at each
 * fork, applied to the gradient of each classifier alone. */
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

#include "../../src/train/learner.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/spec_file.h"
#include "nn/graph.h"

enum { EXITS = 4, BATCH = 4, SIDE = 16, CLASSES = 5 };

static struct net *make_net(void)
{
    char path[4096];
    struct spec spec;
    struct err e = {0};
    const char *top = getenv("top_srcdir");
    snprintf(path, sizeof(path), "%s/models/resnet18.json", top != NULL ? top : ".");
    if (spec_read(path, &spec, &e) < 0) fail_msg("%s", e.text);
    spec.height = spec.width = SIDE;
    if (spec_scale(&spec, 2, CLASSES, &e) < 0) fail_msg("%s", e.text);
    struct net *net = net_new(&spec, &e);
    assert_non_null(net);
    return net;
}

/* The gradient of dsn's loss into ret[net_trained_size]. */
static void gradient(const struct net *net, const struct recipe *r, struct pool *pool, float *ret)
{
    struct learner l = {0};
    struct err e = {0};
    struct rng rng;
    int32_t labels[BATCH];
    const struct grad_options how = {.borders = 0};
    if (learner_init(&l, net, r, &how, 3, pool, kernels_best(), &e) < 0) fail_msg("%s", e.text);
    rng_init(&rng, 1, RNG_TEST, 0, 0);
    for (size_t i = 0; i < BATCH * shape_size(net_input(net)); i++)
        grad_input(l.grad)[i] = (float)rng_normal(&rng);
    for (int i = 0; i < BATCH; i++) labels[i] = i;
    const struct loss_targets targets = {.labels = labels};
    grad_forward(l.grad, l.params, BATCH);
    learner_loss(&l, r, &targets, NULL);
    learner_backward(&l);
    memcpy(ret, l.dparams, net_trained_size(net) * sizeof(*ret));
    learner_release(&l);
}

/* The section of a parameter of the trunk, from 1; 0: it is a head's. */
static int section_of(const struct net *net, int param)
{
    for (int i = 0; i < net->n_ops; i++) {
        const struct op *op = &net->ops[i];
        if (op->weight == param || op->bias == param) return op->exit < 0 ? op->section + 1 : 0;
    }
    fail_msg("no operation has parameter %d", param);
    return 0;
}

/* What arrives in section s from classifier j, from 1: at the fork behind section j the
 * classifier's part times 1/(n-j+1), the deeper part at each fork i before it times (n-i)/(n-i+1);
 * the deepest one is at no fork. */
static double arriving(int s, int j)
{
    double factor = j < EXITS ? 1.0 / (EXITS - j + 1) : 1.0;
    for (int i = s; i < j; i++) factor *= (double)(EXITS - i) / (EXITS - i + 1);
    return j < s ? 0.0 : factor;
}

static void test_rescaled(void **state)
{
    (void)state;
    struct net *net = make_net();
    const size_t size = net_trained_size(net);
    float *alone[EXITS], *got = mem_new(size, sizeof(*got));
    struct recipe r;
    struct pool *pool = pool_new(2);
    recipe_default(&r, method_find("dsn"));
    r.batch = BATCH;
    for (int j = 0; j < EXITS; j++) {
        r.exit_weights = (struct exit_balance){.n = EXITS};
        r.exit_weights.values[j] = 1;
        alone[j] = mem_new(size, sizeof(*alone[j]));
        gradient(net, &r, pool, alone[j]);
    }
    r.exit_weights.n = 0;
    r.exit_rescale = true;
    gradient(net, &r, pool, got);
    for (int p = 0; p < net->n_params; p++) {
        const struct param *param = &net->params[p];
        if (!param->trained) continue;
        const int section = section_of(net, p);
        double difference = 0, norm = 0;
        for (size_t i = param->offset; i < param->offset + param->size; i++) {
            double wanted = 0;
            for (int j = 0; j < EXITS; j++)
                wanted += (section > 0 ? arriving(section, j + 1) : 1.0) * (double)alone[j][i];
            difference += pow((double)got[i] - wanted, 2);
            norm += wanted * wanted;
        }
        /* A bias before a norm has a gradient of rounding alone. */
        if (sqrt(difference) > 1e-4 * sqrt(norm) + 1e-6)
            fail_msg("%s: off by %g of %g", param->name, sqrt(difference), sqrt(norm));
    }
    for (int j = 0; j < EXITS; j++) mem_free(alone[j]);
    mem_free(got);
    pool_free(pool);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rescaled)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
