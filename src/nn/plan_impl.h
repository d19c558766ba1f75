/* The inside of a plan, shared by plan.c (made once) and exec.c (runs it). */
#ifndef NN_PLAN_IMPL_H
#define NN_PLAN_IMPL_H

#include "graph.h"
#include "nn/plan.h"

/* One fused operation. Linear layers are convolutions of a 1x1 map: those give every image the same
 * bits whatever its batch, which a product over the batch would not. */
struct plan_op {
    enum { PLAN_CONV, PLAN_MEAN } kind;
    int source, norm;      /* ops of the net; norm -1: none to fold */
    int in, out, residual; /* values of the net; residual -1: none */
    bool relu;
    struct conv_geometry conv; /* PLAN_CONV */
    size_t packed_at, bias_at; /* floats in the plan's weights */
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
    struct plan_op *ops;
    int n_ops;
    struct plan_piece sections[SPEC_SECTIONS_MAX], heads[SPEC_SECTIONS_MAX];
    size_t *offsets; /* [n_values] floats of the work area before an image's value */
    float *weights;  /* packed weights and biases */
    size_t weight_floats, scratch_bytes;
    size_t input_floats, border_floats; /* an image of the largest section input; output */
};

#endif
