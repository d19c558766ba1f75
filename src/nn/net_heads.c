/* The classifiers: the deepest one, and the heads of the shallow ones, whose features have as many
 * channels as the trunk's end, so that they can be compared with the deepest classifier's. */
#include "config.h"

#include "ops.h"

/* Mean over the map and the linear layer: the end of every shallow classifier. */
static void classify(struct builder *b, int in, const char *name)
{
    struct net *net = b->net;
    net->features[b->exit] = build_mean(b, in);
    net->logits[b->exit] = build_linear(b, net->features[b->exit], name, net->spec.classes);
}

/* --- scala ------------------------------------------------------------------------------------ */

/* SCAN's "ScalaNet" (Zhang et al., NeurIPS 2019): a bottleneck whose middle convolution cuts the
 * map into patches, so that the result is as large as the trunk's last map. */
static int scala(struct builder *b, int in, const char *name)
{
    char text[NAME_MAX_LENGTH];
    int mid = b->net->spec.heads.mid_channels, k = shape_of(b, in).height / b->last.height;
    struct conv_options point = square(1, 1, 0), patch = square(k > 1 ? k : 1, k > 1 ? k : 1, 0);
    point.bias = patch.bias = true;

    int y = build_conv(b, in, join(text, "%s.conv1", name), mid, point);
    y = build_norm(b, y, join(text, "%s.bn1", name), true, -1);
    y = build_conv(b, y, join(text, "%s.conv2", name), mid, patch);
    y = build_norm(b, y, join(text, "%s.bn2", name), true, -1);
    y = build_conv(b, y, join(text, "%s.conv3", name), b->last.channels, point);
    return build_norm(b, y, join(text, "%s.bn3", name), true, -1);
}

/* Both kinds of attention halve the map and double it again. */
static void check_even(struct builder *b, struct shape x, const char *name)
{
    if (b->rc < 0 || (x.height % 2 == 0 && x.width % 2 == 0)) return;
    b->rc = err_set(b->e, ERR_RANGE,
                    "net: %s needs a map with even sides, but the section ends with %dx%d: cut "
                    "elsewhere, change input.height and input.width, or take heads.kind \"scala\"",
                    name, x.height, x.width);
}

/* SCAN's attention: 3x3/2 - BN - ReLU - 4x4/2 transposed - BN - sigmoid, times its input. */
static int scala_attention(struct builder *b, int in, const char *name)
{
    char text[NAME_MAX_LENGTH];
    int channels = shape_of(b, in).channels;
    struct conv_options down = square(3, 2, 1), up = square(4, 2, 1);
    down.bias = up.bias = true;
    check_even(b, shape_of(b, in), join(text, "%s.attention", name));
    int y = build_conv(b, in, join(text, "%s.attention.conv1", name), channels, down);
    y = build_norm(b, y, join(text, "%s.attention.bn1", name), true, -1);
    y = build_conv_transposed(b, y, join(text, "%s.attention.conv2", name), channels, up);
    y = build_norm(b, y, join(text, "%s.attention.bn2", name), false, -1);
    return build_gate(b, y, in);
}

/* --- separable convolutions ------------------------------------------------------------------- */

/* The journal version's "SepConv" (Zhang et al., TPAMI 2021): twice depthwise and pointwise, the
 * first with the stride, the second with the new channels. */
static int separable(struct builder *b, int in, const char *name, int channels, int stride)
{
    char text[NAME_MAX_LENGTH];
    int inputs = shape_of(b, in).channels, y = in;
    for (int i = 1; i <= 2; i++) {
        struct conv_options depthwise = square(3, i == 1 ? stride : 1, 1);
        depthwise.groups = inputs;
        y = build_conv(b, y, join(text, "%s.depth%d", name, i), inputs, depthwise);
        y = build_conv(b, y, join(text, "%s.point%d", name, i), i == 1 ? inputs : channels,
                       square(1, 1, 0));
        y = build_norm(b, y, join(text, "%s.bn%d", name, i), true, -1);
    }
    return y;
}

/* One SepConv for each halving that separates the map from the trunk's last one, at least one; the
 * channels double with each up to those of the trunk's end, which the last one has. */
static int separable_chain(struct builder *b, int in, const char *name)
{
    char text[NAME_MAX_LENGTH];
    int height = shape_of(b, in).height, channels = shape_of(b, in).channels, y = in;
    int stride = height > b->last.height ? 2 : 1;
    for (int i = 1; i == 1 || height > b->last.height; i++) {
        height = (height - 1) / stride + 1;
        channels = 2 * channels < b->last.channels ? 2 * channels : b->last.channels;
        if (height <= b->last.height) channels = b->last.channels;
        y = separable(b, y, join(text, "%s.sepconv%d", name, i), channels, stride);
    }
    return y;
}

static int separable_attention(struct builder *b, int in, const char *name)
{
    char text[NAME_MAX_LENGTH];
    check_even(b, shape_of(b, in), join(text, "%s.attention", name));
    int y = separable(b, in, join(text, "%s.attention.sepconv", name), shape_of(b, in).channels, 2);
    y = build_norm(b, y, join(text, "%s.attention.bn", name), true, -1);
    y = build_upsample(b, y);
    return build_gate(b, y, in);
}

/* --- any -------------------------------------------------------------------------------------- */

void build_head(struct builder *b, int in, bool preactivated)
{
    char name[NAME_MAX_LENGTH], text[NAME_MAX_LENGTH];
    join(name, "exits.%d", b->exit + 1);
    int y = in;
    if (preactivated) y = build_norm(b, y, join(text, "%s.bn0", name), true, -1);
    switch (b->net->spec.heads.kind) {
    case SPEC_HEAD_SCALA:
        y = scala(b, y, name);
        break;
    case SPEC_HEAD_SCALA_ATTENTION:
        y = scala_attention(b, y, name);
        y = scala(b, y, name);
        break;
    case SPEC_HEAD_SEPCONV_ATTENTION:
        y = separable_attention(b, y, name);
        y = separable_chain(b, y, name);
        break;
    }
    classify(b, y, join(text, "%s.fc", name));
}

/* The map that the first hidden layer reads, pooled x pooled pixels. */
static int pooled_map(struct builder *b, int in, int pooled)
{
    struct shape x = shape_of(b, in);
    int side = x.height / pooled;
    if (b->rc == 0 && (side < 1 || x.height != side * pooled || x.width != side * pooled))
        b->rc = err_set(b->e, ERR_RANGE,
                        "net: classifier.pooled is %d, but the trunk ends with %dx%d, which cannot "
                        "be cut into %dx%d equal squares",
                        pooled, x.height, x.width, pooled, pooled);
    return b->rc < 0 || side == 1 ? in : build_cell_means(b, in, side);
}

/* With hidden layers these are torchvision's "classifier.0", ".3", ".6": a ReLU and a dropout,
 * which we leave out, stand between two of them. */
void build_deepest(struct builder *b, int in)
{
    struct net *net = b->net;
    const struct spec *spec = &net->spec;
    char text[NAME_MAX_LENGTH];
    if (spec->classifier.n_hidden == 0) {
        classify(b, in, "fc");
        return;
    }
    net->features[b->exit] = build_mean(b, in);
    int y = net->features[b->exit], number = 0;
    if (spec->classifier.pooled > 1) y = pooled_map(b, in, spec->classifier.pooled);
    for (int i = 0; i < spec->classifier.n_hidden; i++, number += 3) {
        int channels = spec->classifier.hidden[i];
        join(text, "classifier.%d", number);
        y = i == 0 && spec->classifier.pooled > 1 ? build_whole_map(b, y, text, channels)
                                                  : build_linear(b, y, text, channels);
        y = build_relu(b, y);
    }
    net->logits[b->exit] = build_linear(b, y, join(text, "classifier.%d", number), spec->classes);
}
