/* What the two passes do in which order, made once.
 *
 * Every operation is put into the earliest round in which its inputs are complete; a round ends
 * only where an operation (a norm) needs the whole batch, so that a norm, the convolution after it
 * and the sums for the next norm run together on a block of images. Heads run beside the sections
 * that follow them. Norms whose result is wanted later only (shortcuts) move to the round that
 * wants it.
 *
 * Within a round the trunk and each head are stretches of their own, each with as many images at a
 * time as keep its own values in the cache: a head's first map is twice as large as any of the
 * trunk beside it. Weights that are many are worth more than the values: what multiplies with them
 * on a few pixels an image does so for all images of a lane at once, and so does what sums their
 * gradient, for which the sums of a block would have to be added up again and again.
 *
 * Left out: where buffers lie (grad_place.c). */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/mem.h"
#include "grad_impl.h"

/* A block's largest tensor. Measured with bench_grad on a Zen 5 (1 MB of second-level cache a
 * core): smaller blocks pass the weights of the deep layers through the cache too often (at full
 * width 262, 367, 403 GFLOP/s with 64, 256, 512 KB), larger ones lose the values between two tasks.
 */
enum { BLOCK_BYTES = 512 * 1024, FLOATS_PER_LINE = MEM_ALIGN / sizeof(float) };

/* Weights that the second-level cache does not hold beside a block's values, and the pixels for
 * which they are worth to be read once more. */
enum { MANY_WEIGHTS = 65536, FEW_PIXELS = 128 };

struct passes {
    struct grad *grad;
    const struct net *net;
    int *value_round; /* complete in this round */
    int *grad_round;  /* likewise; -1: no contribution yet */
    int *op_round;    /* forward */
    bool *touched;    /* a gradient that has been written */
};

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static bool is_needed(const struct passes *s, int op)
{
    return grad_needs(s->grad, &s->net->ops[op]);
}

/* Images whose larger value of the operation is one block. */
static int own_block(const struct grad *grad, const struct op *op)
{
    size_t in = shape_size(grad->net->values[op->in].shape);
    size_t out = shape_size(grad->net->values[op->out].shape);
    size_t block = BLOCK_BYTES / sizeof(float) / (in > out ? in : out);
    return block < 1 ? 1 : block > (size_t)grad->batch_max ? grad->batch_max : (int)block;
}

/* Each weight is used, and its gradient summed, once a pixel of the smaller map. */
static bool is_whole(const struct grad *grad, const struct op *op, enum op_phase phase)
{
    if (op->weight < 0 || grad->net->params[op->weight].size < MANY_WEIGHTS) return false;
    if (phase == PHASE_WEIGHTS) return true;
    size_t in = grad_rows(grad, op->in, 1), out = grad_rows(grad, op->out, 1);
    return (size_t)own_block(grad, op) * (in < out ? in : out) < FEW_PIXELS;
}

/* Heads read what the trunk has made and add to its gradient, never the other way round. What sums
 * over all images of a lane does so when all are there. */
static int turn_of(const struct op *op, enum op_phase phase, bool whole)
{
    if (phase == PHASE_WEIGHTS && whole) return SPEC_SECTIONS_MAX + 2;
    if (phase == PHASE_STATISTICS || phase == PHASE_FORWARD) return op->exit + 1;
    return op->exit >= 0 ? op->exit : SPEC_SECTIONS_MAX + 1;
}

static void add_task(struct passes *s, enum op_phase phase, int op, int round, int order)
{
    const struct op *of = &s->net->ops[op];
    bool whole = is_whole(s->grad, of, phase);
    s->grad->tasks[s->grad->n_tasks++] = (struct task){.phase = phase,
                                                       .op = op,
                                                       .round = round,
                                                       .turn = turn_of(of, phase, whole),
                                                       .order = order,
                                                       .whole = whole};
}

/* --- forward ---------------------------------------------------------------------------------- */

static void place_forward_ops(struct passes *s)
{
    const struct net *net = s->net;
    for (int i = 0; i < net->n_ops; i++) {
        const struct op *op = &net->ops[i];
        if (!is_needed(s, i)) continue;
        int round = s->value_round[op->in];
        if (op_has_phase(op, PHASE_STATISTICS)) round++;
        if (op->residual >= 0) round = larger(round, s->value_round[op->residual]);
        s->op_round[i] = s->value_round[op->out] = round;
    }
}

/* Moves operations that waited for statistics anyway to the first round that reads them. */
static void delay_ops(struct passes *s)
{
    const struct net *net = s->net;
    for (int i = net->n_ops - 1; i >= 0; i--) {
        const struct op *op = &net->ops[i];
        if (!is_needed(s, i) || !op_has_phase(op, PHASE_STATISTICS)) continue;
        int wanted = INT_MAX;
        for (int j = i + 1; j < net->n_ops; j++) {
            const struct op *reader = &net->ops[j];
            if (!is_needed(s, j)) continue;
            int round = s->op_round[j];
            if (reader->in == op->out && op_has_phase(reader, PHASE_STATISTICS))
                wanted = wanted < round - 1 ? wanted : round - 1;
            else if (reader->in == op->out || reader->residual == op->out)
                wanted = wanted < round ? wanted : round;
        }
        if (wanted != INT_MAX)
            s->op_round[i] = s->value_round[op->out] = larger(s->op_round[i], wanted);
    }
}

static void add_forward_tasks(struct passes *s)
{
    const struct net *net = s->net;
    for (int i = 0; i < net->n_ops; i++) {
        const struct op *op = &net->ops[i];
        if (!is_needed(s, i)) continue;
        if (op_has_phase(op, PHASE_STATISTICS)) /* right behind what makes its input */
            add_task(s, PHASE_STATISTICS, i, s->value_round[op->in],
                     2 * net->values[op->in].producer + 1);
        add_task(s, PHASE_FORWARD, i, s->op_round[i], 2 * i);
        s->grad->n_forward = larger(s->grad->n_forward, s->op_round[i] + 1);
    }
}

/* --- backward --------------------------------------------------------------------------------- */

static void contribute(struct passes *s, int value, int round)
{
    if (value > 0) s->grad_round[value] = larger(s->grad_round[value], round);
}

static void add_backward_tasks(struct passes *s)
{
    const struct net *net = s->net;
    for (int i = 0; i < net->n_values; i++)
        s->grad_round[i] = s->grad->n_forward; /* where backward begins */

    for (int i = net->n_ops - 1; i >= 0; i--) {
        const struct op *op = &net->ops[i];
        if (!is_needed(s, i)) continue;
        int round = s->grad_round[op->out], order = 2 * (net->n_ops - i);
        if (op_has_phase(op, PHASE_BACK_SUMS)) add_task(s, PHASE_BACK_SUMS, i, round++, order);
        add_task(s, PHASE_BACKWARD, i, round, order);
        if (op_has_phase(op, PHASE_WEIGHTS)) add_task(s, PHASE_WEIGHTS, i, round, order + 1);
        contribute(s, op->in, round);
        contribute(s, op->residual, round);
    }
}

static bool reads(const struct op *op, enum op_phase phase, int value)
{
    unsigned needs = op_needs(op, phase);
    return (op->in == value && (needs & NEEDS_IN) != 0) ||
           (op->out == value && (needs & NEEDS_OUT) != 0) ||
           (op->residual == value && (needs & NEEDS_RESIDUAL) != 0);
}

static bool is_before(const struct task *a, const struct task *b)
{
    if (a->round != b->round) return a->round < b->round;
    return a->turn != b->turn ? a->turn < b->turn : a->order < b->order;
}

/* The first task backward that reads a value beside gradients; NULL: none does. */
static const struct task *first_reader(const struct passes *s, int value)
{
    const struct task *first = NULL;
    for (int i = 0; i < s->grad->n_tasks; i++) {
        const struct task *task = &s->grad->tasks[i];
        if (!reads(&s->net->ops[task->op], task->phase, value)) continue;
        if (first == NULL || is_before(task, first)) first = task;
    }
    return first;
}

/* What can be made once more from what is kept anyway is not kept itself, where somebody reads it
 * in the way back: it is made in front of its first reader, while its input passes the cache for
 * the sums of the same norm. From the last operation to the first, as one may read what another
 * makes. The caller must not see it. */
static void add_remaking_tasks(struct passes *s)
{
    for (int i = s->net->n_ops - 1; i >= 0; i--) {
        const struct op *op = &s->net->ops[i];
        if (!is_needed(s, i) || !op_has_phase(op, PHASE_REMAKE) || op->residual >= 0) continue;
        if (grad_is_border(s->grad, op->out)) continue;
        const struct task *reader = first_reader(s, op->out);
        if (reader == NULL) continue;
        int turn = reader->turn;
        add_task(s, PHASE_REMAKE, i, reader->round, reader->order - 1);
        struct task *task = &s->grad->tasks[s->grad->n_tasks - 1];
        task->turn = task->turn < turn ? task->turn : turn;
        s->grad->remade[op->out] = true;
    }
}

/* --- rounds ----------------------------------------------------------------------------------- */

static int compare_tasks(const void *a, const void *b)
{
    const struct task *x = a, *y = b;
    if (x->round != y->round) return x->round < y->round ? -1 : 1;
    if (x->turn != y->turn) return x->turn < y->turn ? -1 : 1;
    if (x->order != y->order) return x->order < y->order ? -1 : 1;
    /* One value can feed two operations with statistics; no two tasks are equal otherwise. */
    return (x->op > y->op) - (x->op < y->op);
}

/* Who writes a gradient first sets it, the others add to it. The features' and a border's have the
 * caller's part. */
static void mark_accumulation(struct passes *s)
{
    const struct net *net = s->net;
    for (int i = 0; i < net->spec.n_sections; i++) s->touched[net->features[i]] = true;
    for (int i = 0; i < net->n_values; i++) s->touched[i] |= grad_is_border(s->grad, i);
    for (int i = 0; i < s->grad->n_tasks; i++) {
        struct task *task = &s->grad->tasks[i];
        const struct op *op = &net->ops[task->op];
        if (task->phase != PHASE_BACKWARD) continue;
        task->accumulate = op->in > 0 && s->touched[op->in];
        s->touched[op->in] = true;
        if (op->residual >= 0) {
            task->accumulate_residual = s->touched[op->residual];
            s->touched[op->residual] = true;
        }
    }
}

/* Whether a task begins a stretch: the first one of a round and of a turn, and around each whole
 * one. */
static bool begins_stretch(const struct grad *grad, int i)
{
    const struct task *task = &grad->tasks[i], *last = task - 1;
    return i == 0 || task->round != last->round || task->turn != last->turn || task->whole ||
           last->whole;
}

static void cut_rounds(struct grad *grad)
{
    int lane = grad_lane_images(grad);
    for (int i = 0; i < grad->n_tasks; i++) {
        const struct task *task = &grad->tasks[i];
        struct round *round = &grad->rounds[task->round];
        int block = task->whole ? lane : own_block(grad, &grad->net->ops[task->op]);
        if (round->n++ == 0) {
            round->first = i;
            round->first_stretch = grad->n_stretches;
        }
        if (begins_stretch(grad, i)) {
            round->n_stretches++;
            grad->stretches[grad->n_stretches++] = (struct stretch){.first = i, .block = lane};
        }
        struct stretch *stretch = &grad->stretches[grad->n_stretches - 1];
        stretch->n++;
        stretch->block = stretch->block < block ? stretch->block : block;
    }
}

int grad_schedule(struct grad *grad, struct err *e)
{
    const struct net *net = grad->net;
    size_t n_values = (size_t)net->n_values, n_ops = (size_t)net->n_ops;
    struct passes s = {.grad = grad, .net = net};
    s.value_round = mem_new(n_values, sizeof(*s.value_round));
    s.grad_round = mem_new(n_values, sizeof(*s.grad_round));
    s.op_round = mem_new(n_ops, sizeof(*s.op_round));
    s.touched = mem_new(n_values, sizeof(*s.touched));
    grad->tasks = grad_take(grad, OP_PHASES * n_ops, sizeof(*grad->tasks)); /* one a phase */
    grad->stretches = grad_take(grad, OP_PHASES * n_ops, sizeof(*grad->stretches));
    int rc = -ENOMEM;
    grad->remade = grad_take(grad, n_values, sizeof(*grad->remade));
    if (s.value_round == NULL || s.grad_round == NULL || s.op_round == NULL || s.touched == NULL ||
        grad->tasks == NULL || grad->stretches == NULL || grad->remade == NULL)
        goto out;

    place_forward_ops(&s);
    delay_ops(&s);
    add_forward_tasks(&s);
    add_backward_tasks(&s);
    add_remaking_tasks(&s);
    qsort(grad->tasks, (size_t)grad->n_tasks, sizeof(*grad->tasks), compare_tasks);
    grad->n_rounds = grad->tasks[grad->n_tasks - 1].round + 1;
    grad->rounds = grad_take(grad, (size_t)grad->n_rounds, sizeof(*grad->rounds));
    if (grad->rounds == NULL) goto out;
    mark_accumulation(&s);
    cut_rounds(grad);
    rc = grad_place(grad);
out:
    if (rc < 0)
        err_set(e, rc, "training: out of memory for a batch of %d images; use a smaller batch",
                grad->batch_max);
    mem_free(s.value_round);
    mem_free(s.grad_round);
    mem_free(s.op_round);
    mem_free(s.touched);
    return rc;
}
