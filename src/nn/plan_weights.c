/* The numbers that a plan multiplies with: weights packed for the processor with the batch norms
 * folded in, biases, and the factors of norms that stand alone. A norm is y = x * scale + shift
 * with the running statistics. */
#include "config.h"

#include <errno.h>
#include <math.h>

#include "base/mem.h"
#include "plan_impl.h"

/* Room for the largest operation's numbers while one after the other is made. */
struct work {
    double *scale, *shift; /* of the norm behind, per output */
    double *scale_before, *shift_before;
    double *bias;  /* what the shift before comes to, per output */
    float *factor; /* scale, as packing takes it */
    float *weight;
};

static void work_release(struct work *w)
{
    mem_free(w->scale);
    mem_free(w->shift);
    mem_free(w->scale_before);
    mem_free(w->shift_before);
    mem_free(w->bias);
    mem_free(w->factor);
    mem_free(w->weight);
}

static int work_init(struct work *w, size_t channels, size_t weights)
{
    double **arrays[] = {&w->scale, &w->shift, &w->scale_before, &w->shift_before, &w->bias};
    *w = (struct work){.factor = mem_new(channels, sizeof(float)),
                       .weight = mem_new(weights, sizeof(float))};
    bool good = w->factor != NULL && w->weight != NULL;
    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
        *arrays[i] = mem_new(channels, sizeof(double));
        good = good && *arrays[i] != NULL;
    }
    if (good) return 0;
    work_release(w);
    return -ENOMEM;
}

static const float *param_of(const struct plan *plan, const float *params, int param)
{
    return param < 0 ? NULL : params + plan->net->params[param].offset;
}

static void norm_factors(const struct plan *plan, const struct op *norm, const float *params,
                         double *scale, double *shift)
{
    const float *gamma = param_of(plan, params, norm->weight);
    const float *beta = param_of(plan, params, norm->bias);
    const float *mean = param_of(plan, params, norm->mean);
    const float *variance = param_of(plan, params, norm->variance);
    int channels = plan->net->values[norm->in].shape.channels;
    for (int c = 0; c < channels; c++) {
        scale[c] = (double)gamma[c] / sqrt((double)variance[c] + (double)NET_NORM_EPSILON);
        shift[c] = (double)beta[c] - (double)mean[c] * scale[c];
    }
}

/* The weight that joins output o with input i at a tap; transposed ones are kept the other way. */
static size_t weight_at(const struct plan_op *p, size_t o, size_t i)
{
    const struct conv_geometry *g = &p->conv;
    size_t taps = (size_t)g->kernel_height * (size_t)g->kernel_width;
    if (p->kind == PLAN_CONV_TRANSPOSED) return (i * (size_t)g->in_channels + o) * taps;
    return (o * (size_t)(g->in_channels / conv_groups(g)) + i) * taps;
}

/* A copy of a pointwise convolution's weights with the norm before it multiplied in, and what that
 * norm's shift comes to. */
static void fold_before(const struct plan_op *p, const float *weight, const struct work *w)
{
    for (size_t o = 0; o < (size_t)p->conv.out_channels; o++) {
        w->bias[o] = 0;
        for (size_t i = 0; i < (size_t)p->conv.in_channels; i++) {
            size_t at = weight_at(p, o, i);
            w->weight[at] = (float)((double)weight[at] * w->scale_before[i]);
            w->bias[o] += (double)weight[at] * w->shift_before[i];
        }
    }
}

/* A copy of a transposed convolution's weights, times the factor of their output. */
static void fold_transposed(const struct plan_op *p, const float *weight, const struct work *w)
{
    size_t taps = (size_t)p->conv.kernel_height * (size_t)p->conv.kernel_width;
    for (size_t i = 0; i < (size_t)p->conv.out_channels; i++) {
        for (size_t o = 0; o < (size_t)p->conv.in_channels; o++) {
            size_t at = weight_at(p, o, i);
            for (size_t t = at; t < at + taps; t++) w->weight[t] = weight[t] * w->factor[o];
        }
    }
}

static void make_conv(const struct plan *plan, const struct plan_op *p, const float *params,
                      const struct work *w)
{
    const struct net *net = plan->net;
    const struct op *source = &net->ops[p->source];
    const float *weight = param_of(plan, params, source->weight);
    const float *own = param_of(plan, params, source->bias);
    size_t outputs = (size_t)net->values[p->out].shape.channels;
    float *bias = plan->weights + p->bias_at;

    for (size_t o = 0; o < outputs; o++) {
        w->scale[o] = 1;
        w->shift[o] = 0;
    }
    if (p->norm >= 0) norm_factors(plan, &net->ops[p->norm], params, w->scale, w->shift);
    for (size_t o = 0; o < outputs; o++) {
        w->factor[o] = (float)w->scale[o];
        w->shift[o] += own != NULL ? (double)own[o] * w->scale[o] : 0;
    }
    if (p->before >= 0) {
        norm_factors(plan, &net->ops[p->before], params, w->scale_before, w->shift_before);
        fold_before(p, weight, w);
        for (size_t o = 0; o < outputs; o++) w->shift[o] += w->bias[o] * w->scale[o];
        weight = w->weight;
    }
    for (size_t o = 0; o < outputs; o++) bias[o] = (float)w->shift[o];

    if (p->kind == PLAN_CONV_TRANSPOSED) {
        fold_transposed(p, weight, w);
        plan->kernels->conv[CONV_DIRECT].backward_data.pack(
            &p->conv, w->weight, plan->weights + p->packed_at[CONV_DIRECT]);
        return;
    }
    for (int a = 0; a < CONV_ALGORITHMS; a++) {
        if (plan_packs(plan, p, (enum conv_algorithm)a))
            plan->kernels->conv[a].forward.pack(&p->conv, weight, p->norm < 0 ? NULL : w->factor,
                                                plan->weights + p->packed_at[a]);
    }
}

static void make_norm(const struct plan *plan, const struct plan_op *p, const float *params,
                      const struct work *w)
{
    size_t channels = (size_t)plan->net->values[p->in].shape.channels;
    norm_factors(plan, &plan->net->ops[p->source], params, w->scale, w->shift);
    for (size_t c = 0; c < channels; c++) {
        plan->weights[p->packed_at[CONV_DIRECT] + c] = (float)w->scale[c];
        plan->weights[p->bias_at + c] = (float)w->shift[c];
    }
}

int plan_make_weights(struct plan *plan, const float *params)
{
    const struct net *net = plan->net;
    size_t channels = 1, weights = 1;
    for (int i = 0; i < net->n_values; i++) {
        size_t c = (size_t)net->values[i].shape.channels;
        channels = c > channels ? c : channels;
    }
    for (int i = 0; i < plan->n_ops; i++) { /* only folding into inputs needs copies */
        const struct plan_op *p = &plan->ops[i];
        bool copied = p->kind == PLAN_CONV_TRANSPOSED || p->before >= 0;
        size_t size = copied ? conv_weight_size(&p->conv) : 0;
        weights = size > weights ? size : weights;
    }

    struct work w;
    if (work_init(&w, channels, weights) < 0) return -ENOMEM;
    plan->weights = mem_new_aligned(plan->weight_floats, sizeof(float));
    for (int i = 0; plan->weights != NULL && i < plan->n_ops; i++) {
        const struct plan_op *p = &plan->ops[i];
        if (p->kind == PLAN_CONV || p->kind == PLAN_CONV_TRANSPOSED) make_conv(plan, p, params, &w);
        if (p->kind == PLAN_NORM) make_norm(plan, p, params, &w);
    }
    work_release(&w);
    return plan->weights != NULL ? 0 : -ENOMEM;
}
