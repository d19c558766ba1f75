/* The inside of a grad, shared by grad.c (object and passes), grad_schedule.c (which task in which
 * round), grad_place.c (where buffers lie), grad_choose.c (which algorithms), grad_sums.c (sums
 * over the batch), grad_lanes.c (gradients by lane), grad_profile.c (what takes the time) and the
 * operators (op_NAME.c), which compute. */
#ifndef NN_GRAD_IMPL_H
#define NN_GRAD_IMPL_H

#include "base/mem.h"
#include "nn/grad.h"
#include "op.h"

/* A task is what one operation does in one phase; tasks of a round need nothing of other
 * images, so a lane runs all of them on a block of its images while the block is in its cache. What
 * needs the whole batch (a norm's statistics, a bias' gradient) is summed by lane during a round
 * and finished by the calling thread between two rounds. */
struct task {
    enum op_phase phase;
    int op;
    int round, turn, order;   /* within the round, first by turn */
    bool whole;               /* on all images of a lane at once */
    bool accumulate;          /* into the gradient of op's in */
    bool accumulate_residual; /* into that of op's residual */
};

struct round {
    int first, n; /* tasks */
    int first_stretch, n_stretches;
    int first_range, n_ranges; /* of gradients to which it adds last */
};

/* Tasks of a round that run together on a block of images. */
struct stretch {
    int first, n;
    int block; /* images */
};

/* What an operation keeps beside its values. Sums of lane l begin at sums + l * sums_stride. */
struct op_state {
    enum conv_algorithm algorithms[CONV_DIRECTIONS];
    float *packed, *packed_back; /* as its passes multiply with, one after the other */
    unsigned packer;             /* the lane that packs them */
    float *floats;               /* of its own */
    double *doubles;
    double *sums; /* of lane 0, where there is a bias: [2][channels] */
};

/* How much of that it needs: floats, doubles, and bytes of scratch while it works. */
struct state_size {
    size_t pack, pack_back, floats, doubles, sums, scratch;
};

static inline void state_scratch(struct state_size *size, size_t bytes)
{
    size->scratch = bytes > size->scratch ? bytes : size->scratch;
}

struct grad {
    const struct net *net;
    const struct kernels *kernels;
    struct pool *pool;
    unsigned n_lanes, exits;
    unsigned borders; /* sections whose ends the caller sees */
    bool frozen;      /* the trunk is the caller's */
    enum precision precision;
    int batch_max, batch;
    size_t bytes;

    struct task *tasks; /* by round, then order */
    int n_tasks;
    struct round *rounds; /* the forward ones first */
    int n_rounds, n_forward;
    struct stretch *stretches; /* in the order of rounds */
    int n_stretches;
    struct grad_range *ranges; /* likewise */

    float *activations;  /* one block: values and their gradients, placed by lifetime */
    float **values;      /* [n_values]; NULL: not computed */
    float **values_back; /* as the way back reads them: what is made once more lies elsewhere */
    bool *remade;        /* [n_values]: made once more */
    float **grads;       /* [n_values]; NULL: nobody asks */
    struct op_state *states;
    float *state_floats;
    double *state_doubles, *sums;
    size_t sums_stride;
    float *packs;
    char *scratch; /* of lane 0 */
    size_t scratch_stride;
    float *lane_dparams; /* of lanes 1.., [trained_size] each */

    const float *params; /* during a pass */
    float *moving;       /* the same block, writable, during forward */
    double momentum;     /* how far running statistics move */
    float *dparams;
    int running; /* round */
    grad_ready_fn *ready;
    void *ready_arg;
    int sharers; /* of norms' statistics, this one included */
    grad_add_fn *add_shared;
    void *add_shared_arg;

    int64_t *times, pass_ns; /* grad_profile.c; NULL: nobody measures */
};

/* What a task works on: n images of a lane, their values and gradients. What its operation has not
 * is NULL. */
struct task_args {
    struct grad *grad;
    const struct task *task;
    const struct op *op;
    unsigned lane;
    int n;
    const float *x, *residual;
    float *y, *dx, *dy, *dresidual;
};

/* Whether an operation is computed at all. */
static inline bool grad_needs(const struct grad *grad, const struct op *op)
{
    return op_is_needed(op, grad->exits) && (op->exit >= 0 || !grad->frozen);
}

/* Of a value: its channels; of some images of it, pixels and floats. */
static inline size_t grad_channels(const struct grad *grad, int value)
{
    return (size_t)grad->net->values[value].shape.channels;
}

static inline size_t grad_rows(const struct grad *grad, int value, int images)
{
    struct shape s = grad->net->values[value].shape;
    return (size_t)images * (size_t)s.height * (size_t)s.width;
}

static inline size_t grad_count_of(const struct grad *grad, int value, int images)
{
    return (size_t)images * shape_size(grad->net->values[value].shape);
}

/* Images of a lane, at most. */
static inline int grad_lane_images(const struct grad *grad)
{
    return (grad->batch_max - 1) / (int)grad->n_lanes + 1;
}

/* Floats rounded up to whole cache lines, as every array of a state is. */
static inline size_t grad_round_up(size_t floats)
{
    size_t line = MEM_ALIGN / sizeof(float);
    return (floats + line - 1) / line * line;
}

/* Whether the caller sees this value: the end of a section that it asked for. */
static inline bool grad_is_border(const struct grad *grad, int value)
{
    for (int i = 0; i < grad->net->spec.n_sections; i++) {
        if ((grad->borders >> i & 1) != 0 && grad->net->section_out[i] == value) return true;
    }
    return false;
}

/* A parameter, and where a lane adds up its gradient; lane 0 does in the result itself. */
static inline const float *grad_param(const struct grad *grad, int param)
{
    return grad->params + grad->net->params[param].offset;
}

static inline float *grad_dparam(const struct grad *grad, int param, unsigned lane)
{
    size_t offset = grad->net->params[param].offset;
    return lane == 0 ? grad->dparams + offset
                     : grad->lane_dparams + (lane - 1) * grad->net->trained_size + offset;
}

static inline void *grad_scratch(const struct grad *grad, unsigned lane)
{
    return grad->scratch + lane * grad->scratch_stride;
}

/* How an operation's convolution is computed in a direction. */
static inline const struct conv_method *grad_method(const struct grad *grad, const struct op *op,
                                                    enum conv_direction d)
{
    return &grad->kernels->conv[grad->states[op - grad->net->ops].algorithms[d]];
}

/* grad_choose.c: fills the states' algorithms, once the rounds are known. -ENOMEM. */
int grad_choose(struct grad *grad, const struct grad_options *options);

/* grad_schedule.c: fills tasks, rounds and remade, then grad_place.c values, grads, activations. */
int grad_schedule(struct grad *grad, struct err *e);
int grad_place(struct grad *grad);

/* grad_sums.c: the sums of an operation [2][channels] by lane; those of all lanes, in their order,
 * into lane 0's. */
double *grad_sums(const struct grad *grad, int op, unsigned lane);
const double *grad_reduce_sums(struct grad *grad, int op, size_t channels);
/* Then makes lane 0's those of all grads that share the batch, which has so many rows of a value.
 */
const double *grad_share_sums(struct grad *grad, int op, size_t channels);
double grad_shared_rows(const struct grad *grad, int value);

void grad_clear_sums(struct grad *grad, const struct task *task, unsigned lane);

/* The gradient of a bias: the sum of dy over images and pixels. */
void grad_bias_sums(const struct task_args *a);
void grad_bias_finish(struct grad *grad, const struct task *task);

/* grad_lanes.c: fills ranges, -ENOMEM. Then during a pass backward: clears a lane's gradients; adds
 * a lane's part of those that became whole in a round, and tells whoever asked; nothing happens for
 * rounds forward. */
int grad_find_ranges(struct grad *grad);
void grad_clear_lane(struct grad *grad, unsigned lane);
void grad_add_lanes(struct grad *grad, int round, unsigned lane);
void grad_tell_ready(struct grad *grad, int round);

/* grad_profile.c: what a lane did since grad_timer() counts for a part: a task by its number, or
 * what belongs to none. Nothing happens when nobody measures. */
enum grad_beside { GRAD_PACKING, GRAD_FINISHING, GRAD_ADDING, GRAD_BESIDES };

int64_t grad_timer(const struct grad *grad);
void grad_took(struct grad *grad, unsigned lane, size_t task, int64_t since);
void grad_took_beside(struct grad *grad, unsigned lane, enum grad_beside what, int64_t since);

/* Allocates and counts; NULL when out of memory. */
void *grad_take(struct grad *grad, size_t count, size_t size);
void *grad_take_aligned(struct grad *grad, size_t count, size_t size);

#endif
