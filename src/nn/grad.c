/* The grad object and its two passes. A pass is a list of rounds; each is one loop of the pool, in
 * which every lane takes its images through the round's stretches of tasks, block by block through
 * each, and is followed by what needs the sums of all lanes. Weights are packed at the beginning of
 * each pass, as they change with every step of the optimizer. This file leaves out what the tasks
 * do (op_NAME.c) and their order (grad_schedule.c). */
#include "config.h"

#include "nn/grad.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "grad_impl.h"

enum { DOUBLES_PER_LINE = MEM_ALIGN / sizeof(double) };

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

/* Each array rounded to whole cache lines. */
static struct state_size state_size(const struct grad *grad, const struct op *op)
{
    struct state_size size = {0};
    if (!grad_needs(grad, op)) return size;
    if (op->kind->train.size != NULL) op->kind->train.size(grad, op, &size);
    size.pack = grad_round_up(size.pack);
    size.pack_back = grad_round_up(size.pack_back);
    if (op->bias >= 0) size.sums = round_up(2 * grad_channels(grad, op->out), DOUBLES_PER_LINE);
    return size;
}

/* Gives each operation to the lane that has the least to pack so far. */
static unsigned least_loaded(size_t *load, unsigned n_lanes, size_t more)
{
    unsigned best = 0;
    for (unsigned l = 1; l < n_lanes; l++) best = load[l] < load[best] ? l : best;
    load[best] += more;
    return best;
}

static int make_states(struct grad *grad, const struct grad_options *options)
{
    const struct net *net = grad->net;
    struct state_size all = {0};
    grad->states = grad_take(grad, (size_t)net->n_ops, sizeof(*grad->states));
    if (grad->states == NULL || grad_choose(grad, options) < 0) return -ENOMEM;
    for (int i = 0; i < net->n_ops; i++) {
        struct state_size size = state_size(grad, &net->ops[i]);
        all.pack += size.pack;
        all.pack_back += size.pack_back;
        all.floats += size.floats;
        all.doubles += size.doubles;
        all.sums += size.sums;
        state_scratch(&all, size.scratch);
    }

    grad->sums_stride = all.sums;
    grad->scratch_stride = round_up(all.scratch, MEM_ALIGN);
    size_t packs = all.pack > all.pack_back ? all.pack : all.pack_back;
    grad->packs = grad_take_aligned(grad, packs, sizeof(float));
    grad->state_floats = grad_take_aligned(grad, all.floats, sizeof(float));
    grad->state_doubles = grad_take_aligned(grad, all.doubles, sizeof(double));
    grad->sums = grad_take_aligned(grad, grad->n_lanes, grad->sums_stride * sizeof(double));
    grad->scratch = grad_take_aligned(grad, grad->n_lanes, grad->scratch_stride);
    size_t *load = mem_new(grad->n_lanes, sizeof(*load));
    if (grad->packs == NULL || grad->state_floats == NULL || grad->state_doubles == NULL ||
        grad->sums == NULL || grad->scratch == NULL || load == NULL) {
        mem_free(load);
        return -ENOMEM;
    }

    /* What is multiplied with forward is not needed backward any more. */
    float *pack = grad->packs, *pack_back = grad->packs, *floats = grad->state_floats;
    double *doubles = grad->state_doubles, *sums = grad->sums;
    for (int i = 0; i < net->n_ops; i++) {
        struct state_size size = state_size(grad, &net->ops[i]);
        struct op_state *state = &grad->states[i];
        state->packed = pack;
        state->packed_back = pack_back;
        state->packer = least_loaded(load, grad->n_lanes, size.pack + size.pack_back);
        state->floats = floats;
        state->doubles = doubles;
        state->sums = sums;
        pack += size.pack;
        pack_back += size.pack_back;
        floats += size.floats;
        doubles += size.doubles;
        sums += size.sums;
    }
    mem_free(load);
    return 0;
}

/* --- life ------------------------------------------------------------------------------------- */

struct grad *grad_new(const struct net *net, int batch, const struct grad_options *options,
                      struct pool *pool, const struct kernels *kernels, struct err *e)
{
    unsigned all = (1u << net->spec.n_sections) - 1;
    unsigned exits = options->exits, borders = options->borders;
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
    grad->n_lanes = pool != NULL ? pool_threads(pool) : 1;
    grad->exits = exits;
    grad->borders = borders;
    grad->frozen = options->frozen;
    grad->precision = options->precision;
    grad->batch_max = batch;
    grad->sharers = 1;
    grad->bytes = sizeof(*grad);
    if (grad_schedule(grad, e) < 0) {
        grad_free(grad);
        return NULL;
    }
    int rc = grad_find_ranges(grad);
    size_t others = grad->n_lanes - 1;
    if (others > 0)
        grad->lane_dparams = grad_take_aligned(grad, others, net->trained_size * sizeof(float));
    if (rc < 0 || (others > 0 && grad->lane_dparams == NULL) || make_states(grad, options) < 0) {
        err_set(e, -ENOMEM, "training: out of memory for the gradients of %u threads; use fewer",
                grad->n_lanes);
        grad_free(grad);
        return NULL;
    }
    return grad;
}

void grad_free(struct grad *grad)
{
    if (grad == NULL) return;
    mem_free(grad->tasks);
    mem_free(grad->rounds);
    mem_free(grad->stretches);
    mem_free(grad->ranges);
    mem_free(grad->activations);
    mem_free(grad->values);
    mem_free(grad->values_back);
    mem_free(grad->remade);
    mem_free(grad->grads);
    mem_free(grad->states);
    mem_free(grad->state_floats);
    mem_free(grad->state_doubles);
    mem_free(grad->sums);
    mem_free(grad->packs);
    mem_free(grad->scratch);
    mem_free(grad->lane_dparams);
    mem_free(grad->times);
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

float *grad_end(struct grad *grad, int section)
{
    assert(grad->frozen);
    return grad->values[grad->net->section_out[section]];
}

/* --- passes ----------------------------------------------------------------------------------- */

static float *at_image(const struct grad *grad, float *const *arrays, int value, int image)
{
    if (value < 0 || arrays[value] == NULL) return NULL;
    return arrays[value] + grad_count_of(grad, value, image);
}

/* Images [first, first + n). */
static void run_task(struct grad *grad, const struct task *task, unsigned lane, int first, int n)
{
    const struct op *op = &grad->net->ops[task->op];
    float *const *values = task->round < grad->n_forward ? grad->values : grad->values_back;
    const struct task_args args = {.grad = grad,
                                   .task = task,
                                   .op = op,
                                   .lane = lane,
                                   .n = n,
                                   .x = at_image(grad, values, op->in, first),
                                   .residual = at_image(grad, values, op->residual, first),
                                   .y = at_image(grad, values, op->out, first),
                                   .dx = at_image(grad, grad->grads, op->in, first),
                                   .dy = at_image(grad, grad->grads, op->out, first),
                                   .dresidual = at_image(grad, grad->grads, op->residual, first)};
    int64_t begin = grad_timer(grad);
    op->kind->train.phases[task->phase].run(&args);
    grad_took(grad, lane, (size_t)(task - grad->tasks), begin);
}

/* Nothing was summed for a bias that is not there. */
static void finish_task(struct grad *grad, const struct task *task)
{
    const struct op *op = &grad->net->ops[task->op];
    void (*finish)(struct grad *, const struct task *) = op->kind->train.phases[task->phase].finish;
    if (finish != NULL && op->bias >= 0) finish(grad, task);
}

/* Images [first, end), block by block. */
static void run_stretch(struct grad *grad, const struct stretch *s, unsigned lane, int first,
                        int end)
{
    for (int at = first, n; at < end; at += n) {
        n = end - at < s->block ? end - at : s->block;
        for (int i = s->first; i < s->first + s->n; i++)
            run_task(grad, &grad->tasks[i], lane, at, n);
    }
}

static void round_lane(void *arg, unsigned lane, unsigned n_lanes)
{
    struct grad *grad = arg;
    const struct round *round = &grad->rounds[grad->running];
    const struct task *tasks = grad->tasks + round->first;
    for (int i = 0; i < round->n; i++) grad_clear_sums(grad, &tasks[i], lane);
    grad_add_lanes(grad, grad->running - 1, lane);

    size_t first, end;
    pool_range((size_t)grad->batch, lane, n_lanes, &first, &end);
    for (int i = 0; i < round->n_stretches; i++)
        run_stretch(grad, &grad->stretches[round->first_stretch + i], lane, (int)first, (int)end);
}

static void run_rounds(struct grad *grad, int first, int end)
{
    for (grad->running = first; grad->running < end; grad->running++) {
        const struct round *round = &grad->rounds[grad->running];
        pool_run(grad->pool, round_lane, grad);
        int64_t begin = grad_timer(grad);
        for (int i = round->first; i < round->first + round->n; i++)
            finish_task(grad, &grad->tasks[i]);
        grad_took_beside(grad, 0, GRAD_FINISHING, begin);
        grad_tell_ready(grad, grad->n_lanes > 1 ? grad->running - 1 : grad->running);
    }
}

/* Packs the lane's operations for a pass. */
static void pack_ops(struct grad *grad, unsigned lane, bool back)
{
    int64_t begin = grad_timer(grad);
    for (int i = 0; i < grad->net->n_ops; i++) {
        const struct op *op = &grad->net->ops[i];
        void (*pack)(struct grad *, int) =
            back ? op->kind->train.pack_backward : op->kind->train.pack_forward;
        if (pack == NULL || !grad_needs(grad, op) || grad->states[i].packer != lane) continue;
        pack(grad, i);
    }
    grad_took_beside(grad, lane, GRAD_PACKING, begin);
}

static void pack_lane(void *arg, unsigned lane, unsigned n_lanes)
{
    (void)n_lanes;
    pack_ops(arg, lane, false);
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
    grad_forward_moving(grad, params, batch, (double)NET_NORM_MOMENTUM);
}

void grad_forward_moving(struct grad *grad, float *params, int batch, double momentum)
{
    assert(batch >= 1 && batch <= grad->batch_max);
    int64_t begin = grad_timer(grad);
    grad->batch = batch;
    grad->momentum = momentum;
    grad->params = grad->moving = params;
    pool_run(grad->pool, pack_lane, grad);
    run_rounds(grad, 0, grad->n_forward);
    clear_caller_gradients(grad);
    grad->moving = NULL;
    grad->pass_ns += grad_timer(grad) - begin;
}

/* Packs for the way back and clears the lane's gradients. */
static void prepare_back_lane(void *arg, unsigned lane, unsigned n_lanes)
{
    (void)n_lanes;
    grad_clear_lane(arg, lane);
    pack_ops(arg, lane, true);
}

static void add_last_lane(void *arg, unsigned lane, unsigned n_lanes)
{
    const struct grad *grad = arg;
    (void)n_lanes;
    grad_add_lanes(arg, grad->n_rounds - 1, lane);
}

void grad_backward(struct grad *grad, const float *params, float *dparams)
{
    assert(grad->batch >= 1);
    int64_t begin = grad_timer(grad);
    grad->params = params;
    grad->dparams = dparams;
    pool_run(grad->pool, prepare_back_lane, grad);
    run_rounds(grad, grad->n_forward, grad->n_rounds);
    if (grad->n_lanes > 1) {
        pool_run(grad->pool, add_last_lane, grad);
        grad_tell_ready(grad, grad->n_rounds - 1);
    }
    grad->params = NULL;
    grad->dparams = NULL;
    grad->pass_ns += grad_timer(grad) - begin;
}
