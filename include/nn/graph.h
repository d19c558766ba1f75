/* The graph inside a net: values (tensors of one image) and the operations that make them, in the
 * order of execution. plan.c turns it into fused inference, grad.c into training passes; both walk
 * the rows of operators (struct op_kind, src/nn/op.h), never kinds of blocks or networks. A new
 * block is a builder in net_blocks.c, a new operator a file op_NAME.c and a line in ops.h. */
#ifndef NN_GRAPH_H
#define NN_GRAPH_H

#include <stdbool.h>

#include "nn/net.h"

struct op_kind;

struct op {
    const struct op_kind *kind;
    int section;        /* the piece of trunk it belongs to or hangs on */
    int exit;           /* the head it belongs to, -1: the trunk */
    int in, out;        /* values */
    int residual;       /* the second value that it reads, or -1 */
    bool relu;          /* negative results become 0 */
    int weight, bias;   /* params; -1: none. Of a norm: scale and shift */
    int mean, variance; /* params of a norm; -1 */
    union {             /* as its kind wants it */
        struct conv_geometry conv;
        struct pool_geometry pool;
        struct cell_geometry cells;
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

/* How plans and other layers name the operator: "conv", "max pool". */
const char *op_kind_name(const struct op *op);

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

#endif
