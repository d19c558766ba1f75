/* The grad object and its two passes. A pass is a list of stages; each is one loop of the pool, in
 * which every rank takes its images block by block through the stage's steps, and is followed by
 * what needs the sums of all ranks. Weights are packed at the beginning of each pass, as they
 * change with every step of the optimizer. This file leaves out what the steps do (grad_steps.c)
 * and their order (grad_schedule.c). */
#include "config.h"

#include "nn/grad.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "grad_impl.h"

enum { FLOATS_PER_LINE = MEM_ALIGN / sizeof(float), DOUBLES_PER_LINE = MEM_ALIGN / sizeof(double) };

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static void *count_bytes(struct grad *grad, void *block, size_t count, size_t size)
{
    if (block != NULL) grad->bytes += count * size;
    return block;
}

void *grad_take(struct grad *grad, size_t count, size_t size)
{
    return count_bytes(grad, mem_new(count, size), count, size);
}

void *grad_take_aligned(struct grad *grad, size_t count, size_t size)
{
    return count_bytes(grad, mem_new_aligned(count, size), count, size);
}

/* --- states of the operations ----------------------------------------------------------------- */

/* Floats and doubles that an operation's state takes, each array rounded to whole cache lines. */
struct state_size {
    size_t pack, pack_back, channels, sums;
};

static struct state_size state_size(const struct grad *grad, const struct op *op)
{
    struct state_size size = {0, 0, 0, 0};
    size_t out = (size_t)grad->net->values[op->out].shape.channels;
    if (!op_is_needed(op, grad->exits)) return size;
    if (op_is_conv(op)) {
        size.pack = round_up(grad->kernels->conv[CONV_DIRECT].forward.packed_size(&op->conv),
                             FLOATS_PER_LINE);
        if (op->in > 0)
            size.pack_back =
                round_up(grad->kernels->conv[CONV_DIRECT].backward_data.packed_size(&op->conv),
                         FLOATS_PER_LINE);
    }
    if (op->kind == OP_NORM) size.channels = round_up(out, FLOATS_PER_LINE);
    if (op->bias >= 0) size.sums = round_up(2 * out, DOUBLES_PER_LINE);
    return size;
}

/* Gives each convolution to the rank that has the least to pack so far. */
static unsigned least_loaded(size_t *load, unsigned n_ranks, size_t more)
{
    unsigned best = 0;
    for (unsigned r = 1; r < n_ranks; r++) best = load[r] < load[best] ? r : best;
    load[best] += more;
    return best;
}

static int make_states(struct grad *grad)
{
    const struct net *net = grad->net;
    size_t packs = 0, channels = 0, scratch = 0;
    for (int i = 0; i < net->n_ops; i++) {
        const struct op *op = &net->ops[i];
        struct state_size size = state_size(grad, op);
        packs += size.pack + size.pack_back;
        channels += size.channels;
        grad->sums_stride += size.sums;
        if (op_is_conv(op) && op_is_needed(op, grad->exits)) {
            const struct conv_method *m = &grad->kernels->conv[CONV_DIRECT];
            const size_t bytes[] = {m->forward.scratch_bytes(&op->conv),
                                    m->backward_data.scratch_bytes(&op->conv),
                                    m->backward_weight.scratch_bytes(&op->conv)};
            for (size_t j = 0; j < sizeof(bytes) / sizeof(bytes[0]); j++)
                scratch = bytes[j] > scratch ? bytes[j] : scratch;
        }
    }

    grad->scratch_stride = round_up(scratch, MEM_ALIGN);
    grad->states = grad_take(grad, (size_t)net->n_ops, sizeof(*grad->states));
    grad->packs = grad_take_aligned(grad, packs, sizeof(float));
    grad->state_floats = grad_take_aligned(grad, 5 * channels, sizeof(float));
    grad->state_doubles = grad_take_aligned(grad, 2 * channels, sizeof(double));
    grad->sums = grad_take_aligned(grad, grad->n_ranks, grad->sums_stride * sizeof(double));
    grad->scratch = grad_take_aligned(grad, grad->n_ranks, grad->scratch_stride);
    size_t *load = mem_new(grad->n_ranks, sizeof(*load));
    if (grad->states == NULL || grad->packs == NULL || grad->state_floats == NULL ||
        grad->state_doubles == NULL || grad->sums == NULL || grad->scratch == NULL ||
        load == NULL) {
        mem_free(load);
        return -ENOMEM;
    }

    float *pack = grad->packs, *floats = grad->state_floats;
    double *doubles = grad->state_doubles, *sums = grad->sums;
    for (int i = 0; i < net->n_ops; i++) {
        struct state_size size = state_size(grad, &net->ops[i]);
        struct op_state *state = &grad->states[i];
        state->packed = pack;
        state->packed_back = pack + size.pack;
        pack += size.pack + size.pack_back;
        state->packer = least_loaded(load, grad->n_ranks, size.pack + size.pack_back);
        float **arrays[] = {&state->scale, &state->shift, &state->a, &state->b, &state->k};
        for (size_t j = 0; j < sizeof(arrays) / sizeof(arrays[0]); j++, floats += size.channels)
            *arrays[j] = floats;
        state->mean = doubles;
        state->inverse = doubles + size.channels;
        doubles += 2 * size.channels;
        state->sums = sums;
        sums += size.sums;
    }
    mem_free(load);
    return 0;
}

/* --- life ------------------------------------------------------------------------------------- */

struct grad *grad_new(const struct net *net, int batch, unsigned exits, struct pool *pool,
                      const struct kernels *kernels, struct err *e)
{
    return grad_new_bordered(net, batch, exits, 0, pool, kernels, e);
}

struct grad *grad_new_bordered(const struct net *net, int batch, unsigned exits, unsigned borders,
                               struct pool *pool, const struct kernels *kernels, struct err *e)
{
    unsigned all = (1u << net->spec.n_sections) - 1;
    if (batch < 1) {
        err_set(e, ERR_RANGE, "training: a batch of %d images; it must have at least 1", batch);
        return NULL;
    }
    if (exits == 0 || (exits & ~all) != 0) {
        err_set(e, ERR_RANGE, "training: the set of exits 0x%x must be a part of 0x%x, not empty",
                exits, all);
        return NULL;
    }
    for (int i = 0; borders >> i != 0; i++) {
        if ((borders >> i & 1) == 0 || exits >> i != 0) continue;
        err_set(e, ERR_RANGE, "training: the end of section %d is wanted, but no exit there",
                i + 1);
        return NULL;
    }

    struct grad *grad = mem_new(1, sizeof(*grad));
    if (grad == NULL) {
        err_set(e, -ENOMEM, "training: out of memory");
        return NULL;
    }
    grad->net = net;
    grad->kernels = kernels;
    grad->pool = pool;
    grad->n_ranks = pool != NULL ? pool_threads(pool) : 1;
    grad->exits = exits;
    grad->borders = borders;
    grad->batch_max = batch;
    grad->bytes = sizeof(*grad);
    if (grad_schedule(grad, e) < 0) {
        grad_free(grad);
        return NULL;
    }
    size_t others = grad->n_ranks - 1;
    if (others > 0)
        grad->rank_dparams = grad_take_aligned(grad, others, net->trained_size * sizeof(float));
    if ((others > 0 && grad->rank_dparams == NULL) || make_states(grad) < 0) {
        err_set(e, -ENOMEM, "training: out of memory for the gradients of %u threads; use fewer",
                grad->n_ranks);
        grad_free(grad);
        return NULL;
    }
    return grad;
}

void grad_free(struct grad *grad)
{
    if (grad == NULL) return;
    mem_free(grad->steps);
    mem_free(grad->stages);
    mem_free(grad->activations);
    mem_free(grad->values);
    mem_free(grad->grads);
    mem_free(grad->states);
    mem_free(grad->state_floats);
    mem_free(grad->state_doubles);
    mem_free(grad->sums);
    mem_free(grad->packs);
    mem_free(grad->scratch);
    mem_free(grad->rank_dparams);
    mem_free(grad);
}

size_t grad_bytes(const struct grad *grad)
{
    return grad->bytes;
}

float *grad_input(struct grad *grad)
{
    return grad->values[0];
}

const float *grad_logits(const struct grad *grad, int exit)
{
    return grad->values[grad->net->logits[exit]];
}

const float *grad_features(const struct grad *grad, int exit)
{
    return grad->values[grad->net->features[exit]];
}

float *grad_dlogits(struct grad *grad, int exit)
{
    return grad->grads[grad->net->logits[exit]];
}

float *grad_dfeatures(struct grad *grad, int exit)
{
    return grad->grads[grad->net->features[exit]];
}

static bool is_shown(const struct grad *grad, int section)
{
    return (grad->borders >> section & 1) != 0;
}

const float *grad_border(const struct grad *grad, int section)
{
    return is_shown(grad, section) ? grad->values[grad->net->section_out[section]] : NULL;
}

float *grad_dborder(struct grad *grad, int section)
{
    return is_shown(grad, section) ? grad->grads[grad->net->section_out[section]] : NULL;
}

/* --- passes ----------------------------------------------------------------------------------- */

static void stage_rank(void *arg, unsigned rank, unsigned n_ranks)
{
    struct grad *grad = arg;
    const struct stage *stage = &grad->stages[grad->running];
    const struct step *steps = grad->steps + stage->first;
    for (int i = 0; i < stage->n; i++) grad_clear_sums(grad, &steps[i], rank);

    size_t first, end;
    pool_part((size_t)grad->batch, rank, n_ranks, &first, &end);
    for (struct part part = {rank, (int)first, 0}; part.first < (int)end; part.first += part.n) {
        int left = (int)end - part.first;
        part.n = left < stage->block ? left : stage->block;
        for (int i = 0; i < stage->n; i++) grad_run_step(grad, &steps[i], part);
    }
}

static void run_stages(struct grad *grad, int first, int end)
{
    for (grad->running = first; grad->running < end; grad->running++) {
        const struct stage *stage = &grad->stages[grad->running];
        pool_run(grad->pool, stage_rank, grad);
        for (int i = stage->first; i < stage->first + stage->n; i++)
            grad_finish_step(grad, &grad->steps[i]);
    }
}

/* Packs the rank's convolutions for one direction of theirs: that of a pass forward, but for the
 * transposed ones, which go the other way. */
static void pack_convs(struct grad *grad, unsigned rank, bool back)
{
    for (int i = 0; i < grad->net->n_ops; i++) {
        const struct op *op = &grad->net->ops[i];
        struct op_state *state = &grad->states[i];
        if (!op_is_conv(op) || !op_is_needed(op, grad->exits) || state->packer != rank) continue;
        const float *weight = grad->params + grad->net->params[op->weight].offset;
        if (back == (op->kind == OP_CONV_TRANSPOSED))
            grad->kernels->conv[CONV_DIRECT].forward.pack(&op->conv, weight, NULL, state->packed);
        else if (op->in > 0) /* nobody asks for the gradient of the images */
            grad->kernels->conv[CONV_DIRECT].backward_data.pack(&op->conv, weight,
                                                                state->packed_back);
    }
}

static void pack_rank(void *arg, unsigned rank, unsigned n_ranks)
{
    (void)n_ranks;
    pack_convs(arg, rank, false);
}

static void clear_caller_gradients(struct grad *grad)
{
    const struct net *net = grad->net;
    size_t n = (size_t)grad->batch_max;
    for (int i = 0; i < net->spec.n_sections; i++) {
        if (is_shown(grad, i))
            memset(grad_dborder(grad, i), 0,
                   n * shape_size(net_section_output(net, i)) * sizeof(float));
        if (!(grad->exits >> i & 1)) continue;
        memset(grad_dlogits(grad, i), 0, n * (size_t)net_classes(net) * sizeof(float));
        memset(grad_dfeatures(grad, i), 0, n * (size_t)net_feature_size(net) * sizeof(float));
    }
}

void grad_forward(struct grad *grad, float *params, int batch)
{
    assert(batch >= 1 && batch <= grad->batch_max);
    grad->batch = batch;
    grad->params = grad->moving = params;
    pool_run(grad->pool, pack_rank, grad);
    run_stages(grad, 0, grad->n_forward);
    clear_caller_gradients(grad);
    grad->moving = NULL;
}

/* Packs for the way back and clears the rank's gradients. */
static void prepare_back_rank(void *arg, unsigned rank, unsigned n_ranks)
{
    struct grad *grad = arg;
    size_t size = grad->net->trained_size;
    (void)n_ranks;
    memset(rank == 0 ? grad->dparams : grad->rank_dparams + (rank - 1) * size, 0,
           size * sizeof(float));
    pack_convs(grad, rank, true);
}

/* Adds the other ranks' gradients to rank 0's, in rank order; each rank sums its part of them. */
static void reduce_rank(void *arg, unsigned rank, unsigned n_ranks)
{
    struct grad *grad = arg;
    size_t size = grad->net->trained_size, first, end;
    pool_part(size, rank, n_ranks, &first, &end);
    for (unsigned r = 1; r < grad->n_ranks; r++)
        grad->kernels->add(end - first, grad->rank_dparams + (r - 1) * size + first,
                           grad->dparams + first);
}

void grad_backward(struct grad *grad, const float *params, float *dparams)
{
    assert(grad->batch >= 1);
    grad->params = params;
    grad->dparams = dparams;
    pool_run(grad->pool, prepare_back_rank, grad);
    run_stages(grad, grad->n_forward, grad->n_stages);
    if (grad->n_ranks > 1) pool_run(grad->pool, reduce_rank, grad);
    grad->params = NULL;
    grad->dparams = NULL;
}
