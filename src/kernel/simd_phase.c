/* The pixels of one phase of a convolution as register tiles (simd_tile.c): which pixels make a
 * tile, where they stand in the source and in y, and which weights are asked for meanwhile. Left
 * out: how the source got where it stands (simd_conv.c). */
#include "simd_phase.h"

#include <math.h>

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

/* Sums of slices wait in y, so there is but one where y is what is added. */
void ISA(phase_run_rows)(const struct phase *f, size_t images)
{
    const struct pass *p = f->pass;
    int slices = f->residual != f->y ? ISA(pass_slices)(p) : 1;
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

void ISA(phase_run_group)(const struct phase *f, size_t images)
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

void ISA(phase_run_taps)(const struct phase *f, size_t images, float *sums)
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
