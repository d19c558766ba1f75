/* The operations of a net that is being built: each function checks that its operation fits the map
 * it gets, appends it with its value, and its parameters under torchvision's names. */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "builder.h"

void build_fail_memory(struct builder *b)
{
    if (b->rc == 0) b->rc = err_set(b->e, -ENOMEM, "net: out of memory");
}

/* Makes room for one more object in an array that grows by half. */
static void *reserve(struct builder *b, void *array, int count, int *room, size_t size)
{
    if (b->rc < 0 || count < *room) return array;
    int larger = *room + *room / 2 + 16;
    void *grown = mem_grow(array, (size_t)larger, size);
    if (grown == NULL) {
        build_fail_memory(b);
        return array;
    }
    *room = larger;
    return grown;
}

static int add_value(struct builder *b, struct shape shape)
{
    struct net *net = b->net;
    net->values = reserve(b, net->values, net->n_values, &net->values_room, sizeof(*net->values));
    if (b->rc < 0) return 0;
    net->values[net->n_values] = (struct value){.shape = shape, .producer = net->n_ops};
    return net->n_values++;
}

int build_input(struct builder *b, struct shape shape)
{
    int value = add_value(b, shape);
    if (b->rc == 0) b->net->values[value].producer = -1;
    return value;
}

static struct op new_op(enum op_kind kind, int in)
{
    return (struct op){.kind = kind,
                       .in = in,
                       .residual = -1,
                       .weight = -1,
                       .bias = -1,
                       .mean = -1,
                       .variance = -1};
}

static int add_op(struct builder *b, struct op op, struct shape shape)
{
    struct net *net = b->net;
    op.out = add_value(b, shape);
    net->ops = reserve(b, net->ops, net->n_ops, &net->ops_room, sizeof(*net->ops));
    if (b->rc < 0) return 0;
    op.section = b->section;
    op.exit = b->exit;
    net->ops[net->n_ops++] = op;
    return op.out;
}

static int add_param(struct builder *b, const char *name, const char *member, int role, int rank,
                     const int64_t *dims, size_t fan_in)
{
    struct net *net = b->net;
    net->params = reserve(b, net->params, net->n_params, &net->params_room, sizeof(*net->params));
    if (b->rc < 0) return 0;

    struct param *p = &net->params[net->n_params];
    *p = (struct param){.rank = rank, .exit = b->exit, .fan_in = fan_in, .size = 1};
    p->role = role;
    p->trained = role != PARAM_NORM_MEAN && role != PARAM_NORM_VARIANCE;
    snprintf(p->name, sizeof(p->name), "%s.%s", name, member);
    for (int i = 0; i < rank; i++) {
        p->dims[i] = dims[i];
        if (mem_size(p->size, (size_t)dims[i], 0, &p->size) < 0) build_fail_memory(b);
    }
    return net->n_params++;
}

struct shape shape_of(const struct builder *b, int value)
{
    return b->rc < 0 ? (struct shape){1, 1, 1} : b->net->values[value].shape;
}

const char *join(char *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(text, NAME_MAX_LENGTH, format, args);
    va_end(args);
    return text;
}

/* A window must find room in the map and its pad. */
static void check_window(struct builder *b, struct shape x, int height, int width, int pad,
                         const char *name)
{
    if (b->rc < 0 || (x.height + 2 * pad >= height && x.width + 2 * pad >= width)) return;
    b->rc = err_set(b->e, ERR_RANGE,
                    "net: the %dx%d map is too small for the %dx%d kernel of %s: enlarge "
                    "input.height and input.width or lower the strides",
                    x.height, x.width, height, width, name);
}

/* --- with weights ----------------------------------------------------------------------------- */

int build_conv(struct builder *b, int in, const char *name, int out_channels, struct conv_options o)
{
    struct shape x = shape_of(b, in);
    struct op op = new_op(OP_CONV, in);
    op.conv = (struct conv_geometry){.height = x.height,
                                     .width = x.width,
                                     .in_channels = x.channels,
                                     .out_channels = out_channels,
                                     .kernel_height = o.kernel_height,
                                     .kernel_width = o.kernel_width,
                                     .stride = o.stride,
                                     .pad = o.pad,
                                     .groups = o.groups > 1 ? o.groups : 1};
    check_window(b, x, o.kernel_height, o.kernel_width, o.pad, name);
    if (b->rc < 0) return 0;

    int inputs = x.channels / op.conv.groups;
    size_t fan_in = (size_t)inputs * (size_t)o.kernel_height * (size_t)o.kernel_width;
    int64_t dims[4] = {out_channels, inputs, o.kernel_height, o.kernel_width};
    op.residual = o.residual > 0 ? o.residual : -1;
    op.weight = add_param(b, name, "weight", PARAM_CONV_WEIGHT, 4, dims, fan_in);
    if (o.bias) op.bias = add_param(b, name, "bias", PARAM_CONV_BIAS, 1, dims, fan_in);
    return add_op(
        b, op, (struct shape){conv_out_height(&op.conv), conv_out_width(&op.conv), out_channels});
}

/* The result is as large as the convolution's input with which it is the other way round; fan_in is
 * what PyTorch takes for it: that of the outputs. */
int build_conv_transposed(struct builder *b, int in, const char *name, int out_channels,
                          struct conv_options o)
{
    struct shape x = shape_of(b, in);
    struct op op = new_op(OP_CONV_TRANSPOSED, in);
    op.conv =
        (struct conv_geometry){.height = (x.height - 1) * o.stride + o.kernel_height - 2 * o.pad,
                               .width = (x.width - 1) * o.stride + o.kernel_width - 2 * o.pad,
                               .in_channels = out_channels,
                               .out_channels = x.channels,
                               .kernel_height = o.kernel_height,
                               .kernel_width = o.kernel_width,
                               .stride = o.stride,
                               .pad = o.pad,
                               .groups = 1};
    if (b->rc < 0) return 0;

    size_t fan_in = (size_t)out_channels * (size_t)o.kernel_height * (size_t)o.kernel_width;
    int64_t dims[4] = {x.channels, out_channels, o.kernel_height, o.kernel_width};
    op.weight = add_param(b, name, "weight", PARAM_CONV_TRANSPOSED_WEIGHT, 4, dims, fan_in);
    if (o.bias) op.bias = add_param(b, name, "bias", PARAM_CONV_BIAS, 1, dims + 1, fan_in);
    return add_op(b, op, (struct shape){op.conv.height, op.conv.width, out_channels});
}

int build_whole_map(struct builder *b, int in, const char *name, int out_channels)
{
    struct shape x = shape_of(b, in);
    struct op op = new_op(OP_CONV, in);
    op.conv = (struct conv_geometry){.height = x.height,
                                     .width = x.width,
                                     .in_channels = x.channels,
                                     .out_channels = out_channels,
                                     .kernel_height = x.height,
                                     .kernel_width = x.width,
                                     .stride = 1,
                                     .pad = 0,
                                     .groups = 1};
    size_t fan_in = shape_size(x);
    int64_t dims[2] = {out_channels, (int64_t)fan_in}; /* in the order channel, row, column */
    op.weight = add_param(b, name, "weight", PARAM_LINEAR_WEIGHT, 2, dims, fan_in);
    op.bias = add_param(b, name, "bias", PARAM_LINEAR_BIAS, 1, dims, fan_in);
    return add_op(b, op, (struct shape){1, 1, out_channels});
}

int build_norm(struct builder *b, int in, const char *name, bool relu, int residual)
{
    struct shape x = shape_of(b, in);
    int64_t dims[1] = {x.channels};
    struct op op = new_op(OP_NORM, in);
    op.residual = residual;
    op.relu = relu;
    op.weight = add_param(b, name, "weight", PARAM_NORM_SCALE, 1, dims, 0);
    op.bias = add_param(b, name, "bias", PARAM_NORM_SHIFT, 1, dims, 0);
    op.mean = add_param(b, name, "running_mean", PARAM_NORM_MEAN, 1, dims, 0);
    op.variance = add_param(b, name, "running_var", PARAM_NORM_VARIANCE, 1, dims, 0);
    return add_op(b, op, x);
}

int build_linear(struct builder *b, int in, const char *name, int out_channels)
{
    int inputs = shape_of(b, in).channels;
    int64_t dims[2] = {out_channels, inputs};
    struct op op = new_op(OP_LINEAR, in);
    op.weight = add_param(b, name, "weight", PARAM_LINEAR_WEIGHT, 2, dims, (size_t)inputs);
    op.bias = add_param(b, name, "bias", PARAM_LINEAR_BIAS, 1, dims, (size_t)inputs);
    return add_op(b, op, (struct shape){1, 1, out_channels});
}

/* --- without ---------------------------------------------------------------------------------- */

int build_mean(struct builder *b, int in)
{
    return add_op(b, new_op(OP_MEAN, in), (struct shape){1, 1, shape_of(b, in).channels});
}

int build_relu(struct builder *b, int in)
{
    return add_op(b, new_op(OP_RELU, in), shape_of(b, in));
}

int build_max_pool(struct builder *b, int in, const char *name, int kernel, int stride, int pad)
{
    struct shape x = shape_of(b, in);
    struct op op = new_op(OP_MAX_POOL, in);
    op.pool = (struct pool_geometry){x.height, x.width, x.channels, kernel, stride, pad};
    check_window(b, x, kernel, kernel, pad, name);
    if (b->rc < 0) return 0;
    return add_op(b, op,
                  (struct shape){pool_out_size(x.height, &op.pool),
                                 pool_out_size(x.width, &op.pool), x.channels});
}

int build_shortcut(struct builder *b, int in, int out_channels, int step)
{
    struct shape x = shape_of(b, in);
    struct op op = new_op(OP_SHORTCUT, in);
    op.shortcut = (struct shortcut_geometry){x.height, x.width, x.channels, out_channels, step};
    return add_op(b, op,
                  (struct shape){shortcut_out_size(x.height, &op.shortcut),
                                 shortcut_out_size(x.width, &op.shortcut), out_channels});
}

int build_upsample(struct builder *b, int in)
{
    struct shape x = shape_of(b, in);
    return add_op(b, new_op(OP_UPSAMPLE, in),
                  (struct shape){2 * x.height, 2 * x.width, x.channels});
}

int build_gate(struct builder *b, int in, int value)
{
    struct op op = new_op(OP_GATE, in);
    op.residual = value;
    return add_op(b, op, shape_of(b, value));
}
