/* The operators, and how blocks and heads append one to the net that is being built: each function
 * checks that the operation fits the map it gets, appends it with its value, and its parameters
 * under torchvision's names. `in` and results are values; `name` is the parameters' name up to the
 * last dot. */
#ifndef NN_OPS_H
#define NN_OPS_H

#include "builder.h"
#include "op.h"

/* A line an operator: its row is op_NAME, in op_NAME.c. */
#define OPS(ROW)                                                                                   \
    ROW(conv)            /* out = in * weight + bias + residual; the last two are optional */      \
    ROW(conv_transposed) /* out = bias + what a convolution's way back makes of in */              \
    ROW(norm)            /* out = relu(norm(in) + residual); residual and relu are optional */     \
    ROW(linear)          /* out = in * weight^T + bias; in and out are vectors */                  \
    ROW(mean)            /* out [1][1][c] = mean over the pixels */                                \
    ROW(relu)            /* out = max(in, 0) */                                                    \
    ROW(max_pool)        /* out = the largest of each window of in */                              \
    ROW(shortcut)        /* out = means over cells of in, with channels of zeros behind */         \
    ROW(upsample)        /* out = in, twice as large */                                            \
    ROW(gate)            /* out = sigmoid(in) * residual */

#define OP_DECLARE(name) extern const struct op_kind op_##name;
OPS(OP_DECLARE)

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

int build_conv(struct builder *b, int in, const char *name, int out_channels,
               struct conv_options o);

/* The result is as large as the input of the convolution that it undoes. */
int build_conv_transposed(struct builder *b, int in, const char *name, int out_channels,
                          struct conv_options o);
int build_norm(struct builder *b, int in, const char *name, bool relu, int residual);

/* A linear layer of a vector; of a whole map, as a convolution: the parameter has two dims. */
int build_linear(struct builder *b, int in, const char *name, int out_channels);
int build_whole_map(struct builder *b, int in, const char *name, int out_channels);

int build_mean(struct builder *b, int in);
int build_relu(struct builder *b, int in);
int build_max_pool(struct builder *b, int in, const char *name, int kernel, int stride, int pad);

/* Means over cells of side x side pixels, with channels of zeros behind; without more channels. */
int build_shortcut(struct builder *b, int in, int out_channels, int side);
int build_cell_means(struct builder *b, int in, int side);
int build_upsample(struct builder *b, int in);
int build_gate(struct builder *b, int in, int value);

#endif
