/* A network that learns. It does not know where its input comes from, nor when it is stepped. */
#include "config.h"

#include "learner.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "equilibrium.h"
#include "train/objective.h"

int learner_init(struct learner *l, const struct net *net, const struct recipe *recipe,
                 const struct grad_options *how, uint64_t seed, struct pool *pool,
                 const struct kernels *kernels, struct err *e)
{
    *l = (struct learner){.net = net,
                          .recipe = recipe,
                          .pool = pool,
                          .exits = objective_exits(recipe->method, net_sections(net))};
    l->params = mem_new_aligned(net_block_size(net), sizeof(*l->params));
    l->dparams = mem_new_aligned(net_trained_size(net), sizeof(*l->dparams));
    if (l->params == NULL || l->dparams == NULL)
        return err_set(e, -ENOMEM, "out of memory for %zu parameters", net_block_size(net));
    struct grad_options options = *how;
    options.exits = l->exits;
    options.frozen = recipe_is_frozen(recipe);
    if (recipe->precision == RECIPE_BF16) options.precision = PRECISION_BF16;
    if (options.precision == PRECISION_BF16 &&
        kernels->conv[CONV_BF16].backward_weight.takes == NULL)
        return err_set(e, ERR_UNSUPPORTED,
                       "--precision bf16: the kernels in use, %s, do not have it; use fp32",
                       cpu_isa_name(kernels->isa));
    l->grad = grad_new(net, (int)recipe_micro_batch(recipe), &options, pool, kernels, e);
    if (l->grad == NULL) return e->code;
    if (objective_has_ensemble(recipe)) {
        l->ensemble = mem_new((size_t)recipe_micro_batch(recipe),
                              (size_t)net_classes(net) * sizeof(*l->ensemble));
        if (l->ensemble == NULL) return err_set(e, -ENOMEM, "out of memory for an ensemble");
    }
    l->optimizer =
        optimizer_new(net, recipe, objective_moving(recipe, net_sections(net)), pool, kernels, e);
    if (l->optimizer == NULL) return e->code;
    net_init_params(net, seed, l->params);
    return 0;
}

static void add_sums(void *ranks, double *sums, size_t n)
{
    ranks_sum(ranks, sums, n);
}

/* A piece for each parameter at most. */
int learner_join(struct learner *l, struct ranks *ranks, struct err *e)
{
    const size_t trained = net_trained_size(l->net), others = net_block_size(l->net) - trained;
    size_t pieces;
    if (ranks == NULL) return 0;
    l->ranks = ranks;
    net_params(l->net, &pieces);
    int rc = exchange_new(ranks, trained, pieces, &l->gradients, e);
    if (rc < 0) return rc;
    if (!l->recipe->sync_bn) {
        l->statistics = mem_new(others, sizeof(*l->statistics));
        if (l->statistics == NULL) return err_set(e, -ENOMEM, "out of memory for statistics");
    }
    if (l->recipe->accumulate == 1) grad_on_ready(l->grad, exchange_ready, l->gradients);
    if (l->recipe->sync_bn) grad_share_norms(l->grad, ranks_count(ranks), add_sums, ranks);
    return 0;
}

void learner_release(struct learner *l)
{
    grad_free(l->grad);
    exchange_free(l->gradients);
    mem_free(l->statistics);
    optimizer_free(l->optimizer);
    mem_free(l->params);
    mem_free(l->dparams);
    mem_free(l->ensemble);
    *l = (struct learner){0};
}

size_t learner_bytes(const struct learner *l)
{
    const size_t trained = (1 + optimizer_moments(l->recipe)) * net_trained_size(l->net);
    return grad_bytes(l->grad) + exchange_bytes(l->gradients) +
           (net_block_size(l->net) + trained) * sizeof(float);
}

double learner_loss(const struct learner *l, const struct recipe *recipe,
                    const struct loss_targets *targets, const float *source)
{
    struct objective_batch b = {
        .n = (int)recipe_micro_batch(recipe),
        .n_exits = net_sections(l->net),
        .classes = net_classes(l->net),
        .features = net_feature_size(l->net),
        .targets = *targets,
        .source = source,
        .ensemble = l->ensemble,
        .sums = l->sums,
    };
    for (int i = 0; i < b.n_exits; i++) {
        if ((l->exits >> i & 1) == 0) continue;
        b.logits[i] = grad_logits(l->grad, i);
        b.feature[i] = grad_features(l->grad, i);
        b.dlogits[i] = grad_dlogits(l->grad, i);
        b.dfeature[i] = grad_dfeatures(l->grad, i);
    }
    return objective_loss(recipe, &b);
}

void learner_fault(const struct learner *l, int n, char *ret_text, size_t size)
{
    const size_t count = (size_t)n * (size_t)net_classes(l->net);
    for (int i = 0; i < net_sections(l->net); i++) {
        const float *z = (l->exits >> i & 1) != 0 ? grad_logits(l->grad, i) : NULL;
        for (size_t j = 0; z != NULL && j < count; j++) {
            if (isfinite(z[j])) continue;
            snprintf(ret_text, size, "the logits of classifier %d", i + 1);
            return;
        }
    }
    snprintf(ret_text, size, "the loss, of logits that are finite,");
}

void learner_backward(struct learner *l)
{
    const bool is_whole = l->recipe->accumulate == 1;
    if (is_whole) exchange_begin(l->gradients, l->dparams);
    grad_backward(l->grad, l->params, l->dparams);
    if (is_whole) exchange_end(l->gradients);
    if (l->recipe->exit_rescale) equilibrium_scale(l->net, l->pool, l->dparams);
}

void learner_share(struct learner *l)
{
    if (l->recipe->accumulate > 1) exchange_mean(l->gradients, l->dparams);
    learner_share_statistics(l, l->params);
}

void learner_share_statistics(struct learner *l, float *params)
{
    const size_t trained = net_trained_size(l->net), n = net_block_size(l->net) - trained;
    const double count = (double)ranks_count(l->ranks);
    if (l->statistics == NULL) return;
    for (size_t i = 0; i < n; i++) l->statistics[i] = (double)params[trained + i];
    ranks_sum(l->ranks, l->statistics, n); /* of equal ones the mean is the same number again */
    for (size_t i = 0; i < n; i++) params[trained + i] = (float)(l->statistics[i] / count);
}

void learner_update(struct learner *l, const struct optimizer_step *step)
{
    optimizer_step(l->optimizer, step, l->dparams, l->params);
}
