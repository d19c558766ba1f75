/* Convolution forward and its gradient by the input, as one thing: a correlation of a source with
 * taps. Forward, the source is x; backward it is dy, and the pixels of dx fall into stride x stride
 * phases, each of which is reached by its own taps only, so that no zero is ever multiplied (a k x
 * k convolution with stride k becomes k*k plain matrix products). The work is done by register
 * tiles (simd_phase.c, simd_tile.c); this file prepares the source, in one of four ways.
 *
 * Flat, where no tap leaves the image: tiles run over the pixels of all images where they stand.
 *
 * Grouped, for several images that are small enough for the L2 cache: they are interleaved pixel by
 * pixel in scratch and a tile is one position in all of them, so taps outside are left out (a 3x3
 * on 4x4 pixels has 31 % of such taps).
 *
 * By taps, forward, for few images of so few pixels that many taps lie outside: one tap after the
 * other is added to the sums of those pixels where it lies inside.
 *
 * Padded otherwise: one image at a time is copied into a frame of zeros.
 *
 * All four give the same bits: they add the same products in the same order, but for zeros. A
 * convolution in groups is computed as a dense one whose weights between groups are packed as
 * zeros; when that is worth it, simd_group.c decides. Left out: Winograd and FFT, which change the
 * sums. */
#include "simd_phase.h"

/* Neighbouring pixels, as they are or as pairs. */
static void copy_pixels(const struct pass *p, float *to, const float *from, size_t pixels)
{
    if (!p->pairs) {
        copy_floats(to, from, pixels * p->channels);
        return;
    }
#if HAS_BF16
    size_t whole = p->given_channels / (2 * LANES) * (2 * LANES), rest = p->given_channels - whole;
    vec_mask low = vec_first(min_size(rest, LANES)), high = vec_first(rest - min_size(rest, LANES));
    vec_mask pairs = vec_first((rest + 1) / 2);
    for (; pixels > 0; pixels--, to += p->channels, from += p->given_channels) {
        for (size_t c = 0; c < whole; c += 2 * LANES) {
            vec_store(to + c / 2, vec_to_pairs(vec_load(from + c), vec_load(from + c + LANES)));
        }
        if (rest == 0) continue;
        vec a = vec_load_masked(from + whole, low);
        vec b = rest > LANES ? vec_load_masked(from + whole + LANES, high) : vec_zero();
        vec_store_masked(to + whole / 2, pairs, vec_to_pairs(a, b));
    }
#endif
}

/* Every phase of the images whose source is prepared, in a frame of `low` pixels. */
static void pass_run(const struct pass *p, struct phase *f, int low, bool grouped, size_t images)
{
    const float *packed = f->packed;
    f->pass = p;
    for (int phase = 0; phase < p->phases * p->phases; phase++) {
        f->v = ISA(pass_axis)(p, true, phase / p->phases);
        f->h = ISA(pass_axis)(p, false, phase % p->phases);
        f->origin = (ptrdiff_t)f->row_pitch * (f->v.first + low) +
                    (ptrdiff_t)f->pixel_pitch * (f->h.first + low);
        size_t taps = phase_taps_size(f);
        if (taps == 0 && f->residual == f->y) continue; /* nothing to add to what is there */
        if (grouped)
            ISA(phase_run_group)(f, images);
        else
            ISA(phase_run_rows)(f, images);
        f->packed += outputs_padded(p) * taps;
    }
    f->packed = packed;
}

/* scratch [row][column][image][channel] */
static void interleave(const struct pass *p, const float *source, size_t images, float *scratch)
{
    size_t pixels = (size_t)p->source_height * (size_t)p->source_width;
    for (size_t b = 0; b < images; b++) {
        for (size_t i = 0; i < pixels; i++, source += p->given_channels)
            copy_pixels(p, scratch + (i * images + b) * p->channels, source, 1);
    }
}

/* scratch: the image inside its frame of zeros. */
static void frame(const struct pass *p, const float *source, float *scratch)
{
    size_t row = (size_t)p->source_width * p->channels;
    size_t low = (size_t)p->low * p->channels, high = (size_t)p->high * p->channels;
    for (int i = -p->low; i < p->source_height + p->high; i++, scratch += low + row + high) {
        if (i < 0 || i >= p->source_height) {
            for (size_t k = 0; k < low + row + high; k++) scratch[k] = 0;
            continue;
        }
        for (size_t k = 0; k < low; k++) scratch[k] = 0;
        for (size_t k = 0; k < high; k++) scratch[low + row + k] = 0;
        copy_pixels(p, scratch + low, source, (size_t)p->source_width);
        source += (size_t)p->source_width * p->given_channels;
    }
}

/* Scratch: the sums, and the source as pairs. */
static void pass_taps(const struct pass *p, size_t n, const float *source, const float *packed,
                      const struct conv_epilogue *epilogue, float *y, float *scratch)
{
    size_t image = pass_image(p), width = (size_t)p->source_width;
    float *pairs = scratch + TAPS_PIXELS * BLOCK;
    struct phase f = {.pass = p,
                      .v = ISA(pass_axis)(p, true, 0),
                      .h = ISA(pass_axis)(p, false, 0),
                      .packed = packed,
                      .epilogue = epilogue,
                      .source = p->pairs ? pairs : source,
                      .image_pitch = image,
                      .row_pitch = width * p->channels,
                      .pixel_pitch = p->channels,
                      .y = y,
                      .residual = epilogue->residual};
    if (p->pairs) copy_pixels(p, pairs, source, n * (size_t)p->source_height * width);
    ISA(phase_run_taps)(&f, n, scratch);
}

static void pass_images(const struct pass *p, size_t n, const float *source, const float *packed,
                        const struct conv_epilogue *epilogue, float *y, float *scratch)
{
    if (n <= ISA(pass_taps_images)(p)) {
        pass_taps(p, n, source, packed, epilogue, y, scratch);
        return;
    }
    size_t image = pass_image(p), width = (size_t)p->source_width;
    size_t given = (size_t)p->source_height * width * p->given_channels;
    size_t out = (size_t)p->out_height * (size_t)p->out_width * p->outputs;
    bool flat = pass_is_flat(p);
    size_t group = n >= GROUP_FEWEST && !flat ? ISA(pass_group)(p) : 0;
    size_t most = flat ? ISA(pass_flat_images)(p) : group;
    size_t parts = part_count(n, most > 0 ? most : 1);
    for (size_t part = 0; part < parts; part++) {
        size_t begin = part_begin(n, parts, part), count = part_begin(n, parts, part + 1) - begin;
        const float *from = source + begin * given;
        struct phase f = {.source = flat && !p->pairs ? from : scratch,
                          .packed = packed,
                          .epilogue = epilogue,
                          .y = y + begin * out,
                          .residual =
                              epilogue->residual != NULL ? epilogue->residual + begin * out : NULL,
                          .image_pitch = image,
                          .row_pitch = width * p->channels,
                          .pixel_pitch = p->channels};
        if (flat) {
            if (p->pairs) copy_pixels(p, scratch, from, count * (size_t)p->source_height * width);
            pass_run(p, &f, 0, false, count);
        } else if (group > 0) {
            interleave(p, from, count, scratch);
            f.row_pitch = width * count * p->channels;
            f.pixel_pitch = count * p->channels;
            pass_run(p, &f, 0, true, count);
        } else {
            frame(p, from, scratch);
            f.row_pitch = (width + (size_t)(p->low + p->high)) * p->channels;
            pass_run(p, &f, p->low, false, count);
        }
    }
}

/* --- both directions -------------------------------------------------------------------------- */

size_t ISA(conv_forward_scratch)(const struct conv_geometry *g)
{
    struct pass p = ISA(pass_of)(g, false);
    return ISA(pass_scratch)(&p);
}

size_t ISA(conv_backward_data_scratch)(const struct conv_geometry *g)
{
    struct pass p = ISA(pass_of)(g, true);
    return ISA(pass_scratch)(&p);
}

/* Parts are outputs, so that every thread reads weights of its own. */
static void pass_part(struct pass *p, struct conv_part part)
{
    size_t blocks = (p->outputs + BLOCK - 1) / BLOCK;
    size_t count = (size_t)part.count, index = (size_t)part.index;
    p->begin = part_begin(blocks, count, index) * BLOCK;
    p->end = min_size(part_begin(blocks, count, index + 1) * BLOCK, p->outputs);
}

void ISA(conv_forward)(const struct conv_geometry *g, int n, const float *x, const float *packed,
                       const struct conv_epilogue *epilogue, float *y, void *scratch,
                       struct conv_part part)
{
    struct pass p = ISA(pass_of)(g, false);
    pass_part(&p, part);
    if (p.begin < p.end) pass_images(&p, (size_t)n, x, packed, epilogue, y, scratch);
}

void ISA(conv_backward_data)(const struct conv_geometry *g, int n, const float *dy,
                             const float *packed_back, bool accumulate, float *dx, void *scratch)
{
    struct pass p = ISA(pass_of)(g, true);
    struct conv_epilogue epilogue = {.residual = accumulate ? dx : NULL};
    pass_images(&p, (size_t)n, dy, packed_back, &epilogue, dx, scratch);
}

#if HAS_BF16

/* --- with pairs ------------------------------------------------------------------------------- */

bool ISA(pairs_takes)(const struct conv_geometry *g)
{
    return conv_groups(g) == 1;
}

size_t ISA(pairs_scratch)(const struct conv_geometry *g)
{
    struct pass p = ISA(pass_pairs_of)(g, false);
    return ISA(pass_scratch)(&p) * sizeof(float);
}

void ISA(pairs_forward)(const struct conv_geometry *g, int n, const float *x, const float *packed,
                        const struct conv_epilogue *epilogue, float *y, void *scratch,
                        struct conv_part part)
{
    struct pass p = ISA(pass_pairs_of)(g, false);
    pass_part(&p, part);
    if (p.begin < p.end) pass_images(&p, (size_t)n, x, packed, epilogue, y, scratch);
}

size_t ISA(pairs_back_scratch)(const struct conv_geometry *g)
{
    struct pass p = ISA(pass_pairs_of)(g, true);
    return ISA(pass_scratch)(&p) * sizeof(float);
}

void ISA(pairs_back)(const struct conv_geometry *g, int n, const float *dy, const float *packed,
                     bool accumulate, float *dx, void *scratch)
{
    struct pass p = ISA(pass_pairs_of)(g, true);
    struct conv_epilogue epilogue = {.residual = accumulate ? dx : NULL};
    pass_images(&p, (size_t)n, dy, packed, &epilogue, dx, scratch);
}

#endif
