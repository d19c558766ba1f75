/* Gradient of a convolution by its weights. For each tap it is a matrix product: inputs x outputs,
 * summed over the pixels of all images. A register tile of some input channels times one or two
 * vectors of output channels sums over the pixels of a block (some rows of an image, or some small
 * images) that stays in the caches; between blocks the sums wait in scratch, and once at the end
 * they are added to dw in its own order. Taps outside the image are not visited: each tap has its
 * rectangle of pixels. With few input channels (a stem) a tile would be too small to fill the
 * registers, so there all taps of a row together count as channels, on copies of the images with a
 * frame of zeros. A convolution in groups is computed as a dense one, and what lies between groups
 * is dropped (simd_group.c). Left out: summing over threads, which is the caller's. */
#include "simd.h"

/* The pixels of one block, for one tap: `images` times `rows` times `columns`. */
struct patch {
    const float *x, *dy; /* of the first pixel, at the tile's first channels */
    size_t images, rows, columns;
    ptrdiff_t x_image, x_row, x_column; /* floats from one to the next */
    ptrdiff_t dy_image, dy_row, dy_column;
};

ALWAYS_INLINE void tile_body(const struct patch *a, size_t lanes, float *sums, const int vectors,
                             const int inputs)
{
    vec sum[INPUTS_1][2];
    vec_mask m0 = vec_first(min_size(lanes, LANES));
    vec_mask m1 = vec_first(vectors > 1 ? lanes - LANES : 0);
    UNROLL
    for (int i = 0; i < inputs; i++) {
        UNROLL
        for (int v = 0; v < vectors; v++) sum[i][v] = vec_load(sums + (i * vectors + v) * LANES);
    }
    for (size_t b = 0; b < a->images; b++) {
        for (size_t r = 0; r < a->rows; r++) {
            const float *x = a->x + (ptrdiff_t)b * a->x_image + (ptrdiff_t)r * a->x_row;
            const float *dy = a->dy + (ptrdiff_t)b * a->dy_image + (ptrdiff_t)r * a->dy_row;
            for (size_t c = 0; c < a->columns; c++, x += a->x_column, dy += a->dy_column) {
                vec d0 = vec_load_masked(dy, m0);
                vec d1 = vectors > 1 ? vec_load_masked(dy + LANES, m1) : vec_zero();
                UNROLL
                for (int i = 0; i < inputs; i++) {
                    vec w = vec_set(x[i]);
                    sum[i][0] = vec_fma(w, d0, sum[i][0]);
                    if (vectors > 1) sum[i][1] = vec_fma(w, d1, sum[i][1]);
                }
            }
        }
    }
    UNROLL
    for (int i = 0; i < inputs; i++) {
        UNROLL
        for (int v = 0; v < vectors; v++) vec_store(sums + (i * vectors + v) * LANES, sum[i][v]);
    }
}

#define TILE(vectors, inputs)                                                                      \
    static void tile_##vectors##_##inputs(const struct patch *a, size_t lanes, float *sums)        \
    {                                                                                              \
        tile_body(a, lanes, sums, vectors, inputs);                                                \
    }

WEIGHT_TILES_1(TILE)
TILES_2(TILE)

typedef void tile_function(const struct patch *a, size_t lanes, float *sums);

static tile_function *const tiles_1[INPUTS_1 + 1] = {WEIGHT_TILES_1(TILE_ENTRY)};
static tile_function *const tiles_2[INPUTS_2 + 1] = {TILES_2(TILE_ENTRY)};

/* The convolution as this file sees it. */
struct shape {
    const struct conv_geometry *g;
    int out_height, out_width;
    int taps_down, taps_right; /* matrix products */
    size_t inputs;             /* rows of each */
    bool framed;               /* taps_right is 1, inputs are the taps of a row */
    int height, width, pad;    /* of the images as they are read */
    size_t images, rows;       /* of a block */
};

/* Pixels of a block: enough that loading and storing the sums does not count, few enough that x and
 * dy stay in L2 and one block of dy's channels in L1. */
enum { BLOCK_PIXELS = 256, FEW_CHANNELS = 8 };

static struct shape shape_of(const struct conv_geometry *g)
{
    struct shape s = {.g = g, .out_height = conv_out_height(g), .out_width = conv_out_width(g)};
    size_t width = (size_t)s.out_width, pixels = (size_t)s.out_height * width;
    s.framed = g->in_channels < FEW_CHANNELS && g->kernel_width > 1;
    s.taps_down = g->kernel_height;
    s.taps_right = s.framed ? 1 : g->kernel_width;
    s.inputs = (size_t)(s.framed ? g->kernel_width : 1) * (size_t)g->in_channels;
    s.height = g->height + (s.framed ? 2 * g->pad : 0);
    s.width = g->width + (s.framed ? 2 * g->pad : 0);
    s.pad = s.framed ? 0 : g->pad;
    s.images = pixels < BLOCK_PIXELS ? BLOCK_PIXELS / pixels : 1;
    s.rows = width < BLOCK_PIXELS ? min_size(BLOCK_PIXELS / width, (size_t)s.out_height) : 1;
    return s;
}

static size_t shape_image(const struct shape *s)
{
    return (size_t)s->height * (size_t)s->width * (size_t)s->g->in_channels;
}

static size_t sums_size(const struct shape *s)
{
    return (size_t)(s->taps_down * s->taps_right) * s->inputs * BLOCK;
}

size_t ISA(conv_backward_weight_scratch)(const struct conv_geometry *g)
{
    struct shape s = shape_of(g);
    return sums_size(&s) + (s.framed ? s.images * shape_image(&s) : 0);
}

static void frame(const struct shape *s, size_t images, const float *x, float *to)
{
    const struct conv_geometry *g = s->g;
    size_t channels = (size_t)g->in_channels, row = (size_t)g->width * channels;
    for (size_t i = 0; i < images * shape_image(s); i++) to[i] = 0;
    for (size_t b = 0; b < images; b++) {
        for (int h = 0; h < g->height; h++, x += row) {
            size_t at =
                (b * (size_t)s->height + (size_t)(h + g->pad)) * (size_t)s->width + (size_t)g->pad;
            copy_floats(to + at * channels, x, row);
        }
    }
}

/* The outputs [*from, *to) whose tap lies inside an input of that size. */
static void outputs_inside(int tap, int pad, int stride, int size, int outputs, int *from, int *to)
{
    int shift = tap - pad;
    *from = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
    *to = size > shift ? min_int(outputs, (size - 1 - shift) / stride + 1) : 0;
}

/* All input channels of one tap, over the pixels of one block: output rows [top, bottom). */
static void tap_run(const struct shape *s, int kh, int kw, size_t images, int top, int bottom,
                    const float *x, const float *dy, size_t lanes, size_t vectors, float *sums)
{
    const struct conv_geometry *g = s->g;
    int from, to, left, right;
    outputs_inside(kh, s->pad, g->stride, s->height, s->out_height, &from, &to);
    outputs_inside(kw, s->pad, g->stride, s->width, s->out_width, &left, &right);
    top = max_int(top, from);
    bottom = min_int(bottom, to);
    if (bottom <= top || right <= left) return;
    ptrdiff_t channels = g->in_channels, outputs = g->out_channels;
    ptrdiff_t row = top * g->stride + kh - s->pad, column = left * g->stride + kw - s->pad;
    struct patch a = {.dy = dy + (top * (ptrdiff_t)s->out_width + left) * outputs,
                      .images = images,
                      .rows = (size_t)(bottom - top),
                      .columns = (size_t)(right - left),
                      .x_image = (ptrdiff_t)shape_image(s),
                      .x_row = g->stride * s->width * channels,
                      .x_column = g->stride * channels,
                      .dy_image = s->out_height * (ptrdiff_t)s->out_width * outputs,
                      .dy_row = s->out_width * outputs,
                      .dy_column = outputs};
    size_t parts = part_count(s->inputs, vectors > 1 ? INPUTS_2 : INPUTS_1);
    for (size_t part = 0; part < parts; part++) {
        size_t begin = part_begin(s->inputs, parts, part);
        size_t count = part_begin(s->inputs, parts, part + 1) - begin;
        a.x = x + (row * s->width + column) * channels + (ptrdiff_t)begin;
        (vectors > 1 ? tiles_2 : tiles_1)[count](&a, lanes, sums + begin * vectors * LANES);
    }
}

/* dw [o][i of its group][kh][kw] += sums [kh][kw][i][lane of o], for the filters [first, first +
 * lanes). */
static void add_sums(const struct shape *s, const float *sums, size_t first, size_t lanes,
                     size_t width, float *dw)
{
    size_t taps = (size_t)s->g->kernel_height * (size_t)s->g->kernel_width;
    size_t channels = (size_t)s->g->in_channels, groups = (size_t)conv_groups(s->g);
    size_t inputs = channels / groups, outputs = (size_t)s->g->out_channels / groups;
    dw += first * inputs * taps;
    for (size_t l = 0; l < lanes; l++) {
        size_t begin = (first + l) / outputs * inputs;
        for (size_t i = begin; i < begin + inputs; i++) {
            for (size_t t = 0; t < taps; t++) *dw++ += sums[(t * channels + i) * width + l];
        }
    }
}

void ISA(conv_backward_weight)(const struct conv_geometry *g, int n, const float *x,
                               const float *dy, float *dw, void *scratch)
{
    struct shape s = shape_of(g);
    size_t outputs = (size_t)g->out_channels, filter = sums_size(&s) / BLOCK;
    size_t x_image = (size_t)g->height * (size_t)g->width * (size_t)g->in_channels;
    size_t dy_image = (size_t)s.out_height * (size_t)s.out_width * outputs;
    float *sums = scratch, *copy = sums + sums_size(&s);
    for (size_t first = 0; first < outputs; first += BLOCK) {
        size_t lanes = min_size(outputs - first, BLOCK), vectors = lanes > LANES ? 2 : 1;
        size_t tap_size = s.inputs * vectors * LANES;
        for (size_t i = 0; i < filter * vectors * LANES; i++) sums[i] = 0;
        for (size_t b = 0; b < (size_t)n; b += s.images) {
            size_t images = min_size((size_t)n - b, s.images);
            const float *from = x + b * x_image;
            if (s.framed) {
                frame(&s, images, from, copy);
                from = copy;
            }
            for (int top = 0; top < s.out_height; top += (int)s.rows) {
                int bottom = min_int(top + (int)s.rows, s.out_height);
                for (int tap = 0; tap < s.taps_down * s.taps_right; tap++) {
                    tap_run(&s, tap / s.taps_right, tap % s.taps_right, images, top, bottom, from,
                            dy + b * dy_image + first, lanes, vectors,
                            sums + (size_t)tap * tap_size);
                }
            }
        }
        add_sums(&s, sums, first, lanes, vectors * LANES, dw);
    }
}
