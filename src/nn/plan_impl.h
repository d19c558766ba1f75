/* The inside of a plan, shared by plan.c (made once), plan_fuse.c (which operations),
 * plan_choose.c (how they are computed), plan_weights.c (what they multiply with) and exec.c (runs
 * it). */
#ifndef NN_PLAN_IMPL_H
#define NN_PLAN_IMPL_H

#include "nn/choice.h"
#include "nn/graph.h"
#include "nn/plan.h"

enum plan_kind {
    PLAN_CONV, /* also linear layers, as convolutions of a 1x1 map: those give every image the same
                  bits whatever its batch, which a product over the batch would not */
    PLAN_CONV_TRANSPOSED,
    PLAN_NORM, /* one that no convolution can take in */
    PLAN_MEAN,
    PLAN_RELU,
    PLAN_MAX_POOL,
    PLAN_SHORTCUT,
    PLAN_UPSAMPLE,
    PLAN_GATE,
};

/* One fused operation. */
struct plan_op {
    enum plan_kind kind;
    int source;       /* op of the net; what a geometry other than conv is taken from */
    int before, norm; /* norms of the net folded into a convolution's in- and output; -1: none */
    int in, out, residual; /* values of the net; residual -1: none */
    bool relu;
    struct conv_geometry conv; /* PLAN_CONV, PLAN_CONV_TRANSPOSED */
    struct choice choice;      /* PLAN_CONV */
    /* Floats in the plan's weights: packed as each algorithm wants them, where it is chosen; what
     * is no PLAN_CONV has only those of CONV_DIRECT. PLAN_NORM: scale and shift. */
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

/* Floats rounded up to whole cache lines. */
size_t plan_round_up(size_t floats);

/* plan_fuse.c: appends the fused operations of a section's trunk (exit -1) or of a head. */
void plan_fuse(struct plan *plan, struct plan_piece *piece, int section, int exit);

/* plan_choose.c: chooses how the operations of a piece are computed, whose block is known, and
 * counts weight_floats and scratch_bytes. */
void plan_choose(struct plan *plan, const struct plan_piece *piece);

/* Whether the operation needs its weights as this algorithm packs them. */
bool plan_packs(const struct plan *plan, const struct plan_op *op, enum conv_algorithm a);

/* plan_weights.c: allocates and fills the weights. -ENOMEM. */
int plan_make_weights(struct plan *plan, const float *params);

#endif
