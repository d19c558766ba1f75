/* Convolution forward and its gradient by the input, as one thing: a correlation of a source with
 * taps. Forward, the source is x; backward it is dy, and the pixels of dx fall into stride x stride
 * phases, each of which is reached by its own taps only, so that no zero is ever multiplied (a k x
 * k convolution with stride k becomes k*k plain matrix products). The work is done by register
 * tiles (simd_tile.c); this file decides which pixels make a tile, in one of four ways.
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
#include "simd.h"
#include "simd_axis.h"

#include <math.h>

/* A whole direction of a convolution. With pairs, two channels of the source are one float that
 * holds two bfloat16, made on the way into scratch: `channels` counts pairs, and the rest of this
 * file takes them for floats. */
struct pass {
    size_t channels, outputs; /* of the source, of what is computed */
    size_t given_channels;    /* of the source as it comes */
    size_t begin, end;        /* the outputs of this part, whole blocks */
    bool pairs;
    int phases; /* in each direction */
    bool back;
    const struct conv_geometry *g;
    int source_height, source_width, out_height, out_width;
    int low, high; /* frame of zeros above/left and below/right that all phases together need */
};

static struct axis pass_axis(const struct pass *p, bool vertical, int phase)
{
    const struct conv_geometry *g = p->g;
    int size = vertical ? g->height : g->width;
    int kernel = vertical ? g->kernel_height : g->kernel_width;
    return p->back ? axis_backward(size, kernel, g->stride, g->pad, phase)
                   : axis_forward(size, kernel, g->stride, g->pad);
}

static struct pass pass_of(const struct conv_geometry *g, bool back)
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
        struct axis v = pass_axis(&p, true, i), h = pass_axis(&p, false, i);
        p.low = max_int(p.low, max_int(axis_low(&v), axis_low(&h)));
        p.high = max_int(p.high, max_int(axis_high(&v), axis_high(&h)));
    }
    return p;
}

static size_t pass_image(const struct pass *p)
{
    return (size_t)p->source_height * (size_t)p->source_width * p->channels;
}

/* Images that the grouped way takes at once; 0: not this way. Three quarters of a 1 MB L2 cache and
 * six images at least were measured to be best on a Zen 5. */
enum { GROUP_FEWEST = 6, GROUP_FLOATS = 196608 };

static size_t pass_group(const struct pass *p)
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

static bool is_flat(const struct pass *p)
{
    return p->low == 0 && p->high == 0;
}

/* Half of an L2 cache. */
enum { HALF_CACHE = 131072 };

/* Slices of the taps, by rows, that all outputs of the flat way go through before the next one:
 * one, but where a block's weights would not stay in the cache from one tile to the next (8x8 taps
 * of 128 channels are 1 MB). Sums wait in y meanwhile, so there is none where y is what is added
 * to. */
static int pass_slices(const struct pass *p)
{
    size_t taps = (size_t)p->g->kernel_height * (size_t)p->g->kernel_width;
    bool sliced = !p->back && is_flat(p) && taps * p->channels * BLOCK > HALF_CACHE;
    return sliced ? p->g->kernel_height : 1;
}

/* Images of the flat way that are worked on before the next block of outputs: as many as the cache
 * holds. */
static size_t flat_images(const struct pass *p)
{
    size_t fit = HALF_CACHE * (size_t)pass_slices(p) / pass_image(p);
    return fit > 0 ? fit : 1;
}

/* Images that may be computed by taps, fewer than a group. It pays where a quarter of all taps lie
 * outside (3x3 on 4x4 pixels, not on 8x8) and the sums are loaded and stored for many channels. */
enum { TAPS_PIXELS = 96, TAPS_CHANNELS = 64 };

static size_t taps_images(const struct pass *p)
{
    if (p->back || is_flat(p) || p->channels < TAPS_CHANNELS) return 0;
    struct axis v = pass_axis(p, true, 0), h = pass_axis(p, false, 0);
    int64_t all = (int64_t)v.count * v.taps * h.count * h.taps;
    if (4 * axis_taps_inside(&v) * axis_taps_inside(&h) > 3 * all) return 0;
    size_t fit = TAPS_PIXELS / ((size_t)p->out_height * (size_t)p->out_width);
    return min_size(fit, GROUP_FEWEST - 1);
}

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t pass_scratch(const struct pass *p)
{
    size_t image = pass_image(p), taps = taps_images(p);
    if (is_flat(p)) return p->pairs ? flat_images(p) * image : 0;
    if (taps > 0) taps = TAPS_PIXELS * BLOCK + (p->pairs ? taps * image : 0);
    return max_size(taps, max_size(pass_group(p) * image, pass_frame(p)));
}

size_t ISA(conv_data_scratch)(const struct conv_geometry *g)
{
    struct pass forward = pass_of(g, false), back = pass_of(g, true);
    return max_size(pass_scratch(&forward), pass_scratch(&back));
}

/* --- packed weights: [phase][block of outputs][tap row][tap column][channel][lane] -------- */

static size_t outputs_padded(const struct pass *p)
{
    return (p->outputs + LANES - 1) / LANES * LANES;
}

static size_t block_width(const struct pass *p, size_t first_output)
{
    return min_size(outputs_padded(p) - first_output, BLOCK);
}

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
        struct axis v = pass_axis(p, true, phase / p->phases);
        struct axis h = pass_axis(p, false, phase % p->phases);
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
    struct pass p = pass_of(g, false);
    return packed_size(&p);
}

void ISA(conv_pack)(const struct conv_geometry *g, const float *w, const float *scale,
                    float *packed)
{
    struct pass p = pass_of(g, false);
    pack(&p, w, scale, packed);
}

size_t ISA(conv_packed_back_size)(const struct conv_geometry *g)
{
    struct pass p = pass_of(g, true);
    return packed_size(&p);
}

void ISA(conv_pack_back)(const struct conv_geometry *g, const float *w, float *packed)
{
    struct pass p = pass_of(g, true);
    pack(&p, w, NULL, packed);
}

/* --- running ------------------------------------------------------------------------------ */

/* One phase with its operands. Tap 0 of output position (0, 0) reads image b at source[origin + b *
 * image_pitch]; origin may lie before the array, where that tap is outside. */
struct phase {
    const struct pass *pass;
    struct axis v, h;
    const float *packed;
    const struct conv_epilogue *epilogue;
    const float *source;
    ptrdiff_t origin;
    size_t image_pitch, row_pitch, pixel_pitch;
    float *y;
    const float *residual;
};

static size_t phase_taps_size(const struct phase *f)
{
    return (size_t)f->v.taps * (size_t)f->h.taps * f->pass->channels;
}

static size_t phase_y_at(const struct phase *f, size_t image, int i, int j)
{
    size_t row = (size_t)(i * f->v.out_step + f->v.out_first);
    size_t column = (size_t)(j * f->h.out_step + f->h.out_first);
    size_t width = (size_t)f->pass->out_width;
    return ((image * (size_t)f->pass->out_height + row) * width + column) * f->pass->outputs;
}

/* What all tiles of a block of outputs share. */
static struct tile block_tile(const struct phase *f, size_t first)
{
    const struct conv_epilogue *e = f->epilogue;
    size_t width = block_width(f->pass, first);
    const float *w = f->packed + first * phase_taps_size(f);
    return (struct tile){.w = w,
                         .ask = w + PREFETCH,
                         .ask_step = (ptrdiff_t)width,
                         .w_row = (ptrdiff_t)((size_t)f->h.taps * f->pass->channels * width),
                         .w_col = (ptrdiff_t)(f->pass->channels * width),
                         .bias = e->bias != NULL ? e->bias + first : NULL,
                         .relu = e->relu,
                         .lanes = min_size(f->pass->outputs - first, width)};
}

static void tile_place(struct tile *t, const struct phase *f, size_t first, const float *x,
                       size_t y_at)
{
    t->x = x;
    t->y = f->y + y_at + first;
    t->residual = f->residual != NULL ? f->residual + y_at + first : NULL;
}

/* The output's pixels walked through in order: where each stands in the source and in y, and how
 * far it is to the next one, by column, at the end of a row and at the end of an image. */
struct walk {
    ptrdiff_t x, y;
    int rows_left, columns_left;
    ptrdiff_t x_column, x_row, x_image, y_column, y_row, y_image;
};

static struct walk walk_begin(const struct phase *f)
{
    ptrdiff_t outputs = (ptrdiff_t)f->pass->outputs, columns = f->h.count, rows = f->v.count;
    struct walk w = {.x = f->origin,
                     .y = (ptrdiff_t)phase_y_at(f, 0, 0, 0),
                     .rows_left = f->v.count,
                     .columns_left = f->h.count,
                     .x_column = f->h.step * (ptrdiff_t)f->pixel_pitch,
                     .y_column = f->h.out_step * outputs};
    ptrdiff_t x_down = f->v.step * (ptrdiff_t)f->row_pitch;
    ptrdiff_t y_down = f->v.out_step * f->pass->out_width * outputs;
    w.x_row = x_down - (columns - 1) * w.x_column;
    w.y_row = y_down - (columns - 1) * w.y_column;
    w.x_image = (ptrdiff_t)f->image_pitch - (rows - 1) * x_down - (columns - 1) * w.x_column;
    w.y_image = f->pass->out_height * (ptrdiff_t)f->pass->out_width * outputs -
                (rows - 1) * y_down - (columns - 1) * w.y_column;
    return w;
}

/* Makes the next `pixels` pixels those of the tile. */
static void walk_tile(struct walk *w, const struct phase *f, struct tile *t, size_t first,
                      size_t pixels, ptrdiff_t *x_at, ptrdiff_t *y_at)
{
    ptrdiff_t x0 = w->x, y0 = w->y;
    tile_place(t, f, first, f->source + x0, (size_t)y0);
    for (size_t k = 0; k < pixels; k++) {
        x_at[k] = w->x - x0;
        y_at[k] = w->y - y0;
        if (--w->columns_left > 0) {
            w->x += w->x_column;
            w->y += w->y_column;
            continue;
        }
        w->columns_left = f->h.count;
        if (--w->rows_left > 0) {
            w->x += w->x_row;
            w->y += w->y_row;
            continue;
        }
        w->rows_left = f->v.count;
        w->x += w->x_image;
        w->y += w->y_image;
    }
}

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

/* What multiplies: pairs and floats look the same but for this. */
static void run_tile(const struct pass *p, const struct tile *t, size_t vectors, size_t pixels)
{
#if HAS_BF16
    if (p->pairs) {
        ISA(tile_run_pairs)(t, vectors, pixels);
        return;
    }
#endif
    (void)p;
    ISA(tile_run)(t, vectors, pixels);
}

/* While the first of the tiles that share weights run, which are all there are with few pixels, as
 * many of the next ones are asked for, as evenly as they can be: so memory is never idle. */
static void tile_ask(struct tile *t, const float *next, size_t width, size_t depth, size_t part,
                     size_t parts)
{
    size_t asking = min_size(parts, ASKING_PARTS);
    t->ask = part < asking ? next + part * width * depth / asking : t->w;
    t->ask_step = part < asking ? (ptrdiff_t)(width / asking) : 0;
}

/* Where the weights of a block of outputs stand, from a row of taps on. */
static const float *row_weights(const struct phase *f, size_t first, int row)
{
    size_t taps = (size_t)row * (size_t)f->h.taps;
    return f->packed + first * phase_taps_size(f) +
           taps * f->pass->channels * block_width(f->pass, first);
}

/* A slice of rows of taps [row, end), for all pixels of `images` images and one block of outputs.
 * The taps of a row are neighbours in the source and in the weights, so they make one run. next:
 * the weights that will be read after these. */
static void slice_run(const struct phase *f, size_t images, size_t first, int row, int end,
                      const float *next)
{
    size_t pixels = images * (size_t)f->v.count * (size_t)f->h.count;
    size_t width = block_width(f->pass, first), vectors = width / LANES;
    size_t parts = part_count(pixels, vectors > 1 ? PIXELS_2 : PIXELS_1);
    ptrdiff_t x_at[PIXELS_1], y_at[PIXELS_1];
    struct tile t = block_tile(f, first);
    bool last = end == f->v.taps;
    t.rows = end - row;
    t.cols = 1;
    t.run = f->h.taps * (int)f->pass->channels;
    t.w = row_weights(f, first, row);
    t.x_row = (ptrdiff_t)f->row_pitch;
    t.x_at = x_at;
    t.y_at = y_at;
    t.add = row > 0;
    if (!last) t.bias = NULL;
    t.relu &= last;
    struct walk walk = walk_begin(f);
    for (size_t part = 0; part < parts; part++) {
        size_t begin = part_begin(pixels, parts, part);
        size_t count = part_begin(pixels, parts, part + 1) - begin;
        walk_tile(&walk, f, &t, first, count, x_at, y_at);
        t.x += row * t.x_row;
        if (!last) t.residual = NULL;
        tile_ask(&t, next, width, (size_t)t.rows * (size_t)t.run, part, parts);
        run_tile(f->pass, &t, vectors, count);
    }
}

/* All pixels of `images` images whose taps all lie inside the source: flat and padded. */
static void phase_run_rows(const struct phase *f, size_t images)
{
    const struct pass *p = f->pass;
    int slices = pass_slices(p);
    for (int slice = 0; slice < slices; slice++) {
        int row = f->v.taps * slice / slices, end = f->v.taps * (slice + 1) / slices;
        for (size_t first = p->begin; first < p->end; first += BLOCK) {
            const float *next = first + BLOCK < p->end ? row_weights(f, first + BLOCK, row)
                                : end < f->v.taps      ? row_weights(f, p->begin, end)
                                                       : row_weights(f, first, end);
            slice_run(f, images, first, row, end, next);
        }
    }
}

/* All positions of `images` interleaved images. */
static void phase_run_group(const struct phase *f, size_t images)
{
    const struct pass *p = f->pass;
    ptrdiff_t x_at[PIXELS_1], y_at[PIXELS_1];
    for (size_t b = 0; b < images; b++) {
        x_at[b] = (ptrdiff_t)(b * p->channels);
        y_at[b] = (ptrdiff_t)phase_y_at(f, b, 0, 0) - (ptrdiff_t)phase_y_at(f, 0, 0, 0);
    }
    for (size_t first = p->begin; first < p->end; first += BLOCK) {
        size_t vectors = block_width(p, first) / LANES;
        struct tile t = block_tile(f, first);
        const float *w = t.w;
        t.run = (int)p->channels;
        t.x_row = (ptrdiff_t)f->row_pitch;
        t.x_col = (ptrdiff_t)f->pixel_pitch;
        t.x_at = x_at;
        t.y_at = y_at;
        for (int i = 0; i < f->v.count; i++) {
            int top, bottom, left, right;
            axis_inside(&f->v, i, &top, &bottom);
            for (int j = 0; j < f->h.count; j++) {
                axis_inside(&f->h, j, &left, &right);
                t.rows = bottom - top;
                t.cols = right - left;
                t.w = w + top * t.w_row + left * t.w_col;
                ptrdiff_t at =
                    f->origin + (i * f->v.step + top) * t.x_row + (j * f->h.step + left) * t.x_col;
                tile_place(&t, f, first, f->source + at, phase_y_at(f, 0, i, j));
                run_tile(p, &t, vectors, images);
            }
        }
    }
}

/* The pixels of `images` images for which a tap lies inside, with their places in the source and in
 * the sums. Returns how many. */
static size_t tap_pixels(const struct phase *f, size_t images, int row, int col, ptrdiff_t *x_at,
                         ptrdiff_t *sum_at)
{
    size_t count = 0;
    ptrdiff_t sum = 0;
    for (size_t b = 0; b < images; b++) {
        for (int i = 0; i < f->v.count; i++) {
            int h = i * f->v.step + f->v.first + row;
            for (int j = 0; j < f->h.count; j++, sum += BLOCK) {
                int w = j * f->h.step + f->h.first + col;
                if (h < 0 || h >= f->v.size || w < 0 || w >= f->h.size) continue;
                x_at[count] = (ptrdiff_t)(b * f->image_pitch + (size_t)h * f->row_pitch +
                                          (size_t)w * f->pixel_pitch);
                sum_at[count++] = sum;
            }
        }
    }
    return count;
}

/* y of a block of outputs from its sums [pixel][BLOCK]. */
static void finish_sums(const struct phase *f, const struct tile *t, size_t pixels, size_t first,
                        const float *sums)
{
    vec floor = vec_set(t->relu ? 0.0F : -INFINITY);
    for (size_t from = 0; from < t->lanes; from += LANES) {
        vec_mask m = vec_first(min_size(t->lanes - from, LANES));
        vec bias = t->bias != NULL ? vec_load_masked(t->bias + from, m) : vec_zero();
        for (size_t k = 0; k < pixels; k++) {
            size_t at = k * f->pass->outputs + first + from;
            vec y = vec_load(sums + k * BLOCK + from);
            if (f->residual != NULL) y = vec_add(y, vec_load_masked(f->residual + at, m));
            vec_store_masked(f->y + at, m, vec_floor(vec_add(y, bias), floor));
        }
    }
}

/* All pixels of `images` images, tap by tap; forward only. */
static void phase_run_taps(const struct phase *f, size_t images, float *sums)
{
    ptrdiff_t x_at[TAPS_PIXELS], sum_at[TAPS_PIXELS], from_first[PIXELS_1];
    size_t pixels = images * (size_t)f->v.count * (size_t)f->h.count;
    for (size_t first = f->pass->begin; first < f->pass->end; first += BLOCK) {
        const struct tile whole = block_tile(f, first);
        size_t width = block_width(f->pass, first), vectors = width / LANES;
        struct tile t = {.w = whole.w,
                         .rows = 1,
                         .cols = 1,
                         .run = (int)f->pass->channels,
                         .x_at = from_first,
                         .add = true,
                         .lanes = width};
        for (size_t k = 0; k < pixels * BLOCK; k++) sums[k] = 0;
        for (int tap = 0; tap < f->v.taps * f->h.taps; tap++, t.w += whole.w_col) {
            size_t count = tap_pixels(f, images, tap / f->h.taps, tap % f->h.taps, x_at, sum_at);
            size_t parts = part_count(count, vectors > 1 ? PIXELS_2 : PIXELS_1);
            for (size_t part = 0; part < parts; part++) {
                size_t begin = part_begin(count, parts, part);
                size_t end = part_begin(count, parts, part + 1);
                for (size_t k = begin; k < end; k++) from_first[k - begin] = x_at[k] - x_at[begin];
                t.x = f->source + x_at[begin];
                t.y = sums;
                t.y_at = sum_at + begin;
                tile_ask(&t, t.w + whole.w_col, width, f->pass->channels, part, parts);
                run_tile(f->pass, &t, vectors, end - begin);
            }
        }
        finish_sums(f, &whole, pixels, first, sums);
    }
}

/* Every phase of the images whose source is prepared, in a frame of `low` pixels. */
static void pass_run(const struct pass *p, struct phase *f, int low, bool grouped, size_t images)
{
    const float *packed = f->packed;
    f->pass = p;
    for (int phase = 0; phase < p->phases * p->phases; phase++) {
        f->v = pass_axis(p, true, phase / p->phases);
        f->h = pass_axis(p, false, phase % p->phases);
        f->origin = (ptrdiff_t)f->row_pitch * (f->v.first + low) +
                    (ptrdiff_t)f->pixel_pitch * (f->h.first + low);
        size_t taps = phase_taps_size(f);
        if (taps == 0 && f->residual == f->y) continue; /* nothing to add to what is there */
        if (grouped)
            phase_run_group(f, images);
        else
            phase_run_rows(f, images);
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
                      .v = pass_axis(p, true, 0),
                      .h = pass_axis(p, false, 0),
                      .packed = packed,
                      .epilogue = epilogue,
                      .source = p->pairs ? pairs : source,
                      .image_pitch = image,
                      .row_pitch = width * p->channels,
                      .pixel_pitch = p->channels,
                      .y = y,
                      .residual = epilogue->residual};
    if (p->pairs) copy_pixels(p, pairs, source, n * (size_t)p->source_height * width);
    phase_run_taps(&f, n, scratch);
}

static void pass_images(const struct pass *p, size_t n, const float *source, const float *packed,
                        const struct conv_epilogue *epilogue, float *y, float *scratch)
{
    if (n <= taps_images(p)) {
        pass_taps(p, n, source, packed, epilogue, y, scratch);
        return;
    }
    size_t image = pass_image(p), width = (size_t)p->source_width;
    size_t given = (size_t)p->source_height * width * p->given_channels;
    size_t out = (size_t)p->out_height * (size_t)p->out_width * p->outputs;
    bool flat = is_flat(p);
    size_t group = n >= GROUP_FEWEST && !flat ? pass_group(p) : 0;
    size_t most = flat ? flat_images(p) : group;
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
    struct pass p = pass_of(g, false);
    pass_part(&p, part);
    if (p.begin < p.end) pass_images(&p, (size_t)n, x, packed, epilogue, y, scratch);
}

void ISA(conv_backward_data)(const struct conv_geometry *g, int n, const float *dy,
                             const float *packed_back, bool accumulate, float *dx, void *scratch)
{
    struct pass p = pass_of(g, true);
    struct conv_epilogue epilogue = {.residual = accumulate ? dx : NULL};
    pass_images(&p, (size_t)n, dy, packed_back, &epilogue, dx, scratch);
}

#if HAS_BF16

/* --- forward with pairs ------------------------------------------------------------------- */

static struct pass pairs_of(const struct conv_geometry *g)
{
    struct pass p = pass_of(g, false);
    p.pairs = true;
    p.channels = (p.given_channels + 1) / 2;
    return p;
}

bool ISA(conv_pairs_takes)(const struct conv_geometry *g)
{
    return conv_groups(g) == 1;
}

size_t ISA(conv_pairs_packed_size)(const struct conv_geometry *g)
{
    struct pass p = pairs_of(g);
    return packed_size(&p);
}

size_t ISA(conv_pairs_scratch_bytes)(const struct conv_geometry *g)
{
    struct pass p = pairs_of(g);
    return pass_scratch(&p) * sizeof(float);
}

/* [block of outputs][tap][pair of channels][lane] */
void ISA(conv_pairs_pack)(const struct conv_geometry *g, const float *w, const float *scale,
                          float *packed)
{
    struct pass p = pairs_of(g);
    size_t taps = (size_t)g->kernel_height * (size_t)g->kernel_width, channels = p.given_channels;
    for (size_t first = 0; first < p.outputs; first += BLOCK) {
        size_t width = block_width(&p, first), lanes = min_size(p.outputs - first, width);
        for (size_t tap = 0; tap < taps; tap++) {
            for (size_t c = 0; c < channels; c += 2, packed += width) {
                float low[BLOCK] = {0}, high[BLOCK] = {0};
                for (size_t l = 0; l < lanes; l++) {
                    const float *from = w + ((first + l) * channels + c) * taps + tap;
                    float factor = scale != NULL ? scale[first + l] : 1;
                    low[l] = from[0] * factor;
                    high[l] = c + 1 < channels ? from[taps] * factor : 0;
                }
                for (size_t l = 0; l < width; l += LANES) {
                    vec_store(packed + l,
                              vec_interleave_pairs(vec_load(low + l), vec_load(high + l)));
                }
            }
        }
    }
}

void ISA(conv_pairs_forward)(const struct conv_geometry *g, int n, const float *x,
                             const float *packed, const struct conv_epilogue *epilogue, float *y,
                             void *scratch, struct conv_part part)
{
    struct pass p = pairs_of(g);
    pass_part(&p, part);
    if (p.begin < p.end) pass_images(&p, (size_t)n, x, packed, epilogue, y, scratch);
}

#endif
