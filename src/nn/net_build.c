/* Builds the graph of a net from its spec: stem, blocks, heads. The order of the parameters is that
 * of the operations, trained ones first; names are torchvision's. Errors stick in the builder, so
 * that the builders below read like the figures of the papers; every helper does nothing after the
 * first error. */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "graph.h"

struct builder {
    struct net *net;
    struct err *e;
    int rc;
    int section, exit; /* where new operations belong */
};

enum { NAME_MAX_LENGTH = sizeof(((struct param *)NULL)->name) };

static void fail_memory(struct builder *b)
{
    if (b->rc == 0) b->rc = err_set(b->e, -ENOMEM, "net: out of memory");
}

/* Makes room for one more object in an array that grows by half. */
static void *reserve(struct builder *b, void *array, int count, int *room, size_t size)
{
    if (b->rc < 0 || count < *room) return array;
    int larger = *room + *room / 2 + 16;
    void *grown = mem_grow(array, (size_t)larger, size);
    if (!grown) {
        fail_memory(b);
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

static int add_op(struct builder *b, struct op op)
{
    struct net *net = b->net;
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
        if (mem_size(p->size, (size_t)dims[i], 0, &p->size) < 0) fail_memory(b);
    }
    return net->n_params++;
}

static struct shape shape_of(const struct builder *b, int value)
{
    return b->rc < 0 ? (struct shape){1, 1, 1} : b->net->values[value].shape;
}

static const char *join(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static const char *join(char *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(text, NAME_MAX_LENGTH, format, args);
    va_end(args);
    return text;
}

/* --- operations ------------------------------------------------------------------------------- */

struct conv_options {
    int kernel_height, kernel_width, stride, pad;
    bool bias;
};

static int conv(struct builder *b, int in, const char *name, int out_channels,
                struct conv_options o)
{
    struct shape x = shape_of(b, in);
    struct conv_geometry g = {.height = x.height,
                              .width = x.width,
                              .in_channels = x.channels,
                              .out_channels = out_channels,
                              .kernel_height = o.kernel_height,
                              .kernel_width = o.kernel_width,
                              .stride = o.stride,
                              .pad = o.pad};
    if (b->rc == 0 &&
        (x.height + 2 * o.pad < o.kernel_height || x.width + 2 * o.pad < o.kernel_width))
        b->rc = err_set(
            b->e, ERR_RANGE,
            "net: the %dx%d map is too small for the %dx%d kernel of %s: enlarge input.height "
            "and input.width or lower the strides",
            x.height, x.width, o.kernel_height, o.kernel_width, name);
    if (b->rc < 0) return 0;

    size_t fan_in = (size_t)x.channels * (size_t)o.kernel_height * (size_t)o.kernel_width;
    int64_t dims[4] = {out_channels, x.channels, o.kernel_height, o.kernel_width};
    struct op op = {.kind = OP_CONV, .in = in, .residual = -1, .conv = g, .bias = -1};
    op.weight = add_param(b, name, "weight", PARAM_CONV_WEIGHT, 4, dims, fan_in);
    if (o.bias) op.bias = add_param(b, name, "bias", PARAM_CONV_BIAS, 1, dims, fan_in);
    op.out = add_value(b, (struct shape){conv_out_height(&g), conv_out_width(&g), out_channels});
    return add_op(b, op);
}

static int norm(struct builder *b, int in, const char *name, bool relu, int residual)
{
    struct shape x = shape_of(b, in);
    int64_t dims[1] = {x.channels};
    struct op op = {.kind = OP_NORM, .in = in, .residual = residual, .relu = relu};
    op.weight = add_param(b, name, "weight", PARAM_NORM_SCALE, 1, dims, 0);
    op.bias = add_param(b, name, "bias", PARAM_NORM_SHIFT, 1, dims, 0);
    op.mean = add_param(b, name, "running_mean", PARAM_NORM_MEAN, 1, dims, 0);
    op.variance = add_param(b, name, "running_var", PARAM_NORM_VARIANCE, 1, dims, 0);
    op.out = add_value(b, x);
    return add_op(b, op);
}

/* Mean over the map and the linear layer: the end of every classifier. */
static void classifier(struct builder *b, int in, const char *name)
{
    struct net *net = b->net;
    struct shape x = shape_of(b, in);
    struct op mean = {.kind = OP_MEAN, .in = in, .residual = -1, .weight = -1, .bias = -1};
    mean.out = add_value(b, (struct shape){1, 1, x.channels});
    net->features[b->exit] = add_op(b, mean);

    int64_t dims[2] = {net->spec.classes, x.channels};
    struct op linear = {.kind = OP_LINEAR, .in = mean.out, .residual = -1};
    linear.weight = add_param(b, name, "weight", PARAM_LINEAR_WEIGHT, 2, dims, (size_t)x.channels);
    linear.bias = add_param(b, name, "bias", PARAM_LINEAR_BIAS, 1, dims, (size_t)x.channels);
    linear.out = add_value(b, (struct shape){1, 1, net->spec.classes});
    net->logits[b->exit] = add_op(b, linear);
}

/* --- blocks ----------------------------------------------------------------------------------- */

static struct conv_options square(int kernel, int stride, int pad)
{
    return (struct conv_options){
        .kernel_height = kernel, .kernel_width = kernel, .stride = stride, .pad = pad};
}

/* He et al. 2016, figure 5 left, with a projection (option B) where the shape changes. */
static int basic_block(struct builder *b, int in, const char *name, int channels, int stride)
{
    char text[NAME_MAX_LENGTH];
    int y = conv(b, in, join(text, "%s.conv1", name), channels, square(3, stride, 1));
    y = norm(b, y, join(text, "%s.bn1", name), true, -1);
    y = conv(b, y, join(text, "%s.conv2", name), channels, square(3, 1, 1));

    int shortcut = in;
    if (stride != 1 || shape_of(b, in).channels != channels) {
        shortcut = conv(b, in, join(text, "%s.downsample.0", name), channels, square(1, stride, 0));
        shortcut = norm(b, shortcut, join(text, "%s.downsample.1", name), false, -1);
    }
    return norm(b, y, join(text, "%s.bn2", name), true, shortcut);
}

static int block(struct builder *b, int in, enum spec_block kind, const char *name, int channels,
                 int stride)
{
    switch (kind) {
    case SPEC_BLOCK_BASIC:
        return basic_block(b, in, name, channels, stride);
    }
    b->rc = err_set(b->e, ERR_UNSUPPORTED, "net: unknown kind of block");
    return 0;
}

/* --- heads ------------------------------------------------------------------------------------ */

/* SCAN's "ScalaNet" (Zhang et al., NeurIPS 2019) without its attention: a bottleneck whose middle
 * convolution cuts the map into patches, so that the result is as large as the trunk's last map and
 * has as many channels. */
static void scala_head(struct builder *b, int in, const char *name, struct shape last)
{
    char text[NAME_MAX_LENGTH];
    int mid = b->net->spec.heads.mid_channels;
    struct shape x = shape_of(b, in);
    struct conv_options point = square(1, 1, 0), patch = square(x.height / last.height, 0, 0);
    point.bias = patch.bias = true;
    patch.stride = patch.kernel_height;

    int y = conv(b, in, join(text, "%s.conv1", name), mid, point);
    y = norm(b, y, join(text, "%s.bn1", name), true, -1);
    y = conv(b, y, join(text, "%s.conv2", name), mid, patch);
    y = norm(b, y, join(text, "%s.bn2", name), true, -1);
    y = conv(b, y, join(text, "%s.conv3", name), last.channels, point);
    y = norm(b, y, join(text, "%s.bn3", name), true, -1);
    classifier(b, y, join(text, "%s.fc", name));
}

static void shallow_head(struct builder *b, int exit, struct shape last)
{
    char name[NAME_MAX_LENGTH];
    join(name, "exits.%d", exit + 1);
    switch (b->net->spec.heads.kind) {
    case SPEC_HEAD_SCALA:
        scala_head(b, b->net->section_out[exit], name, last);
        return;
    }
    b->rc = err_set(b->e, ERR_UNSUPPORTED, "net: unknown kind of head");
}

/* --- the whole -------------------------------------------------------------------------------- */

/* The shape of the trunk's end, which the shallow heads need before the trunk is built. Every block
 * pads so that a stride s turns n rows into ceil(n / s). */
static struct shape last_shape(const struct spec *spec)
{
    int height = (spec->height + 2 * spec->stem.pad - spec->stem.kernel) / spec->stem.stride + 1;
    int width = (spec->width + 2 * spec->stem.pad - spec->stem.kernel) / spec->stem.stride + 1;
    for (int i = 0; i < spec->n_stages; i++) {
        height = (height - 1) / spec->stages[i].stride + 1;
        width = (width - 1) / spec->stages[i].stride + 1;
    }
    return (struct shape){height, width, spec->stages[spec->n_stages - 1].channels};
}

static void build_section_end(struct builder *b, int value, struct shape last)
{
    struct net *net = b->net;
    net->section_out[b->section] = value;
    b->exit = b->section;
    if (b->section < net->spec.n_sections - 1) shallow_head(b, b->section, last);
    else classifier(b, value, "fc");
    b->exit = -1;
    b->section++;
}

static void build_ops(struct builder *b)
{
    const struct spec *spec = &b->net->spec;
    struct shape last = last_shape(spec);
    char name[NAME_MAX_LENGTH];

    int y = add_value(b, (struct shape){spec->height, spec->width, spec->channels});
    if (b->rc == 0) b->net->values[0].producer = -1;
    y = conv(b, y, "conv1", spec->stem.channels,
             square(spec->stem.kernel, spec->stem.stride, spec->stem.pad));
    y = norm(b, y, "bn1", true, -1);

    for (int s = 0, done = 0; s < spec->n_stages; s++) {
        const struct spec_stage *stage = &spec->stages[s];
        for (int i = 0; i < stage->blocks && b->rc == 0; i++) {
            join(name, "layer%d.%d", s + 1, i);
            y = block(b, y, stage->block, name, stage->channels, i == 0 ? stage->stride : 1);
            if (++done == spec->cuts[b->section]) build_section_end(b, y, last);
        }
    }
}

/* Moves the trained parameters before the others, keeps the order otherwise, and lays all of them
 * out in one block. */
static void place_params(struct builder *b)
{
    struct net *net = b->net;
    size_t n = (size_t)net->n_params;
    struct param *sorted = mem_new(n, sizeof(*sorted));
    int *place = mem_new(n, sizeof(*place)); /* old index -> new index */
    if (!sorted || !place) {
        fail_memory(b);
        goto out;
    }

    int next = 0;
    for (int trained = 1; trained >= 0; trained--) {
        for (int i = 0; i < net->n_params; i++) {
            if (net->params[i].trained != (trained == 1)) continue;
            struct param *p = &sorted[next];
            *p = net->params[i];
            place[i] = next++;
            p->offset = net->block_size;
            if (mem_size(net->block_size, 1, p->size, &net->block_size) < 0) fail_memory(b);
        }
        if (trained == 1) net->trained_size = net->block_size;
    }
    memcpy(net->params, sorted, n * sizeof(*sorted));

    for (int i = 0; i < net->n_ops; i++) {
        struct op *op = &net->ops[i];
        if (op->kind == OP_MEAN) continue;
        op->weight = place[op->weight];
        op->bias = op->bias < 0 ? -1 : place[op->bias];
        if (op->kind == OP_NORM) {
            op->mean = place[op->mean];
            op->variance = place[op->variance];
        }
    }
out:
    mem_free(sorted);
    mem_free(place);
}

int net_build(struct net *net, struct err *e)
{
    struct builder b = {.net = net, .e = e, .exit = -1};
    build_ops(&b);
    if (b.rc == 0) place_params(&b);
    return b.rc;
}
