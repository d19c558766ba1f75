/* The inside of a plan, shared by plan.c (made once), plan_fuse.c (which operations become one),
 * plan_weights.c (what they multiply with), exec.c (runs it) and the operators (op_NAME.c), which
 * choose how they are computed. */
#ifndef NN_PLAN_IMPL_H
#define NN_PLAN_IMPL_H

#include "nn/choice.h"
#include "nn/graph.h"
#include "nn/plan.h"

/* One fused operation: one of the net with those that were folded into it. */
struct plan_op {
    const struct op *op;
    const struct op *before, *behind; /* of the net, folded into in- and output; NULL: none */
    int in, out, residual;            /* values of the net; residual -1: none */
    bool relu;
    struct choice choice; /* of an operator that chooses */
    /* Floats in the plan's weights: packed as each algorithm wants them, where it is chosen; what
     * has no choice has only those of CONV_DIRECT, as it likes. */
    size_t packed_at[CONV_ALGORITHMS], bias_at;
};

/* A piece that runs in one go: a section's trunk, or a head. Images are independent, so a piece
 * takes them block by block, all operations on one block while it is in cache; its inner values
 * need room for one block only. */
struct plan_piece {
    int first, n; /* ops */
    int in, out;  /* values, in buffers of their own */
    int block;    /* images at a time */
    size_t work;  /* floats of the work area that an image takes */
};

struct plan {
    const struct net *net;
    const struct kernels *kernels;
    struct plan_options options;
    struct plan_op *ops;
    int n_ops;
    struct plan_piece sections[SPEC_SECTIONS_MAX], heads[SPEC_SECTIONS_MAX];
    size_t *offsets; /* [n_values] floats of the work area before an image's value */
    float *weights;  /* packed weights and biases */
    size_t weight_floats, scratch_bytes;
    size_t input_floats, border_floats; /* an image of the largest section input; output */
};

/* What an operation works on when it runs: some images, or a part of the work on them. */
struct op_args {
    const struct plan *plan;
    const struct plan_op *p;
    int n;                     /* images */
    const float *x, *residual; /* residual NULL: none */
    float *y;
    void *scratch;
    struct conv_part part;
};

/* While a plan is made: room in its weights, whose place is returned, and in its scratch. */
size_t plan_take_floats(struct plan *plan, size_t floats);
void plan_take_scratch(struct plan *plan, size_t bytes);

/* plan_fuse.c: appends the fused operations of a section's trunk (exit -1) or of a head. */
void plan_fuse(struct plan *plan, struct plan_piece *piece, int section, int exit);

/* Room for one operation's numbers while its weights are made, for as many channels as a value
 * has. */
struct plan_work {
    double *scale, *shift; /* per output */
    double *scale_before, *shift_before;
    float *factor; /* scale, as packing takes it */
    float *copy;
    size_t copy_floats;
};

/* A copy's room, the same for every operation. NULL: out of memory. */
float *plan_work_copy(struct plan_work *work, size_t floats);

/* plan_weights.c: allocates and fills the weights. -ENOMEM. */
int plan_make_weights(struct plan *plan, const float *params);

/* A parameter in the net's block, NULL for -1. */
static inline const float *plan_param(const struct plan *plan, const float *params, int param)
{
    return param < 0 ? NULL : params + plan->net->params[param].offset;
}

#endif
