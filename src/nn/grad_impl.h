/* The inside of a grad, shared by grad.c (object and passes), grad_schedule.c (which step in which
 * stage, where buffers lie), grad_steps.c (what the steps with parameters compute) and grad_maps.c
 * (those without). */
#ifndef NN_GRAD_IMPL_H
#define NN_GRAD_IMPL_H

#include "nn/graph.h"
#include "nn/grad.h"

/* A step is one operation's work on some images; steps of a stage need nothing of other images, so
 * a rank runs all of them on a block of its images while the block is in its cache. What needs the
 * whole batch (a norm's statistics, a bias' gradient) is summed by rank during a stage and finished
 * by the calling thread between two stages. */
enum step_kind {
    STEP_CONV,    /* also transposed ones */
    STEP_MOMENTS, /* of a norm's input; finish: the norm's scale and shift */
    STEP_NORM,
    STEP_MAP, /* every operation without parameters */
    STEP_LINEAR,
    STEP_LINEAR_BACK, /* finish: the bias' gradient */
    STEP_MAP_BACK,
    STEP_NORM_SUMS, /* finish: the norm's gradients and the coefficients of dx */
    STEP_NORM_BACK,
    STEP_CONV_BACK, /* finish: the bias' gradient */
};

struct step {
    enum step_kind kind;
    int op;
    int stage, order;         /* within the stage */
    bool accumulate;          /* into the gradient of op's in */
    bool accumulate_residual; /* into that of op's residual */
};

struct stage {
    int first, n; /* steps */
    int block;    /* images at a time */
};

/* What an operation keeps beside its values. Sums of rank r begin at sums + r * sums_stride. */
struct op_state {
    float *packed, *packed_back; /* of a convolution */
    unsigned packer;             /* the rank that packs it */
    float *scale, *shift;        /* OP_NORM: y = act(x * scale + shift ...) */
    float *a, *b, *k;            /* OP_NORM: dx = dz * a + x * b + k */
    double *mean, *inverse;      /* OP_NORM: the batch's, inverse = 1 / sqrt(variance + epsilon) */
    double *sums;                /* of rank 0, where there is a norm or a bias: [2][channels] */
};

struct grad {
    const struct net *net;
    const struct kernels *kernels;
    struct pool *pool;
    unsigned n_ranks, exits;
    unsigned borders; /* sections whose ends the caller sees */
    int batch_max, batch;
    size_t bytes;

    struct step *steps; /* by stage, then order */
    int n_steps;
    struct stage *stages; /* the forward ones first */
    int n_stages, n_forward;

    float *activations; /* one block: values and their gradients, placed by lifetime */
    float **values;     /* [n_values]; NULL: not computed */
    float **grads;      /* [n_values]; NULL: nobody asks */
    struct op_state *states;
    float *state_floats;
    double *state_doubles, *sums;
    size_t sums_stride;
    float *packs;
    char *scratch; /* of rank 0 */
    size_t scratch_stride;
    float *rank_dparams; /* of ranks 1.., [trained_size] each */

    const float *params; /* during a pass */
    float *moving;       /* the same block, writable, during forward */
    float *dparams;
    int running; /* stage */
};

/* Images [first, first + n), worked on by rank. */
struct part {
    unsigned rank;
    int first, n;
};

/* Where an image's value and its gradient stand. */
static inline float *grad_value_at(const struct grad *grad, int value, int image)
{
    return grad->values[value] + (size_t)image * shape_size(grad->net->values[value].shape);
}

static inline float *grad_grad_at(const struct grad *grad, int value, int image)
{
    return grad->grads[value] + (size_t)image * shape_size(grad->net->values[value].shape);
}

/* Floats of some images of a value. */
static inline size_t grad_count_of(const struct grad *grad, int value, int images)
{
    return (size_t)images * shape_size(grad->net->values[value].shape);
}

/* grad_schedule.c: fills steps, stages, values, grads, activations. */
int grad_schedule(struct grad *grad, struct err *e);

/* grad_steps.c */
void grad_run_step(struct grad *grad, const struct step *step, struct part part);
void grad_clear_sums(struct grad *grad, const struct step *step, unsigned rank);
void grad_finish_step(struct grad *grad, const struct step *step);

/* grad_maps.c */
void grad_map_forward(struct grad *grad, const struct step *step, struct part part);
void grad_map_backward(struct grad *grad, const struct step *step, struct part part);

/* Allocates and counts; NULL when out of memory. */
void *grad_take(struct grad *grad, size_t count, size_t size);
void *grad_take_aligned(struct grad *grad, size_t count, size_t size);

#endif
