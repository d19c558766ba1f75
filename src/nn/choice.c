/* The rule by which an algorithm is chosen without measuring. Winograd's tiles pay for their
 * transforms by products of matrices as deep as there are channels: with few channels the
 * transforms cost more than the products save. With many channels the transformed weights, four
 * times as large, would have to come from memory at every call; there they are transformed anew,
 * where enough tiles share them. Where only a few tiles share many weights, reading these is what
 * takes the time: then the small tiles of F(2x2) or, where it is permitted, bfloat16 read less.
 * The bounds were measured on a Zen 5, see doc/SPEED.md. */
#include "config.h"

#include "nn/choice.h"

enum {
    FEWEST_CHANNELS = 16,         /* of a group, in and out, for Winograd at all */
    PACKED_MOST = 36 * 256 * 256, /* floats of transformed weights that are kept packed */
    LEAN_TILES = 8,               /* fewest tiles that share weights transformed anew */
    LEAN_TILES_BF16 = 24,         /* the same where the other choice is bfloat16 */
    MANY_WEIGHTS = 9 * 128 * 128, /* fewest that few tiles wait for */
    FEW_TILES = 4,                /* most tiles that do, and fewest of an image: maps of less are
                                     mostly border, for which small tiles save nothing */
    FEW_TILES_BF16 = 8,           /* most where the other choice is bfloat16 */
};

int choice_index(int images)
{
    int i = 0;
    while (i < CHOICE_SIZES - 1 && images > choice_images(i)) i++;
    return i;
}

int choice_images(int index)
{
    return 1 << index;
}

static int tiles_of(const struct conv_geometry *g)
{
    return (conv_out_width(g) + 3) / 4 * ((conv_out_height(g) + 3) / 4);
}

static bool is_narrow(const struct conv_geometry *g)
{
    return g->in_channels / conv_groups(g) < FEWEST_CHANNELS ||
           g->out_channels / conv_groups(g) < FEWEST_CHANNELS;
}

/* The stem and linear layers stay as they are: they cost little, and what they see and say is the
 * net's own in- and output. */
static bool may_round(const struct kernels *k, enum conv_direction d, const struct conv_geometry *g)
{
    return !is_narrow(g) && g->height * g->width > 1 && conv_takes(k, d, CONV_BF16, g);
}

bool choice_permits(const struct kernels *kernels, enum choice_use use,
                    const struct conv_geometry *g, enum precision precision, enum conv_algorithm a)
{
    enum conv_direction d = choice_direction(use);
    if (!conv_takes(kernels, d, a, g)) return false;
    if (a == CONV_BF16) return precision == PRECISION_BF16 && may_round(kernels, d, g);
    if (a == CONV_WINOGRAD && use == CHOICE_PLAN)
        return kernels->conv[a].forward.packed_size(g) <= (size_t)PACKED_MOST;
    return true;
}

static enum conv_algorithm rule(const struct kernels *k, const struct conv_geometry *g, int images,
                                bool round)
{
    enum conv_algorithm direct = round ? CONV_BF16 : CONV_DIRECT;
    if (is_narrow(g)) return direct;
    int in_image = tiles_of(g), tiles = images * in_image;
    if (conv_weight_size(g) >= (size_t)MANY_WEIGHTS) {
        if (round && tiles <= FEW_TILES_BF16) return direct;
        if (!round && tiles <= FEW_TILES && in_image >= FEW_TILES &&
            conv_takes(k, CONV_FORWARD, CONV_WINOGRAD_SMALL, g))
            return CONV_WINOGRAD_SMALL;
    }
    if (choice_permits(k, CHOICE_PLAN, g, PRECISION_FP32, CONV_WINOGRAD)) return CONV_WINOGRAD;
    bool lean = conv_takes(k, CONV_FORWARD, CONV_WINOGRAD_LEAN, g);
    if (lean && tiles >= (round ? LEAN_TILES_BF16 : LEAN_TILES)) return CONV_WINOGRAD_LEAN;
    return direct;
}

struct choice choice_by_rule(const struct kernels *kernels, const struct conv_geometry *g,
                             enum precision precision)
{
    struct choice c;
    bool round = precision == PRECISION_BF16 && may_round(kernels, CONV_FORWARD, g);
    for (int i = 0; i < CHOICE_SIZES; i++) c.of[i] = rule(kernels, g, choice_images(i), round);
    return c;
}

/* Weights are packed at every step, but for many images: whatever does the least work. */
enum conv_algorithm choice_training(const struct kernels *kernels, enum conv_direction d,
                                    const struct conv_geometry *g, enum precision precision)
{
    if (is_narrow(g)) return CONV_DIRECT;
    enum choice_use use = choice_use_of(d);
    if (choice_permits(kernels, use, g, precision, CONV_WINOGRAD)) return CONV_WINOGRAD;
    if (choice_permits(kernels, use, g, precision, CONV_BF16)) return CONV_BF16;
    return CONV_DIRECT;
}

struct choice choice_forced(const struct kernels *kernels, const struct conv_geometry *g,
                            enum conv_algorithm a)
{
    struct choice c;
    enum conv_algorithm of = conv_takes(kernels, CONV_FORWARD, a, g) ? a : CONV_DIRECT;
    for (int i = 0; i < CHOICE_SIZES; i++) c.of[i] = of;
    return c;
}
