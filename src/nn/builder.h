/* What the files that build a net share: net_build.c (the whole), net_blocks.c, net_heads.c and
 * net_ops.c (the operations). Errors stick in the builder, so that blocks and heads read like the
 * figures of the papers; every function does nothing after the first error, and what it returns
 * then is some value that exists.
 *
 * `in` and results are values; `name` is the parameters' name up to the last dot. */
#ifndef NN_BUILDER_H
#define NN_BUILDER_H

#include "nn/graph.h"

struct builder {
    struct net *net;
    struct err *e;
    int rc;
    int section, exit; /* where new operations belong */
    int features;      /* torchvision's number of the next layer of a VGG trunk */
    struct shape
        last; /* of the trunk's end, which the shallow heads must know before it is built */
};

enum { NAME_MAX_LENGTH = sizeof(((struct param *)NULL)->name) };

struct conv_options {
    int kernel_height, kernel_width, stride, pad, groups; /* groups 0: 1 */
    bool bias;
    int residual; /* a value to add; 0: none, for nobody adds the image */
};

static inline struct conv_options square(int kernel, int stride, int pad)
{
    return (struct conv_options){
        .kernel_height = kernel, .kernel_width = kernel, .stride = stride, .pad = pad};
}

/* net_ops.c */
struct shape shape_of(const struct builder *b, int value);
const char *join(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void build_fail_memory(struct builder *b);
int build_input(struct builder *b, struct shape shape);
int build_conv(struct builder *b, int in, const char *name, int out_channels,
               struct conv_options o);
int build_conv_transposed(struct builder *b, int in, const char *name, int out_channels,
                          struct conv_options o);
int build_norm(struct builder *b, int in, const char *name, bool relu, int residual);
int build_linear(struct builder *b, int in, const char *name, int out_channels);
int build_mean(struct builder *b, int in);
int build_relu(struct builder *b, int in);
int build_max_pool(struct builder *b, int in, const char *name, int kernel, int stride, int pad);
int build_shortcut(struct builder *b, int in, int out_channels, int step);
int build_upsample(struct builder *b, int in);
int build_gate(struct builder *b, int in, int value);

/* A convolution over the whole map, which is a linear layer of it: the parameter has two dims. */
int build_whole_map(struct builder *b, int in, const char *name, int out_channels);

/* net_blocks.c: block i of a stage; `before`: the channels of the stage or stem before it. */
int build_block(struct builder *b, int in, const struct spec_stage *stage, int i, int before,
                const char *name);

/* net_heads.c: the head of exit b->exit on its section's output, which a BN-ReLU must precede where
 * preactivated. Sets the exit's features and logits. */
void build_head(struct builder *b, int in, bool preactivated);
void build_deepest(struct builder *b, int in);

#endif
