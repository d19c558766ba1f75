/* The blocks that trunks are made of, one function each, in the order of their figures. A new kind
 * of block is a function here, a word in enum spec_block and one in model/spec_file.c. */
#include "config.h"

#include "ops.h"

/* A projection where the shape changes (He et al. 2016, option B), else the input itself. */
static int projection(struct builder *b, int in, const char *name, int channels, int stride)
{
    char text[NAME_MAX_LENGTH];
    if (stride == 1 && shape_of(b, in).channels == channels) return in;
    int y = build_conv(b, in, join(text, "%s.downsample.0", name), channels, square(1, stride, 0));
    return build_norm(b, y, join(text, "%s.downsample.1", name), false, -1);
}

static int basic(struct builder *b, int in, const char *name, int channels, int stride)
{
    char text[NAME_MAX_LENGTH];
    int y = build_conv(b, in, join(text, "%s.conv1", name), channels, square(3, stride, 1));
    y = build_norm(b, y, join(text, "%s.bn1", name), true, -1);
    y = build_conv(b, y, join(text, "%s.conv2", name), channels, square(3, 1, 1));
    int shortcut = projection(b, in, name, channels, stride);
    return build_norm(b, y, join(text, "%s.bn2", name), true, shortcut);
}

/* With the stride on the 3x3, as torchvision has it and all author codes. */
static int bottleneck(struct builder *b, int in, const char *name, const struct spec_stage *stage,
                      int stride)
{
    char text[NAME_MAX_LENGTH];
    int inner = spec_inner_channels(stage), channels = SPEC_EXPANSION * stage->channels;
    struct conv_options middle = square(3, stride, 1);
    middle.groups = stage->groups;
    int y = build_conv(b, in, join(text, "%s.conv1", name), inner, square(1, 1, 0));
    y = build_norm(b, y, join(text, "%s.bn1", name), true, -1);
    y = build_conv(b, y, join(text, "%s.conv2", name), inner, middle);
    y = build_norm(b, y, join(text, "%s.bn2", name), true, -1);
    y = build_conv(b, y, join(text, "%s.conv3", name), channels, square(1, 1, 0));
    int shortcut = projection(b, in, name, channels, stride);
    return build_norm(b, y, join(text, "%s.bn3", name), true, shortcut);
}

/* The projection sees what the first BN-ReLU gives, and has no norm of its own. */
static int preact(struct builder *b, int in, const char *name, int channels, int stride)
{
    char text[NAME_MAX_LENGTH];
    struct conv_options second = square(3, 1, 1);
    second.residual = in;
    int a = build_norm(b, in, join(text, "%s.bn1", name), true, -1);
    if (stride != 1 || shape_of(b, in).channels != channels)
        second.residual =
            build_conv(b, a, join(text, "%s.downsample.0", name), channels, square(1, stride, 0));
    int y = build_conv(b, a, join(text, "%s.conv1", name), channels, square(3, stride, 1));
    y = build_norm(b, y, join(text, "%s.bn2", name), true, -1);
    return build_conv(b, y, join(text, "%s.conv2", name), channels, second);
}

static int pyramid(struct builder *b, int in, const char *name, int channels, int stride)
{
    char text[NAME_MAX_LENGTH];
    int outputs = SPEC_EXPANSION * channels, shortcut = in;
    int y = build_norm(b, in, join(text, "%s.bn1", name), false, -1);
    y = build_conv(b, y, join(text, "%s.conv1", name), channels, square(1, 1, 0));
    y = build_norm(b, y, join(text, "%s.bn2", name), true, -1);
    y = build_conv(b, y, join(text, "%s.conv2", name), channels, square(3, stride, 1));
    y = build_norm(b, y, join(text, "%s.bn3", name), true, -1);
    y = build_conv(b, y, join(text, "%s.conv3", name), outputs, square(1, 1, 0));
    if (stride != 1 || shape_of(b, in).channels != outputs)
        shortcut = build_shortcut(b, in, outputs, stride);
    return build_norm(b, y, join(text, "%s.bn4", name), false, shortcut);
}

/* torchvision numbers the layers of VGG; a ReLU counts, and so does a pool. */
static int vgg(struct builder *b, int in, int channels, int stride)
{
    char text[NAME_MAX_LENGTH];
    struct conv_options o = square(3, stride, 1);
    o.bias = true;
    int y = build_conv(b, in, join(text, "features.%d", b->features), channels, o);
    y = build_norm(b, y, join(text, "features.%d", b->features + 1), true, -1);
    b->features += 3;
    return y;
}

/* Channels of block i of a stage that grows to its channels in equal steps, rounded. */
static int grown(const struct spec_stage *stage, int i, int before)
{
    int more = (stage->channels - before) * (i + 1);
    return before + (2 * more + stage->blocks) / (2 * stage->blocks);
}

int build_block(struct builder *b, int in, const struct spec_stage *stage, int i, int before,
                const char *name)
{
    int stride = i == 0 ? stage->stride : 1;
    switch (stage->block) {
    case SPEC_BLOCK_BASIC:
        return basic(b, in, name, stage->channels, stride);
    case SPEC_BLOCK_BOTTLENECK:
        return bottleneck(b, in, name, stage, stride);
    case SPEC_BLOCK_PREACT:
        return preact(b, in, name, stage->channels, stride);
    case SPEC_BLOCK_PYRAMID:
        return pyramid(b, in, name, grown(stage, i, before), stride);
    case SPEC_BLOCK_VGG:
        return vgg(b, in, stage->channels, stride);
    }
    if (b->rc == 0) b->rc = err_set(b->e, ERR_UNSUPPORTED, "net: unknown kind of block");
    return 0;
}
