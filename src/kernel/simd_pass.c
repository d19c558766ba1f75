/* A pass of a convolution: what it reads and writes, and which of the ways of simd_conv.c pays for
 * how many images. The bounds were measured on a Zen 5 with 1 MB of second-level cache a core. Left
 * out: the work itself (simd_phase.c). */
#include "simd_pass.h"

struct axis ISA(pass_axis)(const struct pass *p, bool vertical, int phase)
{
    const struct conv_geometry *g = p->g;
    int size = vertical ? g->height : g->width;
    int kernel = vertical ? g->kernel_height : g->kernel_width;
    return p->back ? axis_backward(size, kernel, g->stride, g->pad, phase)
                   : axis_forward(size, kernel, g->stride, g->pad);
}

struct pass ISA(pass_of)(const struct conv_geometry *g, bool back)
{
    int oh = conv_out_height(g), ow = conv_out_width(g);
    struct pass p = {.channels = (size_t)(back ? g->out_channels : g->in_channels),
                     .given_channels = (size_t)(back ? g->out_channels : g->in_channels),
                     .outputs = (size_t)(back ? g->in_channels : g->out_channels),
                     .end = (size_t)(back ? g->in_channels : g->out_channels),
                     .phases = back ? g->stride : 1,
                     .back = back,
                     .g = g,
                     .source_height = back ? oh : g->height,
                     .source_width = back ? ow : g->width,
                     .out_height = back ? g->height : oh,
                     .out_width = back ? g->width : ow};
    for (int i = 0; i < p.phases; i++) {
        struct axis v = ISA(pass_axis)(&p, true, i), h = ISA(pass_axis)(&p, false, i);
        p.low = max_int(p.low, max_int(axis_low(&v), axis_low(&h)));
        p.high = max_int(p.high, max_int(axis_high(&v), axis_high(&h)));
    }
    return p;
}

#if HAS_BF16
struct pass ISA(pass_pairs_of)(const struct conv_geometry *g, bool back)
{
    struct pass p = ISA(pass_of)(g, back);
    p.pairs = true;
    p.channels = (p.given_channels + 1) / 2;
    return p;
}
#endif

/* Images that the grouped way takes at once; 0: not this way. Three quarters of a 1 MB L2 cache and
 * six images at least were measured to be best on a Zen 5. */
enum { GROUP_FLOATS = 196608 };

size_t ISA(pass_group)(const struct pass *p)
{
    size_t fit = GROUP_FLOATS / pass_image(p);
    size_t most = p->outputs > LANES ? PIXELS_2 : PIXELS_1;
    return fit < GROUP_FEWEST ? 0 : min_size(fit, most);
}

static size_t pass_frame(const struct pass *p)
{
    return (size_t)(p->source_height + p->low + p->high) *
           (size_t)(p->source_width + p->low + p->high) * p->channels;
}

/* Half of an L2 cache. */
enum { HALF_CACHE = 131072 };

/* Slices of the taps, by rows, that all outputs of the flat way go through before the next one:
 * one, but where a block's weights would not stay in the cache from one tile to the next (8x8 taps
 * of 128 channels are 1 MB). */
int ISA(pass_slices)(const struct pass *p)
{
    size_t taps = (size_t)p->g->kernel_height * (size_t)p->g->kernel_width;
    bool sliced = !p->back && pass_is_flat(p) && taps * p->channels * BLOCK > HALF_CACHE;
    return sliced ? p->g->kernel_height : 1;
}

/* Images of the flat way that are worked on before the next block of outputs: as many as the cache
 * holds. */
size_t ISA(pass_flat_images)(const struct pass *p)
{
    size_t fit = HALF_CACHE * (size_t)ISA(pass_slices)(p) / pass_image(p);
    return fit > 0 ? fit : 1;
}

/* Images that may be computed by taps, fewer than a group. It pays where a quarter of all taps lie
 * outside (3x3 on 4x4 pixels, not on 8x8) and the sums are loaded and stored for many channels. */
enum { TAPS_CHANNELS = 64 };

size_t ISA(pass_taps_images)(const struct pass *p)
{
    if (p->back || pass_is_flat(p) || p->channels < TAPS_CHANNELS) return 0;
    struct axis v = ISA(pass_axis)(p, true, 0), h = ISA(pass_axis)(p, false, 0);
    int64_t all = (int64_t)v.count * v.taps * h.count * h.taps;
    if (4 * axis_taps_inside(&v) * axis_taps_inside(&h) > 3 * all) return 0;
    size_t fit = TAPS_PIXELS / ((size_t)p->out_height * (size_t)p->out_width);
    return min_size(fit, GROUP_FEWEST - 1);
}

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

size_t ISA(pass_scratch)(const struct pass *p)
{
    size_t image = pass_image(p), taps = ISA(pass_taps_images)(p);
    if (pass_is_flat(p)) return p->pairs ? ISA(pass_flat_images)(p) * image : 0;
    if (taps > 0) taps = TAPS_PIXELS * BLOCK + (p->pairs ? taps * image : 0);
    return max_size(taps, max_size(ISA(pass_group)(p) * image, pass_frame(p)));
}
