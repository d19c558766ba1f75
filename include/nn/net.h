/* A net: the graph that a spec describes, as sections with exits. Section s (0-based) is a piece of
 * the trunk; exit s is the classifier at its end, named s+1 to users; the deepest one is the
 * network's own classifier. Operations stand in the order of execution. Immutable after net_new().
 */
#ifndef NN_NET_H
#define NN_NET_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "kernel/kernel.h"
#include "nn/spec.h"

struct shape {
    int height, width, channels;
};

static inline size_t shape_size(struct shape s)
{
    return (size_t)s.height * (size_t)s.width * (size_t)s.channels;
}

enum param_role {
    PARAM_CONV_WEIGHT,
    PARAM_CONV_BIAS,
    PARAM_NORM_SCALE,
    PARAM_NORM_SHIFT,
    PARAM_NORM_MEAN,
    PARAM_NORM_VARIANCE,
    PARAM_LINEAR_WEIGHT,
    PARAM_LINEAR_BIAS
};

/* First values: normal with variance 2 / (O*kh*kw) (Kaiming, fan-out), U(+-1/sqrt(fan_in)). */
enum param_init { PARAM_INIT_NORMAL, PARAM_INIT_UNIFORM, PARAM_INIT_ONE, PARAM_INIT_ZERO };

/* A tensor of the model file. Those that are trained come first in the parameter block, the running
 * statistics after them. Names and layouts are torchvision's; heads are "exits.N.*", N from 1. */
struct param {
    char name[96];
    int n_dims;
    int64_t dims[4];     /* OIHW (I: of a group), of a transposed convolution IOHW; OI or C */
    size_t offset, size; /* floats in the parameter block */
    int exit; /* the head it belongs to, -1: the trunk. The deepest classifier's is n_exits-1 */
    bool trained;
    enum param_role role;
    int out_dim; /* which of dims counts the output channels of a weight: 0, transposed 1 */
    enum param_init init;
    size_t fan_in; /* of the weight that a bias goes with, too */
};

#define NET_NORM_EPSILON 1e-5f /* both directions, folding included */
#define NET_NORM_MOMENTUM 0.1f /* running = (1-m) running + m batch */

struct net;

struct net *net_new(const struct spec *spec, struct err *e); /* copies the spec */
void net_free(struct net *net);
const struct spec *net_spec(const struct net *net);

int net_sections(const struct net *net); /* = number of exits */
struct shape net_input(const struct net *net);
struct shape net_section_input(const struct net *net, int section);
struct shape net_section_output(const struct net *net, int section);
int net_feature_size(const struct net *net); /* D: channels of the means that exits classify by */
int net_classes(const struct net *net);

const struct param *net_params(const struct net *net, size_t *ret_count);
/* Floats: of those that are trained, which come first in the block, and of the whole block. */
size_t net_trained_size(const struct net *net);
size_t net_block_size(const struct net *net);

/* Parameters and multiply-accumulates of convolutions and linear layers only (facts: no norm, no
 * bias, no pooling), for one image; without running statistics. */
struct net_cost {
    int64_t params, macs;
};
struct net_cost net_section_cost(const struct net *net, int section); /* trunk only */
struct net_cost net_exit_cost(const struct net *net, int exit);       /* that head alone */
struct net_cost net_deepest_cost(const struct net *net);  /* trunk and deepest classifier */
struct net_cost net_ensemble_cost(const struct net *net); /* everything */

/* First values: convolutions Kaiming-normal fan-out (std = sqrt(2 / (O*kh*kw))), transposed ones,
 * linear layers and all biases U(+-1/sqrt(fan_in)), norms 1 and 0, running statistics 0 and 1.
 * Parameter p draws from the stream (seed, RNG_INIT, p). */
void net_init_params(const struct net *net, uint64_t seed, float *block);

#endif
