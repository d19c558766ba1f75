/* The schedule of a training step, made once.
 *
 * Every operation is put into the earliest stage in which its inputs are complete; a stage ends
 * only where a norm needs the whole batch, so that a norm, the convolution after it and the sums
 * for the next norm run together on a block of images. Heads run beside the sections that follow
 * them. Norms whose result is wanted later only (shortcuts) move to the stage that wants it.
 *
 * Values and gradients then share one block of memory by lifetime, in stages: in one stage ranks
 * are at different images and steps, so what meets in a stage never overlaps. A norm's dx
 * overwrites its dy, which saves a pass over memory. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/mem.h"
#include "grad_impl.h"
#include "place.h"

/* A block's largest tensor. Measured with bench_grad on a Zen 5 (1 MB of second-level cache a
 * core): smaller blocks pass the weights of the deep stages through the cache too often (at full
 * width 262, 367, 403 GFLOP/s with 64, 256, 512 KB), larger ones lose the values between two steps.
 */
enum { BLOCK_BYTES = 512 * 1024, FLOATS_PER_LINE = MEM_ALIGN / sizeof(float) };

struct schedule {
    struct grad *grad;
    const struct net *net;
    int *value_stage;         /* complete in this stage */
    int *grad_stage;          /* likewise; -1: no contribution yet */
    int *op_stage;            /* forward */
    int *consumers;           /* of a value */
    bool *touched;            /* a gradient that has been written */
    struct place_item *items; /* values, then gradients */
    int *order;
};

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static bool is_needed(const struct schedule *s, int op)
{
    return op_is_needed(&s->net->ops[op], s->grad->exits);
}

static void add_step(struct schedule *s, enum step_kind kind, int op, int stage, int order)
{
    s->grad->steps[s->grad->n_steps++] =
        (struct step){.kind = kind, .op = op, .stage = stage, .order = order};
}

/* --- forward ---------------------------------------------------------------------------------- */

static void place_forward_ops(struct schedule *s)
{
    const struct net *net = s->net;
    for (int i = 0; i < net->n_ops; i++) {
        const struct op *op = &net->ops[i];
        if (!is_needed(s, i)) continue;
        int stage = s->value_stage[op->in];
        if (op->kind == OP_NORM) stage++;
        if (op->residual >= 0) stage = larger(stage, s->value_stage[op->residual]);
        s->op_stage[i] = s->value_stage[op->out] = stage;
        s->consumers[op->in]++;
        if (op->residual >= 0) s->consumers[op->residual]++;
    }
}

/* Moves norms to the first stage that reads them. */
static void delay_norms(struct schedule *s)
{
    const struct net *net = s->net;
    for (int i = net->n_ops - 1; i >= 0; i--) {
        const struct op *op = &net->ops[i];
        if (!is_needed(s, i) || op->kind != OP_NORM) continue;
        int wanted = INT_MAX;
        for (int j = i + 1; j < net->n_ops; j++) {
            const struct op *reader = &net->ops[j];
            if (!is_needed(s, j)) continue;
            int stage = s->op_stage[j];
            if (reader->in == op->out && reader->kind == OP_NORM)
                wanted = wanted < stage - 1 ? wanted : stage - 1;
            else if (reader->in == op->out || reader->residual == op->out)
                wanted = wanted < stage ? wanted : stage;
        }
        if (wanted != INT_MAX)
            s->op_stage[i] = s->value_stage[op->out] = larger(s->op_stage[i], wanted);
    }
}

static void add_forward_steps(struct schedule *s)
{
    static const enum step_kind kinds[] = {
        [OP_CONV] = STEP_CONV,    [OP_CONV_TRANSPOSED] = STEP_CONV,
        [OP_NORM] = STEP_NORM,    [OP_LINEAR] = STEP_LINEAR,
        [OP_MEAN] = STEP_MAP,     [OP_RELU] = STEP_MAP,
        [OP_MAX_POOL] = STEP_MAP, [OP_SHORTCUT] = STEP_MAP,
        [OP_UPSAMPLE] = STEP_MAP, [OP_GATE] = STEP_MAP};
    const struct net *net = s->net;
    for (int i = 0; i < net->n_ops; i++) {
        const struct op *op = &net->ops[i];
        if (!is_needed(s, i)) continue;
        if (op->kind == OP_NORM) /* right behind what makes its input */
            add_step(s, STEP_MOMENTS, i, s->value_stage[op->in],
                     2 * net->values[op->in].producer + 1);
        add_step(s, kinds[op->kind], i, s->op_stage[i], 2 * i);
        s->grad->n_forward = larger(s->grad->n_forward, s->op_stage[i] + 1);
    }
}

/* --- backward --------------------------------------------------------------------------------- */

static void contribute(struct schedule *s, int value, int stage)
{
    if (value > 0) s->grad_stage[value] = larger(s->grad_stage[value], stage);
}

static void add_backward_steps(struct schedule *s)
{
    const struct net *net = s->net;
    for (int i = 0; i < net->n_values; i++)
        s->grad_stage[i] = s->grad->n_forward; /* where backward begins */

    for (int i = net->n_ops - 1; i >= 0; i--) {
        const struct op *op = &net->ops[i];
        if (!is_needed(s, i)) continue;
        int stage = s->grad_stage[op->out], order = 2 * (net->n_ops - i);
        switch (op->kind) {
        case OP_LINEAR:
            add_step(s, STEP_LINEAR_BACK, i, stage, order);
            break;
        case OP_MEAN:
        case OP_RELU:
        case OP_MAX_POOL:
        case OP_SHORTCUT:
        case OP_UPSAMPLE:
        case OP_GATE:
            add_step(s, STEP_MAP_BACK, i, stage, order);
            break;
        case OP_CONV:
        case OP_CONV_TRANSPOSED:
            add_step(s, STEP_CONV_BACK, i, stage, order);
            break;
        case OP_NORM:
            add_step(s, STEP_NORM_SUMS, i, stage, order);
            add_step(s, STEP_NORM_BACK, i, ++stage, order);
            break;
        }
        contribute(s, op->in, stage);
        contribute(s, op->residual, stage);
    }
}

/* --- stages ----------------------------------------------------------------------------------- */

static int compare_steps(const void *a, const void *b)
{
    const struct step *x = a, *y = b;
    if (x->stage != y->stage) return x->stage < y->stage ? -1 : 1;
    if (x->order != y->order) return x->order < y->order ? -1 : 1;
    /* One value can feed two norms; no two steps are equal otherwise. */
    return (x->op > y->op) - (x->op < y->op);
}

/* Whether the caller sees this value: the end of a section that it asked for. */
static bool is_border(const struct schedule *s, int value)
{
    for (int i = 0; i < s->net->spec.n_sections; i++) {
        if ((s->grad->borders >> i & 1) != 0 && s->net->section_out[i] == value) return true;
    }
    return false;
}

/* Who writes a gradient first sets it, the others add to it. The features' and a border's have the
 * caller's part. */
static void mark_accumulation(struct schedule *s)
{
    const struct net *net = s->net;
    for (int i = 0; i < net->spec.n_sections; i++) s->touched[net->features[i]] = true;
    for (int i = 0; i < net->n_values; i++) s->touched[i] |= is_border(s, i);
    for (int i = 0; i < s->grad->n_steps; i++) {
        struct step *step = &s->grad->steps[i];
        const struct op *op = &net->ops[step->op];
        if (step->stage < s->grad->n_forward || step->kind == STEP_NORM_SUMS) continue;
        step->accumulate = op->in > 0 && s->touched[op->in];
        s->touched[op->in] = true;
        if (op->residual >= 0) {
            step->accumulate_residual = s->touched[op->residual];
            s->touched[op->residual] = true;
        }
    }
}

static int block_of(const struct grad *grad, const struct stage *stage)
{
    size_t largest = 1;
    for (int i = stage->first; i < stage->first + stage->n; i++) {
        const struct op *op = &grad->net->ops[grad->steps[i].op];
        size_t in = shape_size(grad->net->values[op->in].shape);
        size_t out = shape_size(grad->net->values[op->out].shape);
        largest = in > largest ? in : largest;
        largest = out > largest ? out : largest;
    }
    size_t block = BLOCK_BYTES / sizeof(float) / largest;
    return block < 1 ? 1 : block > (size_t)grad->batch_max ? grad->batch_max : (int)block;
}

static void cut_stages(struct grad *grad)
{
    for (int i = 0; i < grad->n_steps; i++) {
        struct stage *stage = &grad->stages[grad->steps[i].stage];
        if (stage->n++ == 0) stage->first = i;
    }
    for (int i = 0; i < grad->n_stages; i++)
        grad->stages[i].block = block_of(grad, &grad->stages[i]);
}

/* --- memory ----------------------------------------------------------------------------------- */

/* The value whose buffer holds the gradient of `value`: that of a norm's input lies in that of its
 * output when the norm is the input's only reader, the caller included. */
static int grad_home(const struct schedule *s, int value)
{
    if (is_border(s, value)) return value;
    for (int i = 0; i < s->net->n_ops; i++) {
        const struct op *op = &s->net->ops[i];
        if (op->kind == OP_NORM && op->in == value && is_needed(s, i) && s->consumers[value] == 1)
            return op->out;
    }
    return value;
}

/* Which of an operation's values its way back needs. */
static bool back_needs_in(const struct op *op)
{
    switch (op->kind) {
    case OP_CONV:
    case OP_CONV_TRANSPOSED:
    case OP_NORM:
    case OP_LINEAR:
    case OP_MAX_POOL:
    case OP_GATE:
        return true;
    case OP_MEAN:
    case OP_RELU:
    case OP_SHORTCUT:
    case OP_UPSAMPLE:
        return false;
    }
    return true;
}

static bool back_needs_out(const struct op *op)
{
    return op->relu || op->kind == OP_RELU || op->kind == OP_MAX_POOL;
}

static void use(struct place_item *item, int stage)
{
    item->first = item->first < stage ? item->first : stage;
    item->last = larger(item->last, stage);
}

static void find_lifetimes(struct schedule *s)
{
    const struct net *net = s->net;
    struct place_item *values = s->items, *grads = s->items + net->n_values;
    int end = s->grad->n_stages - 1;

    use(&values[0], 0);
    use(&values[0], end);
    for (int i = 0; i < s->grad->n_steps; i++) {
        const struct step *step = &s->grad->steps[i];
        const struct op *op = &net->ops[step->op];
        if (step->stage < s->grad->n_forward) {
            use(&values[op->in], step->stage);
            if (step->kind == STEP_MOMENTS) continue;
            use(&values[op->out], step->stage);
            if (op->residual >= 0) use(&values[op->residual], step->stage);
            continue;
        }
        if (back_needs_in(op)) use(&values[op->in], step->stage);
        if (back_needs_out(op)) use(&values[op->out], step->stage);
        if (op->kind == OP_GATE) use(&values[op->residual], step->stage);
        use(&grads[grad_home(s, op->out)], step->stage);
        if (step->kind == STEP_NORM_SUMS) continue;
        if (op->in > 0) use(&grads[grad_home(s, op->in)], step->stage);
        if (op->residual >= 0) use(&grads[grad_home(s, op->residual)], step->stage);
    }
    for (int i = 0; i < net->n_values; i++) {
        if (!is_border(s, i)) continue; /* the caller is at work before backward begins */
        use(&values[i], s->grad->n_forward);
        use(&grads[i], s->grad->n_forward);
    }
    for (int i = 0; i < net->spec.n_sections; i++) {
        if (!(s->grad->exits >> i & 1)) continue;
        const int shown[] = {net->features[i], net->logits[i]}; /* to the caller, at any time */
        for (int j = 0; j < 2; j++) {
            use(&values[shown[j]], 0);
            use(&values[shown[j]], end);
            use(&grads[shown[j]], 0);
            use(&grads[shown[j]], end);
        }
    }
}

static int place_buffers(struct schedule *s)
{
    struct grad *grad = s->grad;
    const struct net *net = s->net;
    int n = net->n_values;
    for (int i = 0; i < 2 * n; i++) {
        struct place_item *item = &s->items[i];
        size_t lines;
        item->first = INT_MAX;
        item->last = -1;
        if (mem_size(shape_size(net->values[i % n].shape), (size_t)grad->batch_max,
                     FLOATS_PER_LINE - 1, &lines) < 0)
            return -ENOMEM;
        item->size = lines / FLOATS_PER_LINE * FLOATS_PER_LINE;
    }
    find_lifetimes(s);
    size_t whole = place_items(s->items, 2 * n, s->order);
    grad->activations = grad_take_aligned(grad, whole, sizeof(float));
    if (grad->activations == NULL) return -ENOMEM;

    for (int i = 0; i < n; i++) {
        if (s->items[i].last >= 0) grad->values[i] = grad->activations + s->items[i].offset;
        int home = n + grad_home(s, i);
        if (s->items[home].last >= 0) grad->grads[i] = grad->activations + s->items[home].offset;
    }
    return 0;
}

int grad_schedule(struct grad *grad, struct err *e)
{
    const struct net *net = grad->net;
    size_t n_values = (size_t)net->n_values, n_ops = (size_t)net->n_ops;
    struct schedule s = {.grad = grad, .net = net};
    s.value_stage = mem_new(n_values, sizeof(*s.value_stage));
    s.grad_stage = mem_new(n_values, sizeof(*s.grad_stage));
    s.op_stage = mem_new(n_ops, sizeof(*s.op_stage));
    s.consumers = mem_new(n_values, sizeof(*s.consumers));
    s.touched = mem_new(n_values, sizeof(*s.touched));
    s.items = mem_new(2 * n_values, sizeof(*s.items));
    s.order = mem_new(2 * n_values, sizeof(*s.order));
    grad->steps = grad_take(grad, 4 * n_ops, sizeof(*grad->steps)); /* a norm has four */
    grad->values = grad_take(grad, n_values, sizeof(*grad->values));
    grad->grads = grad_take(grad, n_values, sizeof(*grad->grads));
    int rc = -ENOMEM;
    if (s.value_stage == NULL || s.grad_stage == NULL || s.op_stage == NULL ||
        s.consumers == NULL || s.touched == NULL || s.items == NULL || s.order == NULL ||
        grad->steps == NULL || grad->values == NULL || grad->grads == NULL)
        goto out;

    place_forward_ops(&s);
    delay_norms(&s);
    add_forward_steps(&s);
    add_backward_steps(&s);
    qsort(grad->steps, (size_t)grad->n_steps, sizeof(*grad->steps), compare_steps);
    grad->n_stages = grad->steps[grad->n_steps - 1].stage + 1;
    grad->stages = grad_take(grad, (size_t)grad->n_stages, sizeof(*grad->stages));
    if (grad->stages == NULL) goto out;
    mark_accumulation(&s);
    cut_stages(grad);
    rc = place_buffers(&s);
out:
    if (rc < 0)
        err_set(e, rc, "training: out of memory for a batch of %d images; use a smaller batch",
                grad->batch_max);
    mem_free(s.value_stage);
    mem_free(s.grad_stage);
    mem_free(s.op_stage);
    mem_free(s.consumers);
    mem_free(s.touched);
    mem_free(s.items);
    mem_free(s.order);
    return rc;
}
