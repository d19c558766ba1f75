/* Times of a grad's passes: for each lane an array of nanoseconds, one for each task and for each
 * thing that belongs to none; the lane alone writes it. What lanes waited for each other, or for
 * the calling thread between two rounds, is what is left of the passes. */
#include "config.h"

#include "nn/grad_profile.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "grad_impl.h"

static const char *const phases[OP_PHASES] = {
    [PHASE_STATISTICS] = "statistics", [PHASE_FORWARD] = "forward",   [PHASE_REMAKE] = "remaking",
    [PHASE_BACK_SUMS] = "sums",        [PHASE_BACKWARD] = "backward", [PHASE_WEIGHTS] = "weights",
};

static const char *const beside_names[GRAD_BESIDES] = {
    [GRAD_PACKING] = "packing",
    [GRAD_FINISHING] = "finishing sums",
    [GRAD_ADDING] = "adding lanes",
};

static size_t part_count(const struct grad *grad)
{
    return (size_t)grad->n_tasks + GRAD_BESIDES;
}

/* Of a lane, in whole cache lines. */
static size_t stride(const struct grad *grad)
{
    size_t line = MEM_ALIGN / sizeof(int64_t);
    return (part_count(grad) + line - 1) / line * line;
}

int grad_profile(struct grad *grad)
{
    size_t size = grad->n_lanes * stride(grad);
    if (grad->times == NULL) grad->times = mem_new_aligned(size, sizeof(*grad->times));
    if (grad->times == NULL) return -ENOMEM;
    memset(grad->times, 0, size * sizeof(*grad->times));
    grad->pass_ns = 0;
    return 0;
}

int64_t grad_timer(const struct grad *grad)
{
    return grad->times != NULL ? clock_now() : 0;
}

void grad_took(struct grad *grad, unsigned lane, size_t part, int64_t since)
{
    if (grad->times != NULL) grad->times[lane * stride(grad) + part] += clock_now() - since;
}

void grad_took_beside(struct grad *grad, unsigned lane, enum grad_beside what, int64_t since)
{
    grad_took(grad, lane, (size_t)grad->n_tasks + what, since);
}

static int64_t sum_lanes(const struct grad *grad, size_t part)
{
    int64_t sum = 0;
    for (unsigned l = 0; l < grad->n_lanes; l++) sum += grad->times[l * stride(grad) + part];
    return sum;
}

static int64_t waited(const struct grad *grad)
{
    int64_t left = grad->n_lanes * grad->pass_ns;
    for (size_t i = 0; i < part_count(grad); i++) left -= sum_lanes(grad, i);
    return left;
}

static int64_t task_macs(const struct grad *grad, const struct task *task)
{
    const struct op *op = &grad->net->ops[task->op];
    bool multiplies = task->phase == PHASE_FORWARD || task->phase == PHASE_WEIGHTS ||
                      (task->phase == PHASE_BACKWARD && op->in > 0);
    if (op->kind->macs == NULL || !multiplies) return 0;
    return grad->batch * op->kind->macs(grad->net, op);
}

bool grad_profile_part(const struct grad *grad, size_t i, struct grad_part *ret_part)
{
    size_t n_tasks = (size_t)grad->n_tasks, n = part_count(grad);
    if (grad->times == NULL || i > n) return false;
    *ret_part = (struct grad_part){.phase = "waiting", .exit = -1};
    if (i == n) {
        ret_part->ns = waited(grad);
        return true;
    }
    ret_part->ns = sum_lanes(grad, i);
    if (i >= n_tasks) {
        ret_part->phase = beside_names[i - n_tasks];
        return true;
    }
    const struct task *task = &grad->tasks[i];
    const struct op *op = &grad->net->ops[task->op];
    ret_part->operator_name = op->kind->name;
    ret_part->phase = phases[task->phase];
    ret_part->in = grad->net->values[op->in].shape;
    ret_part->out = grad->net->values[op->out].shape;
    ret_part->exit = op->exit;
    ret_part->macs = task_macs(grad, task);
    return true;
}
