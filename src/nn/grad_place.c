/* Where the values of a pass and their gradients lie: all share one block of memory by lifetime,
 * in rounds: in one round lanes are at different images and tasks, so what meets in a round never
 * overlaps. What is made once more in the way back has two lifetimes, and so two places. A norm's
 * dx overwrites its dy (in_place), which saves a pass over memory. */
#include "config.h"

#include <errno.h>
#include <limits.h>

#include "base/mem.h"
#include "grad_impl.h"
#include "place.h"

enum { FLOATS_PER_LINE = MEM_ALIGN / sizeof(float) };

struct memory {
    struct grad *grad;
    const struct net *net;
    int *consumers;           /* of a value, forward */
    struct place_item *items; /* values forward, values backward, gradients */
    int *order;
};

static void count_consumers(struct memory *s)
{
    for (int i = 0; i < s->net->n_ops; i++) {
        const struct op *op = &s->net->ops[i];
        if (!grad_needs(s->grad, op)) continue;
        s->consumers[op->in]++;
        if (op->residual >= 0) s->consumers[op->residual]++;
    }
}

/* The value whose buffer holds the gradient of `value`: where an operation works in place and is
 * its input's only reader, the caller included, that of its output. */
static int grad_home(const struct memory *s, int value)
{
    if (grad_is_border(s->grad, value)) return value;
    for (int i = 0; i < s->net->n_ops; i++) {
        const struct op *op = &s->net->ops[i];
        if (op->kind->train.in_place && op->in == value && grad_needs(s->grad, op) &&
            s->consumers[value] == 1)
            return op->out;
    }
    return value;
}

static void use(struct place_item *item, int round)
{
    item->first = item->first < round ? item->first : round;
    item->last = item->last > round ? item->last : round;
}

/* What the caller may read and write at any time. */
static void use_shown(struct memory *s, int value)
{
    struct place_item *values = s->items, *grads = s->items + 2 * s->net->n_values;
    const int rounds[] = {0, s->grad->n_rounds - 1};
    for (int i = 0; i < 2; i++) {
        use(&values[value], rounds[i]);
        use(&grads[value], rounds[i]);
    }
}

static void use_forward(struct memory *s, const struct task *task)
{
    const struct op *op = &s->net->ops[task->op];
    use(&s->items[op->in], task->round);
    if (task->phase == PHASE_STATISTICS) return;
    use(&s->items[op->out], task->round);
    if (op->residual >= 0) use(&s->items[op->residual], task->round);
}

/* The item of a value in the way back. */
static struct place_item *kept(struct memory *s, int value)
{
    return &s->items[s->grad->remade[value] ? s->net->n_values + value : value];
}

static void use_backward(struct memory *s, const struct task *task)
{
    const struct op *op = &s->net->ops[task->op];
    struct place_item *grads = s->items + 2 * s->net->n_values;
    unsigned needs = op_needs(op, task->phase);
    if (needs & NEEDS_IN) use(kept(s, op->in), task->round);
    if (needs & NEEDS_OUT) use(kept(s, op->out), task->round);
    if (needs & NEEDS_RESIDUAL) use(kept(s, op->residual), task->round);
    if (task->phase == PHASE_REMAKE) {
        use(kept(s, op->out), task->round);
        return;
    }
    use(&grads[grad_home(s, op->out)], task->round);
    if (task->phase != PHASE_BACKWARD) return;
    if (op->in > 0) use(&grads[grad_home(s, op->in)], task->round);
    if (op->residual >= 0) use(&grads[grad_home(s, op->residual)], task->round);
}

static void find_lifetimes(struct memory *s)
{
    const struct net *net = s->net;
    struct grad *grad = s->grad;
    use(&s->items[0], 0);
    use(&s->items[0], grad->n_rounds - 1);
    for (int i = 0; i < grad->n_tasks; i++) {
        const struct task *task = &grad->tasks[i];
        if (task->round < grad->n_forward)
            use_forward(s, task);
        else
            use_backward(s, task);
    }
    for (int i = 0; i < net->n_values; i++) {
        if (!grad_is_border(grad, i)) continue; /* the caller is at work before backward begins */
        use(&s->items[i], grad->n_forward);
        use(&s->items[2 * net->n_values + i], grad->n_forward);
    }
    for (int i = 0; i < net->spec.n_sections; i++) {
        if (!(grad->exits >> i & 1)) continue;
        if (grad->frozen) { /* there before the first round */
            use(&s->items[net->section_out[i]], 0);
            use(&s->items[net->section_out[i]], grad->n_rounds - 1);
        }
        use_shown(s, net->features[i]);
        use_shown(s, net->logits[i]);
    }
}

static int measure_items(struct memory *s)
{
    int n = s->net->n_values;
    for (int i = 0; i < 3 * n; i++) {
        struct place_item *item = &s->items[i];
        size_t lines;
        item->first = INT_MAX;
        item->last = -1;
        if (mem_size(shape_size(s->net->values[i % n].shape), (size_t)s->grad->batch_max,
                     FLOATS_PER_LINE - 1, &lines) < 0)
            return -ENOMEM;
        item->size = lines / FLOATS_PER_LINE * FLOATS_PER_LINE;
    }
    return 0;
}

static float *address(const struct grad *grad, const struct place_item *item)
{
    return item->last >= 0 ? grad->activations + item->offset : NULL;
}

static int place(struct memory *s)
{
    struct grad *grad = s->grad;
    int n = s->net->n_values;
    if (measure_items(s) < 0) return -ENOMEM;
    count_consumers(s);
    find_lifetimes(s);
    size_t whole = place_items(s->items, 3 * n, s->order);
    grad->activations = grad_take_aligned(grad, whole, sizeof(float));
    if (grad->activations == NULL) return -ENOMEM;
    for (int i = 0; i < n; i++) {
        grad->values[i] = address(grad, &s->items[i]);
        grad->values_back[i] = address(grad, kept(s, i));
        grad->grads[i] = address(grad, &s->items[2 * n + grad_home(s, i)]);
    }
    return 0;
}

int grad_place(struct grad *grad)
{
    size_t n = (size_t)grad->net->n_values;
    struct memory s = {.grad = grad,
                       .net = grad->net,
                       .consumers = mem_new(n, sizeof(*s.consumers)),
                       .items = mem_new(3 * n, sizeof(*s.items)),
                       .order = mem_new(3 * n, sizeof(*s.order))};
    grad->values = grad_take(grad, n, sizeof(*grad->values));
    grad->values_back = grad_take(grad, n, sizeof(*grad->values_back));
    grad->grads = grad_take(grad, n, sizeof(*grad->grads));
    bool made = s.consumers != NULL && s.items != NULL && s.order != NULL && grad->values != NULL &&
                grad->values_back != NULL && grad->grads != NULL;
    int rc = made ? place(&s) : -ENOMEM;
    mem_free(s.consumers);
    mem_free(s.items);
    mem_free(s.order);
    return rc;
}
