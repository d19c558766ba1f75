/* Speed of training passes: bench_grad [WIDTH [BATCH [THREADS [METHOD [ROUNDS]]]]], METHOD baseline
 * or byot. Not a test: run it by hand. Prints the best and the middle round. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "nets.h"
#include "nn/grad.h"
#include "nn/loss.h"

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    cpu_prepare_blas(argv);
    int width = argc > 1 ? atoi(argv[1]) : 16, batch = argc > 2 ? atoi(argv[2]) : 128;
    unsigned threads = argc > 3 ? (unsigned)atoi(argv[3]) : 2;
    bool byot = argc > 4 && strcmp(argv[4], "byot") == 0;
    int rounds = argc > 5 ? atoi(argv[5]) : 20;
    struct err e;
    struct spec spec = spec_resnet18();
    if (batch < 1 || rounds < 1 || spec_scale(&spec, width, 100, &e) < 0) return 2;

    struct net *net = net_new(&spec, &e);
    struct pool *pool = pool_new(threads);
    const struct grad_options options = {.exits = byot ? 15 : 8};
    struct grad *grad =
        net != NULL ? grad_new(net, batch, &options, pool, kernels_best(), &e) : NULL;
    float *params = net != NULL ? mem_new(net_block_size(net), sizeof(float)) : NULL;
    float *dparams = net != NULL ? mem_new(net_trained_size(net), sizeof(float)) : NULL;
    int32_t *labels = mem_new((size_t)batch, sizeof(*labels));
    double *seconds = mem_new((size_t)rounds, sizeof(*seconds));
    if (grad == NULL || params == NULL || dparams == NULL || labels == NULL || seconds == NULL)
        return 1;
    net_init_params(net, 1, params);
    struct rng rng;
    rng_init(&rng, 1, RNG_TEST, 0, 0);
    for (size_t i = 0; i < (size_t)batch * shape_size(net_input(net)); i++)
        grad_input(grad)[i] = (float)rng_normal(&rng);

    double forward = 1e9;
    for (int r = 0; r < rounds; r++) {
        int64_t start = clock_now();
        grad_forward(grad, params, batch);
        double f = (double)(clock_now() - start) * 1e-9;
        forward = f < forward ? f : forward;
        for (int i = byot ? 0 : 3; i < 4; i++)
            loss_cross_entropy(batch, 100, grad_logits(grad, i), labels, 1.0,
                               grad_dlogits(grad, i));
        grad_backward(grad, params, dparams);
        seconds[r] = (double)(clock_now() - start) * 1e-9;
    }
    qsort(seconds, (size_t)rounds, sizeof(*seconds), compare);
    struct net_cost cost = byot ? net_ensemble_cost(net) : net_deepest_cost(net);
    printf("%s width %d batch %d threads %u %s: best %.1f ms (forward %.1f), %.0f img/s, %.0f "
           "GFLOP/s; "
           "middle %.0f img/s; %.0f MB\n",
           cpu_isa_name(kernels_best()->isa), width, batch, threads, byot ? "byot" : "baseline",
           seconds[0] * 1e3, forward * 1e3, batch / seconds[0],
           6.0 * (double)cost.macs * batch / seconds[0] * 1e-9, batch / seconds[rounds / 2],
           (double)grad_bytes(grad) / 1e6);
    grad_free(grad);
    pool_free(pool);
    net_free(net);
    mem_free(params);
    mem_free(dparams);
    mem_free(labels);
    mem_free(seconds);
    return 0;
}
