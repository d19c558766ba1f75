/* The graph inside a net: values (tensors of one image) and the operations that make them, in the
 * order of execution. plan.c turns it into fused inference steps, grad.c into training stages; both
 * know kinds of operations, never kinds of blocks or networks. A new block is a builder in
 * net_blocks.c; a new operation is a kind here, a constructor in net_ops.c and its steps in those
 * two. */
#ifndef NN_GRAPH_H
#define NN_GRAPH_H

#include <stdbool.h>

#include "nn/net.h"

enum op_kind {
    OP_CONV,            /* out = in * weight + bias + residual; the last two are optional */
    OP_CONV_TRANSPOSED, /* out = bias + what conv_backward_data() makes of in: conv is the
                           convolution from out's shape to in's */
    OP_NORM,            /* out = relu(norm(in) + residual); residual and relu are optional */
    OP_LINEAR,          /* out = in * weight^T + bias; in and out are vectors */
    OP_MEAN,            /* out [1][1][c] = mean over the pixels */
    OP_RELU,            /* out = max(in, 0) */
    OP_MAX_POOL,        /* out = the largest of each window of in */
    OP_SHORTCUT,        /* out = means over cells of in, with channels of zeros behind */
    OP_UPSAMPLE,        /* out = in, twice as large */
    OP_GATE,            /* out = sigmoid(in) * residual */
};

struct op {
    enum op_kind kind;
    int section;        /* the piece of trunk it belongs to or hangs on */
    int exit;           /* the head it belongs to, -1: the trunk */
    int in, out;        /* values */
    int residual;       /* the second value that it reads, or -1 */
    bool relu;          /* OP_NORM */
    int weight, bias;   /* params; -1: none. OP_NORM: scale and shift */
    int mean, variance; /* OP_NORM: params; -1 */
    union {
        struct conv_geometry conv; /* OP_CONV, OP_CONV_TRANSPOSED */
        struct pool_geometry pool;
        struct shortcut_geometry shortcut;
    };
};

struct value {
    struct shape shape;
    int producer; /* op; -1: the net's input */
};

struct net {
    struct spec spec;
    struct op *ops;
    int n_ops, ops_room;
    struct value *values; /* value 0 is the input */
    int n_values, values_room;
    struct param *params; /* trained ones first */
    int n_params, params_room;
    size_t trained_size, block_size;
    int section_out[SPEC_SECTIONS_MAX]; /* values */
    /* Per exit: a mean over the map, all of one size; what its linear layer reads unless that has
     * hidden ones before it. */
    int features[SPEC_SECTIONS_MAX];
    int logits[SPEC_SECTIONS_MAX]; /* per exit: a value */
};

/* Fills the empty net (only spec is set) from its spec: net_build.c. */
int net_build(struct net *net, struct err *e);

/* The value that a section starts from. */
static inline int net_section_in(const struct net *net, int section)
{
    return section == 0 ? 0 : net->section_out[section - 1];
}

/* Whether op is needed to compute the exits of a mask (bit i: exit i). */
static inline bool op_is_needed(const struct op *op, unsigned exits)
{
    return op->exit >= 0 ? (exits >> op->exit & 1) != 0 : exits >> op->section != 0;
}

static inline bool op_is_conv(const struct op *op)
{
    return op->kind == OP_CONV || op->kind == OP_CONV_TRANSPOSED;
}

#endif
