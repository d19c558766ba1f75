/* Gradient of a convolution by its weights. For each tap it is a matrix product: inputs x outputs,
 * summed over the pixels of all images. A register tile of some input channels times one or two
 * vectors of output channels sums over the pixels of a block (some rows of an image, or some small
 * images) that stays in the caches; between blocks the sums wait in scratch. They are those of a
 * slab, some taps times some outputs, few enough to stay in the cache as well, and once at its end
 * they are added to dw in its own order. Taps outside the image are not visited: each tap has its
 * rectangle of pixels.
 *
 * What is read is the images themselves, but for three cases. With few input channels (a stem) a
 * tile would be too small to fill the registers, so all taps of a row together count as channels,
 * on copies of the images with a frame of zeros (framed). Where no pixel is seen by two taps (a
 * stride as large as the kernel) the pixels of a tap may lie far apart, mostly by a power of two,
 * so that they take each other's place in the caches; there a slab's are gathered, tap by tap. With
 * bfloat16 two images become one of pairs, in which every product is one of two images; whatever
 * holds for floats holds for the pairs.
 *
 * A convolution in groups is computed as a dense one, and what lies between groups is dropped
 * (simd_group.c). Left out: summing over threads, which is the caller's. */
#include "simd.h"

/* The pixels of one block, for one tap: `images` times `rows` times `columns`. */
struct patch {
    const float *x, *dy; /* of the first pixel, at the tile's first channels */
    size_t images, rows, columns;
    ptrdiff_t x_image, x_row, x_column; /* floats from one to the next */
    ptrdiff_t dy_image, dy_row, dy_column;
};

ALWAYS_INLINE vec multiply_add(const bool pairs, vec a, vec b, vec c)
{
#if HAS_BF16
    if (pairs) return vec_dot_pairs(a, b, c);
#endif
    (void)pairs;
    return vec_fma(a, b, c);
}

ALWAYS_INLINE void tile_body(const struct patch *a, size_t lanes, float *sums, const bool pairs,
                             const int vectors, const int inputs)
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
                    sum[i][0] = multiply_add(pairs, w, d0, sum[i][0]);
                    if (vectors > 1) sum[i][1] = multiply_add(pairs, w, d1, sum[i][1]);
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
        tile_body(a, lanes, sums, false, vectors, inputs);                                         \
    }

WEIGHT_TILES_1(TILE)
TILES_2(TILE)

typedef void tile_function(const struct patch *a, size_t lanes, float *sums);

static tile_function *const tiles_1[INPUTS_1 + 1] = {WEIGHT_TILES_1(TILE_ENTRY)};
static tile_function *const tiles_2[INPUTS_2 + 1] = {TILES_2(TILE_ENTRY)};

#if HAS_BF16
#define PAIRS(vectors, inputs)                                                                     \
    static void pairs_##vectors##_##inputs(const struct patch *a, size_t lanes, float *sums)       \
    {                                                                                              \
        tile_body(a, lanes, sums, true, vectors, inputs);                                          \
    }
#define PAIRS_ENTRY(vectors, inputs) [inputs] = pairs_##vectors##_##inputs,

WEIGHT_TILES_1(PAIRS)
TILES_2(PAIRS)

static tile_function *const pairs_1[INPUTS_1 + 1] = {WEIGHT_TILES_1(PAIRS_ENTRY)};
static tile_function *const pairs_2[INPUTS_2 + 1] = {TILES_2(PAIRS_ENTRY)};
#endif

static tile_function *tile_of(bool pairs, size_t vectors, size_t inputs)
{
#if HAS_BF16
    if (pairs) return (vectors > 1 ? pairs_2 : pairs_1)[inputs];
#endif
    (void)pairs;
    return (vectors > 1 ? tiles_2 : tiles_1)[inputs];
}

/* --- the convolution as this file sees it ----------------------------------------------------- */

struct shape {
    const struct conv_geometry *g;
    int out_height, out_width;
    int taps_down, taps_right; /* matrix products */
    size_t inputs;             /* rows of each */
    bool framed;               /* taps_right is 1, inputs are the taps of a row */
    bool gathered, pairs;
    int height, width, pad; /* of the images as they are read */
    size_t images, rows;    /* of a block; with pairs, images are two */
    size_t taps, outputs;   /* of a slab, outputs in whole blocks */
};

/* Pixels of a block: enough that loading and storing the sums does not count, few enough that x and
 * dy stay in L2 and one block of dy's channels in L1. Sums of a slab: a small part of L2. Pixels so
 * far apart that they share a set of the first-level cache are worth to be gathered; those that
 * become pairs are copied anyway. */
enum { BLOCK_PIXELS = 256, FEW_CHANNELS = 8, SLAB_SUMS = 40960, FAR_FLOATS = 1024 };

/* Whether no pixel is seen by two taps, though there are several or pixels that none sees. */
static bool is_disjoint(const struct conv_geometry *g, int out_height, int out_width)
{
    bool pointwise = g->kernel_height == 1 && g->kernel_width == 1 && g->stride == 1;
    return g->pad == 0 && !pointwise && (out_height == 1 || g->kernel_height <= g->stride) &&
           (out_width == 1 || g->kernel_width <= g->stride);
}

/* As many as there may be of `each` sums, at least one. */
static size_t slab_fits(size_t each, size_t most)
{
    size_t fit = SLAB_SUMS / each;
    return min_size(fit > 0 ? fit : 1, most);
}

static struct shape shape_of(const struct conv_geometry *g, bool pairs)
{
    struct shape s = {
        .g = g, .pairs = pairs, .out_height = conv_out_height(g), .out_width = conv_out_width(g)};
    size_t width = (size_t)s.out_width, pixels = (size_t)s.out_height * width;
    s.framed = g->in_channels < FEW_CHANNELS && g->kernel_width > 1;
    bool far = pairs || (size_t)g->stride * (size_t)g->in_channels >= FAR_FLOATS;
    s.gathered = far && !s.framed && is_disjoint(g, s.out_height, s.out_width);
    s.taps_down = g->kernel_height;
    s.taps_right = s.framed ? 1 : g->kernel_width;
    s.inputs = (size_t)(s.framed ? g->kernel_width : 1) * (size_t)g->in_channels;
    s.height = g->height + (s.framed ? 2 * g->pad : 0);
    s.width = g->width + (s.framed ? 2 * g->pad : 0);
    s.pad = s.framed ? 0 : g->pad;
    s.images = pixels < BLOCK_PIXELS ? BLOCK_PIXELS / pixels : 1;
    s.rows = width < BLOCK_PIXELS ? min_size(BLOCK_PIXELS / width, (size_t)s.out_height) : 1;
    size_t taps = (size_t)(s.taps_down * s.taps_right);
    size_t blocks = ((size_t)g->out_channels + BLOCK - 1) / BLOCK;
    size_t wide = slab_fits((s.gathered ? 1 : taps) * s.inputs * BLOCK, blocks);
    s.outputs = wide * BLOCK;
    s.taps = s.gathered ? slab_fits(s.inputs * s.outputs, taps) : taps;
    return s;
}

static size_t in_image(const struct shape *s)
{
    return (size_t)s->g->height * (size_t)s->g->width * (size_t)s->g->in_channels;
}

/* Floats of an image as it is read. */
static size_t shape_image(const struct shape *s)
{
    return (size_t)s->height * (size_t)s->width * (size_t)s->g->in_channels;
}

static size_t out_pixels(const struct shape *s)
{
    return (size_t)s->out_height * (size_t)s->out_width;
}

/* Floats of scratch: sums [block of outputs][tap][input][lane], a block's images as they are read,
 * its dy as pairs. */
static size_t sums_size(const struct shape *s)
{
    return s->taps * s->inputs * s->outputs;
}

static size_t copy_size(const struct shape *s)
{
    if (s->gathered) return s->images * out_pixels(s) * s->taps * s->inputs;
    return s->framed || s->pairs ? s->images * shape_image(s) : 0;
}

static size_t scratch_size(const struct shape *s)
{
    return sums_size(s) + copy_size(s) + (s->pairs ? s->images * out_pixels(s) * s->outputs : 0);
}

size_t ISA(conv_backward_weight_scratch)(const struct conv_geometry *g)
{
    struct shape s = shape_of(g, false);
    return scratch_size(&s);
}

/* --- what is read ----------------------------------------------------------------------------- */

/* Images of a block as they come: `step` floats apart; with pairs twice as many, or one less. */
struct images {
    const float *at;
    size_t step, count, given;
};

/* The i-th image's floats from `offset` on; with pairs those of two images. */
ALWAYS_INLINE void take(const struct shape *s, const struct images *m, size_t i, size_t offset,
                        size_t count, float *to)
{
#if HAS_BF16
    if (s->pairs) {
        const float *low = m->at + 2 * i * m->step + offset;
        const float *high = 2 * i + 1 < m->given ? low + m->step : NULL;
        for (size_t k = 0; k < count; k += LANES) {
            vec_mask here = vec_first(min_size(count - k, LANES));
            vec second = high != NULL ? vec_load_masked(high + k, here) : vec_zero();
            vec_store_masked(to + k, here,
                             vec_interleave_pairs(vec_load_masked(low + k, here), second));
        }
        return;
    }
#endif
    (void)s;
    copy_floats(to, m->at + i * m->step + offset, count);
}

static void frame(const struct shape *s, const struct images *m, float *to)
{
    const struct conv_geometry *g = s->g;
    size_t channels = (size_t)g->in_channels, row = (size_t)g->width * channels;
    for (size_t i = 0; i < m->count * shape_image(s); i++) to[i] = 0;
    for (size_t b = 0; b < m->count; b++) {
        for (size_t h = 0; h < (size_t)g->height; h++) {
            size_t at =
                (b * (size_t)s->height + h + (size_t)g->pad) * (size_t)s->width + (size_t)g->pad;
            take(s, m, b, h * row, row, to + at * channels);
        }
    }
}

/* to [tap of the slab][image][row][column][channel] */
static void gather(const struct shape *s, const struct images *m, size_t tap, size_t taps,
                   float *to)
{
    size_t channels = s->inputs, stride = (size_t)s->g->stride, right = (size_t)s->taps_right;
    size_t row = (size_t)s->g->width * channels, apart = m->count * out_pixels(s) * channels;
    for (size_t b = 0; b < m->count; b++) {
        for (size_t i = 0; i < (size_t)s->out_height; i++) {
            size_t at = (i * stride + tap / right) * row;
            for (size_t j = 0; j < (size_t)s->out_width; j++, to += channels) {
                size_t down = at, column = tap % right;
                for (size_t t = 0; t < taps; t++) {
                    take(s, m, b, down + (j * stride + column) * channels, channels,
                         to + t * apart);
                    if (++column < right) continue;
                    column = 0;
                    down += row;
                }
            }
        }
    }
}

/* --- products --------------------------------------------------------------------------------- */

/* A slab at work on a block of images. */
struct slab {
    const struct shape *s;
    size_t first, end;     /* outputs */
    size_t tap, taps;      /* the first tap, how many */
    const float *x, *dy;   /* dy at output `first` */
    size_t images, dy_row; /* floats of a pixel of dy */
    float *sums;
};

/* The outputs [*from, *to) whose tap lies inside an input of that size. */
static void outputs_inside(int tap, int pad, int stride, int size, int outputs, int *from, int *to)
{
    int shift = tap - pad;
    *from = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
    *to = size > shift ? min_int(outputs, (size - 1 - shift) / stride + 1) : 0;
}

/* The pixels of x for one tap and output rows [top, bottom); false: there are none. */
static bool tap_patch(const struct slab *l, size_t tap, int top, int bottom, struct patch *a)
{
    const struct shape *s = l->s;
    ptrdiff_t channels = s->g->in_channels, stride = s->g->stride;
    ptrdiff_t dy_column = (ptrdiff_t)l->dy_row, dy_row = s->out_width * dy_column;
    int kh = (int)tap / s->taps_right, kw = (int)tap % s->taps_right;
    int from = 0, to = s->out_height, left = 0, right = s->out_width;
    *a = (struct patch){.images = l->images,
                        .dy_image = s->out_height * dy_row,
                        .dy_row = dy_row,
                        .dy_column = dy_column};
    if (s->gathered) {
        size_t image = out_pixels(s) * s->inputs;
        a->x_image = (ptrdiff_t)image;
        a->x_row = s->out_width * channels;
        a->x_column = channels;
        a->x = l->x + (tap - l->tap) * l->images * image + top * a->x_row;
    } else {
        outputs_inside(kh, s->pad, s->g->stride, s->height, s->out_height, &from, &to);
        outputs_inside(kw, s->pad, s->g->stride, s->width, s->out_width, &left, &right);
    }
    top = max_int(top, from);
    bottom = min_int(bottom, to);
    if (bottom <= top || right <= left) return false;
    if (!s->gathered) {
        ptrdiff_t row = top * stride + kh - s->pad, column = left * stride + kw - s->pad;
        a->x_image = (ptrdiff_t)shape_image(s);
        a->x_row = stride * s->width * channels;
        a->x_column = stride * channels;
        a->x = l->x + (row * s->width + column) * channels;
    }
    a->dy = l->dy + top * dy_row + left * dy_column;
    a->rows = (size_t)(bottom - top);
    a->columns = (size_t)(right - left);
    return true;
}

/* One tap of a block of outputs. */
static void tap_run(const struct slab *l, size_t tap, size_t first, int top, int bottom,
                    float *sums)
{
    const struct shape *s = l->s;
    struct patch a;
    if (!tap_patch(l, tap, top, bottom, &a)) return;
    size_t lanes = min_size(l->end - first, BLOCK), vectors = lanes > LANES ? 2 : 1;
    size_t parts = part_count(s->inputs, vectors > 1 ? INPUTS_2 : INPUTS_1);
    const float *x = a.x;
    a.dy += first - l->first;
    for (size_t part = 0; part < parts; part++) {
        size_t begin = part_begin(s->inputs, parts, part);
        size_t count = part_begin(s->inputs, parts, part + 1) - begin;
        a.x = x + begin;
        tile_of(s->pairs, vectors, count)(&a, lanes, sums + begin * vectors * LANES);
    }
}

static void slab_run(const struct slab *l)
{
    const struct shape *s = l->s;
    float *sums = l->sums;
    for (size_t first = l->first; first < l->end; first += BLOCK) {
        size_t width = l->end - first > LANES ? BLOCK : LANES;
        for (int top = 0; top < s->out_height; top += (int)s->rows) {
            int bottom = min_int(top + (int)s->rows, s->out_height);
            for (size_t t = 0; t < l->taps; t++)
                tap_run(l, l->tap + t, first, top, bottom, sums + t * s->inputs * width);
        }
        sums += l->taps * s->inputs * width;
    }
}

/* dw [o][i of its group][kh][kw] += the slab's sums. */
static void slab_add(const struct slab *l, float *dw)
{
    const struct conv_geometry *g = l->s->g;
    size_t taps = (size_t)g->kernel_height * (size_t)g->kernel_width;
    size_t channels = (size_t)g->in_channels, groups = (size_t)conv_groups(g);
    size_t inputs = channels / groups, outputs = (size_t)g->out_channels / groups;
    /* A framed tap is a whole row of them. */
    size_t tap = l->tap, count = l->s->framed ? taps : l->taps;
    const float *sums = l->sums;
    for (size_t first = l->first; first < l->end; first += BLOCK) {
        size_t lanes = min_size(l->end - first, BLOCK), width = lanes > LANES ? BLOCK : LANES;
        for (size_t lane = 0; lane < lanes; lane++) {
            size_t begin = (first + lane) / outputs * inputs;
            float *to = dw + (first + lane) * inputs * taps + tap;
            for (size_t i = begin; i < begin + inputs; i++, to += taps) {
                for (size_t t = 0; t < count; t++) to[t] += sums[(t * channels + i) * width + lane];
            }
        }
        sums += count * channels * width;
    }
}

/* The slab over all images. */
static void slab_sum(struct slab *l, int n, const float *x, const float *dy, float *scratch)
{
    const struct shape *s = l->s;
    size_t outputs = (size_t)s->g->out_channels, pixels = out_pixels(s), each = s->pairs ? 2 : 1;
    size_t count = ((size_t)n + each - 1) / each, span = l->end - l->first;
    float *copy = scratch + sums_size(s), *dy_copy = copy + copy_size(s);
    l->sums = scratch;
    for (size_t i = 0; i < sums_size(s); i++) l->sums[i] = 0;
    for (size_t b = 0; b < count; b += s->images) {
        struct images m = {.at = x + each * b * in_image(s),
                           .step = in_image(s),
                           .count = min_size(count - b, s->images),
                           .given = (size_t)n - each * b};
        struct images dm = {.at = dy + each * b * pixels * outputs,
                            .step = pixels * outputs,
                            .count = m.count,
                            .given = m.given};
        l->images = m.count;
        l->x = copy;
        if (s->framed)
            frame(s, &m, copy);
        else if (s->gathered)
            gather(s, &m, l->tap, l->taps, copy);
        else if (s->pairs)
            for (size_t i = 0; i < m.count; i++)
                take(s, &m, i, 0, in_image(s), copy + i * in_image(s));
        else
            l->x = m.at;
        l->dy = s->pairs ? dy_copy : dm.at + l->first;
        l->dy_row = s->pairs ? span : outputs;
        for (size_t i = 0; s->pairs && i < m.count * pixels; i++)
            take(s, &dm, i / pixels, i % pixels * outputs + l->first, span, dy_copy + i * span);
        slab_run(l);
    }
}

static void backward_weight(const struct shape *s, int n, const float *x, const float *dy,
                            float *dw, float *scratch)
{
    size_t outputs = (size_t)s->g->out_channels, taps = (size_t)(s->taps_down * s->taps_right);
    for (size_t first = 0; first < outputs; first += s->outputs) {
        for (size_t tap = 0; tap < taps; tap += s->taps) {
            struct slab l = {.s = s,
                             .first = first,
                             .end = min_size(first + s->outputs, outputs),
                             .tap = tap,
                             .taps = min_size(taps - tap, s->taps)};
            slab_sum(&l, n, x, dy, scratch);
            slab_add(&l, dw);
        }
    }
}

void ISA(conv_backward_weight)(const struct conv_geometry *g, int n, const float *x,
                               const float *dy, float *dw, void *scratch)
{
    struct shape s = shape_of(g, false);
    backward_weight(&s, n, x, dy, dw, scratch);
}

#if HAS_BF16

/* --- with pairs ------------------------------------------------------------------------------- */

size_t ISA(pairs_weight_scratch)(const struct conv_geometry *g)
{
    struct shape s = shape_of(g, true);
    return scratch_size(&s) * sizeof(float);
}

void ISA(pairs_weight)(const struct conv_geometry *g, int n, const float *x, const float *dy,
                       float *dw, void *scratch)
{
    struct shape s = shape_of(g, true);
    backward_weight(&s, n, x, dy, dw, scratch);
}

#endif
