/* Packed weights of a convolution, both directions: [phase][block of outputs][tap row][tap
 * column][channel][lane], so that a register tile walks them from begin to end. A convolution in
 * groups is packed as a dense one with zeros between its groups. */
#include "simd_pass.h"

static size_t packed_size(const struct pass *p)
{
    return outputs_padded(p) * p->channels * (size_t)p->g->kernel_height *
           (size_t)p->g->kernel_width;
}

/* Writes the weights of one tap and one block; w points to the tap in the first filter. Between
 * channels of different groups stand zeros. */
static float *pack_tap(const struct pass *p, size_t first, const float *w, const float *scale,
                       float *packed)
{
    size_t taps = (size_t)p->g->kernel_height * (size_t)p->g->kernel_width;
    size_t groups = (size_t)conv_groups(p->g);
    size_t filter = (size_t)p->g->in_channels / groups * taps; /* floats of an output's weights */
    size_t channels = p->channels / groups, outputs = p->outputs / groups;
    size_t step = p->back ? taps : filter;
    size_t width = block_width(p, first), end = min_size(p->outputs, first + width);
    for (size_t c = 0; c < p->channels; c++, packed += width) {
        size_t group = c / channels;
        size_t from = min_size(group * outputs > first ? group * outputs : first, end);
        size_t to = min_size((group + 1) * outputs, end);
        const float *weights = p->back ? w + c * filter + (from - group * outputs) * taps
                                       : w + c % channels * taps + from * filter;
        for (size_t l = 0; l < from - first; l++) packed[l] = 0;
        for (size_t o = from; o < to; o++, weights += step) packed[o - first] = *weights;
        for (size_t l = (to > from ? to : from) - first; l < width; l++) packed[l] = 0;
        if (scale == NULL) continue;
        for (size_t o = from; o < to; o++) packed[o - first] *= scale[o];
    }
    return packed;
}

static void pack(const struct pass *p, const float *w, const float *scale, float *packed)
{
    for (int phase = 0; phase < p->phases * p->phases; phase++) {
        struct axis v = ISA(pass_axis)(p, true, phase / p->phases);
        struct axis h = ISA(pass_axis)(p, false, phase % p->phases);
        for (size_t first = 0; first < p->outputs; first += BLOCK) {
            for (int tap = 0; tap < v.taps * h.taps; tap++) {
                int kh = v.tap_first + tap / h.taps * v.tap_step;
                int kw = h.tap_first + tap % h.taps * h.tap_step;
                packed = pack_tap(p, first, w + kh * p->g->kernel_width + kw, scale, packed);
            }
        }
    }
}

size_t ISA(conv_packed_size)(const struct conv_geometry *g)
{
    struct pass p = ISA(pass_of)(g, false);
    return packed_size(&p);
}

void ISA(conv_pack)(const struct conv_geometry *g, const float *w, const float *scale,
                    float *packed)
{
    struct pass p = ISA(pass_of)(g, false);
    pack(&p, w, scale, packed);
}

size_t ISA(conv_packed_back_size)(const struct conv_geometry *g)
{
    struct pass p = ISA(pass_of)(g, true);
    return packed_size(&p);
}

void ISA(conv_pack_back)(const struct conv_geometry *g, const float *w, float *packed)
{
    struct pass p = ISA(pass_of)(g, true);
    pack(&p, w, NULL, packed);
}

#if HAS_BF16

/* --- as pairs ------------------------------------------------------------------------------- */

/* One tap of a block of outputs: [pair of channels][lane]. Between neighbours of channels and of
 * outputs w has so many floats. */
static float *pack_tap_pairs(const struct pass *p, size_t first, const float *w, size_t channel,
                             size_t output, const float *scale, float *packed)
{
    size_t width = block_width(p, first), lanes = min_size(p->outputs - first, width);
    for (size_t c = 0; c < p->given_channels; c += 2, packed += width) {
        float low[BLOCK] = {0}, high[BLOCK] = {0};
        for (size_t l = 0; l < lanes; l++) {
            const float *from = w + (first + l) * output + c * channel;
            float factor = scale != NULL ? scale[first + l] : 1;
            low[l] = from[0] * factor;
            high[l] = c + 1 < p->given_channels ? from[channel] * factor : 0;
        }
        for (size_t l = 0; l < width; l += LANES)
            vec_store(packed + l, vec_interleave_pairs(vec_load(low + l), vec_load(high + l)));
    }
    return packed;
}

static void pack_pairs(const struct pass *p, const float *w, const float *scale, float *packed)
{
    size_t taps = (size_t)p->g->kernel_height * (size_t)p->g->kernel_width;
    size_t filter = (size_t)p->g->in_channels * taps; /* floats of an output's weights */
    for (int phase = 0; phase < p->phases * p->phases; phase++) {
        struct axis v = ISA(pass_axis)(p, true, phase / p->phases);
        struct axis h = ISA(pass_axis)(p, false, phase % p->phases);
        for (size_t first = 0; first < p->outputs; first += BLOCK) {
            for (int tap = 0; tap < v.taps * h.taps; tap++) {
                int kh = v.tap_first + tap / h.taps * v.tap_step;
                int kw = h.tap_first + tap % h.taps * h.tap_step;
                packed =
                    pack_tap_pairs(p, first, w + kh * p->g->kernel_width + kw,
                                   p->back ? filter : taps, p->back ? taps : filter, scale, packed);
            }
        }
    }
}

size_t ISA(pairs_size)(const struct conv_geometry *g)
{
    struct pass p = ISA(pass_pairs_of)(g, false);
    return packed_size(&p);
}

void ISA(pairs_pack)(const struct conv_geometry *g, const float *w, const float *scale,
                     float *packed)
{
    struct pass p = ISA(pass_pairs_of)(g, false);
    pack_pairs(&p, w, scale, packed);
}

size_t ISA(pairs_back_size)(const struct conv_geometry *g)
{
    struct pass p = ISA(pass_pairs_of)(g, true);
    return packed_size(&p);
}

void ISA(pairs_back_pack)(const struct conv_geometry *g, const float *w, float *packed)
{
    struct pass p = ISA(pass_pairs_of)(g, true);
    pack_pairs(&p, w, NULL, packed);
}

#endif
