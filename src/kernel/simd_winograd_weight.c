/* The gradient of a 3x3 convolution of stride 1 by its weights, by Winograd's F(4x4, 3x3) turned
 * round: with V the points of the pixels of a tile and D those of the 4x4 gradients of its outputs,
 * the points of the gradient are the sums of V times D over all tiles, 36 products of matrices,
 * which become nine taps once at the end: 36 multiplications for 16 pixels instead of 144.
 *
 * Some tiles are transformed at a time. Then for each block of inputs and of outputs M [36][input]
 * [output] is computed, made taps and added to dw, so that M and the V of a block of inputs stay
 * in the second-level cache while all D pass. The sums are in the order of tiles. Groups are
 * computed one after the other. Left out: which convolutions (winograd_takes()). */
#include "simd.h"

enum {
    POINTS = 36,
    OUT = 4,
    SIDE = 6,

    /* Measured on a Zen 5 with 1 MB of L2: the most tiles at a time, and floats of V and D. */
    ROOM = 128,
    FLOATS = 1 << 21,
    INPUTS = 32, /* of a block; a multiple of LANES */
};

struct layout {
    size_t groups, inputs, outputs; /* channels of a group */
    size_t across, down, tiles;     /* tiles of an image */
    size_t room;                    /* tiles at a time */
    size_t v_point, d_point, m_point;
    size_t v_block, d_block;
};

static struct layout layout_of(const struct conv_geometry *g)
{
    struct layout l = {.groups = (size_t)conv_groups(g)};
    l.inputs = (size_t)g->in_channels / l.groups;
    l.outputs = (size_t)g->out_channels / l.groups;
    l.across = ((size_t)conv_out_width(g) + OUT - 1) / OUT;
    l.down = ((size_t)conv_out_height(g) + OUT - 1) / OUT;
    l.tiles = l.across * l.down;
    l.room = min_size(FLOATS / (POINTS * (l.inputs + l.outputs)), ROOM);
    if (l.room < LANES) l.room = LANES;
    /* A line more than a power of two, or all points of a tile would meet in one set of the cache.
     */
    l.v_point = l.room * INPUTS + 16;
    l.d_point = l.room * BLOCK + 16;
    l.m_point = INPUTS * BLOCK + 16;
    l.v_block = POINTS * l.v_point;
    l.d_block = POINTS * l.d_point;
    return l;
}

/* V [block of inputs][point][tile][input], D [block of outputs][point][tile][output], M, taps
 * [input][tap][lane] of a vector of outputs, the pixels of a tile at the border. */
static size_t frame_size(const struct layout *l)
{
    size_t x = SIDE * SIDE * l->inputs, dy = OUT * OUT * l->outputs;
    return x > dy ? x : dy;
}

size_t ISA(winograd_weight_scratch)(const struct conv_geometry *g)
{
    struct layout l = layout_of(g);
    size_t floats = part_count(l.inputs, INPUTS) * l.v_block +
                    part_count(l.outputs, BLOCK) * l.d_block + POINTS * l.m_point +
                    (size_t)INPUTS * 9 * LANES + frame_size(&l);
    return floats * sizeof(float);
}

/* A call's arrays. */
struct run {
    struct layout l;
    const struct conv_geometry *g;
    const float *x, *dy;
    float *dw;
    float *v, *d, *m, *taps, *frame;
};

/* A map of which square tiles are made points. */
struct map {
    const float *image; /* of the first tile's, at the group's first channel */
    int height, width;
    size_t pixel, channels;
    int side;
    size_t block, block_size, point; /* channels of a block of points, floats of it, of a point */
    float *to;
    void (*transform)(const struct winograd_in *t);
};

/* Tile `at` of those that are worked on, whose first pixel is (row, column). */
static void transform_tile(const struct run *r, const struct map *m, size_t at, const float *image,
                           int row, int column)
{
    struct winograd_in t = {.point = m->point};
    const float *x = r->frame;
    if (row >= 0 && column >= 0 && row + m->side <= m->height && column + m->side <= m->width) {
        x = image + ((size_t)row * (size_t)m->width + (size_t)column) * m->pixel;
        t.row = (size_t)m->width * m->pixel;
        t.column = m->pixel;
    } else {
        ISA(winograd_frame)
        (image, m->height, m->width, m->pixel, row, column, m->side, m->channels, r->frame);
        t.row = (size_t)m->side * m->channels;
        t.column = m->channels;
    }
    float *to = m->to;
    for (size_t c = 0; c < m->channels; c += m->block, to += m->block_size) {
        t.x = x + c;
        t.channels = min_size(m->channels - c, m->block);
        t.to = to + at * m->block;
        m->transform(&t);
    }
}

/* V and D of the tiles [first, first + count) of the batch. */
static void transform(const struct run *r, size_t group, size_t first, size_t count)
{
    const struct layout *l = &r->l;
    const struct conv_geometry *g = r->g;
    const struct map x = {.height = g->height,
                          .width = g->width,
                          .pixel = (size_t)g->in_channels,
                          .channels = l->inputs,
                          .side = SIDE,
                          .block = INPUTS,
                          .block_size = l->v_block,
                          .point = l->v_point,
                          .to = r->v,
                          .transform = ISA(winograd_in_4)};
    const struct map dy = {.height = conv_out_height(g),
                           .width = conv_out_width(g),
                           .pixel = (size_t)g->out_channels,
                           .channels = l->outputs,
                           .side = OUT,
                           .block = BLOCK,
                           .block_size = l->d_block,
                           .point = l->d_point,
                           .to = r->d,
                           .transform = ISA(winograd_gradient_4)};
    for (size_t k = 0; k < count; k++) {
        size_t image = (first + k) / l->tiles, in_image = (first + k) % l->tiles;
        int row = (int)(in_image / l->across) * OUT, column = (int)(in_image % l->across) * OUT;
        size_t pixels = (size_t)x.height * (size_t)x.width;
        size_t outputs = (size_t)dy.height * (size_t)dy.width;
        transform_tile(r, &x, k, r->x + image * pixels * x.pixel + group * l->inputs, row - g->pad,
                       column - g->pad);
        transform_tile(r, &dy, k, r->dy + image * outputs * dy.pixel + group * l->outputs, row,
                       column);
    }
}

/* M of a block of inputs and one of outputs. */
static void multiply(const struct run *r, size_t count, const float *v, size_t inputs,
                     const float *d, size_t outputs)
{
    size_t vectors = outputs > LANES ? 2 : 1;
    size_t parts = part_count(inputs, vectors > 1 ? INPUTS_2 : INPUTS_1);
    struct product_sums p = {.depth = count, .a_step = INPUTS};
    for (size_t i = 0; i < POINTS; i++) {
        p.b = d + i * r->l.d_point;
        for (size_t part = 0; part < parts; part++) {
            size_t begin = part_begin(inputs, parts, part);
            p.a = v + i * r->l.v_point + begin;
            p.c = r->m + i * r->l.m_point + begin * BLOCK;
            ISA(product_sums_run)(&p, vectors, part_begin(inputs, parts, part + 1) - begin);
        }
    }
}

/* Adds M to dw of the same inputs and outputs; dw points to the first filter's first input. */
static void add_taps(const struct run *r, size_t inputs, size_t outputs, float *dw)
{
    size_t filter = r->l.inputs * 9;
    for (size_t o = 0; o < outputs; o += LANES, dw += LANES * filter) {
        for (size_t i = 0; i < inputs; i++)
            ISA(winograd_taps)(r->m + i * BLOCK + o, r->l.m_point, r->taps + i * 9 * LANES);
        ISA(add_turned)(r->taps, inputs * 9, min_size(outputs - o, LANES), filter, dw);
    }
}

static void run_group(const struct run *r, size_t group, size_t first, size_t count)
{
    const struct layout *l = &r->l;
    float *dw = r->dw + group * l->outputs * l->inputs * 9;
    transform(r, group, first, count);
    for (size_t i = 0; i < l->inputs; i += INPUTS) {
        size_t inputs = min_size(l->inputs - i, INPUTS);
        for (size_t o = 0; o < l->outputs; o += BLOCK) {
            size_t outputs = min_size(l->outputs - o, BLOCK);
            multiply(r, count, r->v + i / INPUTS * l->v_block, inputs,
                     r->d + o / BLOCK * l->d_block, outputs);
            add_taps(r, inputs, outputs, dw + (o * l->inputs + i) * 9);
        }
    }
}

void ISA(winograd_backward_weight)(const struct conv_geometry *g, int n, const float *x,
                                   const float *dy, float *dw, void *scratch)
{
    struct run r = {.l = layout_of(g), .g = g, .x = x, .dy = dy, .dw = dw, .v = scratch};
    size_t tiles = (size_t)n * r.l.tiles, blocks = part_count(tiles, r.l.room);
    r.d = r.v + part_count(r.l.inputs, INPUTS) * r.l.v_block;
    r.m = r.d + part_count(r.l.outputs, BLOCK) * r.l.d_block;
    r.taps = r.m + POINTS * r.l.m_point;
    r.frame = r.taps + (size_t)INPUTS * 9 * LANES;
    for (size_t group = 0; group < r.l.groups; group++) {
        for (size_t block = 0; block < blocks; block++) {
            size_t begin = part_begin(tiles, blocks, block);
            run_group(&r, group, begin, part_begin(tiles, blocks, block + 1) - begin);
        }
    }
}
