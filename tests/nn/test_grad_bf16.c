/* Training in bfloat16 through a deep network, against the same in double with the same factors
 * rounded (float64.h): what the precision costs is what rounding these costs, and nothing is added.
 * test_grad_random compares small networks. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "float64.h"
#include "nets.h"
#include "nn/grad.h"
#include "nn/loss.h"

enum { BATCH = 5, CLASSES = 100, ALL_EXITS = 15 };

/* As it computes itself. */
static bool as_chosen(const void *choices, const struct op *op, enum conv_direction d)
{
    enum conv_algorithm a = CONV_DIRECT;
    for (int i = 0; i < CHOICE_SIZES; i++)
        if (choices_find(choices, choice_use_of(d), &op->conv, PRECISION_BF16, i, &a)) break;
    return a == CONV_BF16;
}

/* Every convolution in bfloat16, also where the rule has something better. */
static void force(struct choices *choices, const struct net *net)
{
    for (int i = 0; i < net->n_ops; i++) {
        const struct conv_geometry *g = &net->ops[i].conv;
        if (strcmp(op_kind_name(&net->ops[i]), "conv") != 0) continue;
        for (int use = CHOICE_FORWARD; use < CHOICE_USES; use++)
            for (int index = 0; index < CHOICE_SIZES; index++)
                assert_int_equal(
                    choices_put(choices, (enum choice_use)use, g, PRECISION_BF16, index, CONV_BF16),
                    0);
    }
}

struct pass {
    struct net *net;
    struct grad *grad;
    float *params, *moved, *dparams;
};

/* Cross entropy of every classifier over a few random images. */
static struct pass run(struct choices *choices, const struct kernels *kernels, struct pool *pool)
{
    struct err e;
    struct rng rng;
    struct spec spec = spec_resnet18();
    const int32_t labels[BATCH] = {0, 1, 2, 3, 4};
    const struct grad_options options = {
        .exits = ALL_EXITS, .precision = PRECISION_BF16, .choices = choices};
    spec.height = spec.width = 16;
    assert_int_equal(spec_scale(&spec, 16, CLASSES, &e), 0);
    struct pass p = {.net = net_new(&spec, &e)};
    assert_non_null(p.net);
    if (choices != NULL) force(choices, p.net);
    p.grad = grad_new(p.net, BATCH, &options, pool, kernels, &e);
    if (p.grad == NULL) fail_msg("%s", e.text);
    size_t block = net_block_size(p.net);
    p.params = mem_new(block, sizeof(float));
    p.moved = mem_new(block, sizeof(float));
    p.dparams = mem_new(net_trained_size(p.net), sizeof(float));
    assert_true(p.params != NULL && p.moved != NULL && p.dparams != NULL);
    net_init_params(p.net, 1, p.params);
    memcpy(p.moved, p.params, block * sizeof(float));
    rng_init(&rng, 1, RNG_TEST, 0, 0);
    for (size_t i = 0; i < BATCH * shape_size(net_input(p.net)); i++)
        grad_input(p.grad)[i] = (float)rng_normal(&rng);
    grad_forward(p.grad, p.moved, BATCH);
    for (int i = 0; i < net_sections(p.net); i++)
        loss_cross_entropy(BATCH, CLASSES, grad_logits(p.grad, i), labels, 1.0,
                           grad_dlogits(p.grad, i));
    return p;
}

static void pass_free(struct pass *p)
{
    grad_free(p->grad);
    net_free(p->net);
    mem_free(p->params);
    mem_free(p->moved);
    mem_free(p->dparams);
}

/* The same with the same gradients at the logits. */
static struct float64 *in_double(const struct pass *p, float64_rounds *rounds, const void *arg)
{
    struct float64 *f = float64_new(p->net, BATCH, ALL_EXITS, p->params);
    f->rounds = rounds;
    f->arg = arg;
    float64_forward(f, grad_input(p->grad));
    for (int i = 0; i < net_sections(p->net); i++)
        for (size_t k = 0; k < BATCH * CLASSES; k++)
            f->grads[p->net->logits[i]][k] += (double)grad_dlogits(p->grad, i)[k];
    float64_backward(f);
    return f;
}

static double off(const double *a, const double *b, size_t count)
{
    double difference = 0, length = 0;
    for (size_t i = 0; i < count; i++) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        length += b[i] * b[i];
    }
    return sqrt(difference / length);
}

/* What rounding costs, in units of the exact values, is the same here as in double. The errors
 * themselves differ: the last bits of fp32 decide here and there to which side a factor is rounded,
 * which changes factors behind it, and so on from layer to layer. */
static void check_cost(const char *what, const float *values, const double *rounded,
                       const double *exact, size_t count)
{
    double *got = mem_new(count, sizeof(*got));
    assert_non_null(got);
    for (size_t i = 0; i < count; i++) got[i] = (double)values[i];
    double cost = off(rounded, exact, count), own = off(got, exact, count);
    print_message("# %s: %.3g off, %.3g in double with rounded factors, which are %.3g apart\n",
                  what, own, cost, off(got, rounded, count));
    assert_true(own > 0.7 * cost && own < 1.3 * cost);
    mem_free(got);
}

static void check(struct choices *choices)
{
    const struct kernels *kernels = kernels_of(CPU_AVX512BF16);
    struct pool *pool = pool_new(2);
    struct pass p = run(choices, kernels, pool), again = run(choices, kernels, pool);
    struct choices *chosen = choices_new(kernels);
    assert_non_null(chosen);
    assert_int_equal(grad_choices(p.grad, chosen), 0);
    struct float64 *exact = in_double(&p, NULL, NULL), *rounded = in_double(&p, as_chosen, chosen);
    size_t trained = net_trained_size(p.net);
    int last = p.net->logits[net_sections(p.net) - 1];
    check_cost("logits", grad_logits(p.grad, net_sections(p.net) - 1), rounded->values[last],
               exact->values[last], BATCH * CLASSES);
    grad_backward(p.grad, p.moved, p.dparams);
    grad_backward(again.grad, again.moved, again.dparams);
    assert_memory_equal(p.dparams, again.dparams, trained * sizeof(float));
    check_cost("gradient", p.dparams, rounded->dparams, exact->dparams, trained);
    float64_free(exact);
    float64_free(rounded);
    choices_free(chosen);
    pass_free(&p);
    pass_free(&again);
    pool_free(pool);
}

static void test_by_rule(void **state)
{
    (void)state;
    if (kernels_of(CPU_AVX512BF16) == NULL) skip();
    check(NULL);
}

static void test_everywhere(void **state)
{
    (void)state;
    if (kernels_of(CPU_AVX512BF16) == NULL) skip();
    struct choices *choices = choices_new(kernels_of(CPU_AVX512BF16));
    assert_non_null(choices);
    check(choices);
    choices_free(choices);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_by_rule),
                                       cmocka_unit_test(test_everywhere)};
    return cmocka_run_group_tests_name("grad in bf16", tests, NULL, NULL);
}
