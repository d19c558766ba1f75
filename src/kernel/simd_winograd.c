/* 3x3 convolutions of stride 1, forward and backward to the data, by Winograd's F(4x4, 3x3): 36
 * products of matrices make 16 outputs, which take 144 multiplications directly. A block of tiles
 * goes through all of it before the next one is begun, so that the points, V [36][tile][channel] of
 * the input and M [36][tile][output] of a block of outputs, stay in the second-level cache.
 *
 * There are three ways to have the transformed weights, U. The plain one keeps them packed, four
 * times as large as the weights themselves: right for few channels. The lean one makes them at
 * every call, a slice of channels and outputs at a time, from the weights as the direct convolution
 * has them: right for many channels, where four times the weights would have to come from memory
 * and one slice serves many tiles. The small one is F(2x2, 3x3): 16 products make 4 outputs, from
 * packed weights less than twice as large: right for so few tiles that reading weights is what
 * takes the time.
 *
 * The gradient by the data is the convolution of dy with the kernel turned by half, its in- and
 * outputs exchanged. An image's result does not depend on the batch: every sum is in the order of
 * channels. Left out: the gradient by the weights (simd_winograd_weight.c), other kernels, other
 * tiles.
 *
 * Groups are computed one after the other; ones that are narrower than a vector are left to the
 * direct way. */
#include "simd.h"

enum {
    PACKED_CHANNELS = 8, /* at a time */

    /* Measured on a Zen 5 with 1 MB of L2: floats of V and M of a block, which leaves a third of
     * the cache to the weights that pass; of the lean way, tiles of a block and channels of a
     * slice. */
    BLOCK_FLOATS = 163840,
    LEAN_ROOM = 64,
    LEAN_SLICE = 64,

    PART_TILES = 16, /* fewest tiles of a part; with fewer, parts are outputs */
};

/* One of the three ways. */
struct way {
    int out; /* pixels of a tile, in each direction; its input has two more */
    bool lean;
    void (*in)(const struct winograd_in *t);
    void (*to_outputs)(const struct winograd_out *t);
    void (*weights)(const float *w, size_t tap, size_t depth, size_t width, float *u, size_t point);
};

static const struct way plain = {4, false, ISA(winograd_in_4), ISA(winograd_out_4),
                                 ISA(winograd_weights_4)};
static const struct way lean = {4, true, ISA(winograd_in_4), ISA(winograd_out_4),
                                ISA(winograd_weights_4)};
static const struct way small = {2, false, ISA(winograd_in_2), ISA(winograd_out_2),
                                 ISA(winograd_weights_2)};

/* Sizes of one convolution's blocks. */
struct layout {
    const struct conv_geometry *g;
    const struct way *way;
    size_t points;
    size_t groups, inputs, outputs; /* channels of a group */
    size_t across, down, tiles;     /* tiles of an image */
    size_t room;                    /* tiles of a block at most */
    size_t channels;                /* inputs, in whole vectors */
    size_t slice;                   /* channels of U at a time; lean only */
    size_t v_point, m_point, u_point;
};

static struct layout layout_of(const struct conv_geometry *g, const struct way *way)
{
    struct layout l = {.g = g, .way = way, .groups = (size_t)conv_groups(g)};
    size_t out = (size_t)way->out;
    l.points = (out + 2) * (out + 2);
    l.inputs = (size_t)g->in_channels / l.groups;
    l.outputs = (size_t)g->out_channels / l.groups;
    l.across = ((size_t)conv_out_width(g) + out - 1) / out;
    l.down = ((size_t)conv_out_height(g) + out - 1) / out;
    l.tiles = l.across * l.down;
    l.channels = (l.inputs + LANES - 1) / LANES * LANES;
    if (way->lean) {
        l.slice = min_size(l.channels, LEAN_SLICE);
        l.room = LEAN_ROOM;
    } else {
        l.slice = l.channels;
        l.room = BLOCK_FLOATS / (l.points * (l.channels + BLOCK));
        if (l.room < PIXELS_2) l.room = PIXELS_2;
    }
    /* A line more than a power of two, or all points of a tile would meet in one set of the cache.
     */
    l.v_point = l.room * l.channels + 16;
    l.m_point = l.room * BLOCK + 16;
    l.u_point = l.slice * BLOCK + 16;
    return l;
}

bool ISA(winograd_takes)(const struct conv_geometry *g)
{
    int groups = conv_groups(g);
    return g->kernel_height == 3 && g->kernel_width == 3 && g->stride == 1 &&
           (groups == 1 || (g->in_channels / groups >= LANES && g->out_channels / groups >= LANES));
}

/* Its weights are those of the direct way, which may pack several groups as one. */
bool ISA(winograd_lean_takes)(const struct conv_geometry *g)
{
    return ISA(winograd_takes)(g) && ISA(conv_bundles)(g) == conv_groups(g);
}

/* The convolution that the way back to the data is. */
static struct conv_geometry turned(const struct conv_geometry *g)
{
    struct conv_geometry back = *g;
    back.height = conv_out_height(g);
    back.width = conv_out_width(g);
    back.in_channels = g->out_channels;
    back.out_channels = g->in_channels;
    back.pad = g->kernel_height - 1 - g->pad;
    return back;
}

bool ISA(winograd_back_takes)(const struct conv_geometry *g)
{
    return ISA(winograd_takes)(g) && g->pad < g->kernel_height;
}

bool ISA(winograd_lean_back_takes)(const struct conv_geometry *g)
{
    return ISA(winograd_back_takes)(g) && ISA(winograd_lean_takes)(g);
}

/* V, M, the pixels of a tile at the border, U. */
static size_t scratch_bytes(const struct conv_geometry *g, const struct way *way)
{
    struct layout l = layout_of(g, way);
    size_t floats = l.v_point + l.m_point + l.channels + (way->lean ? l.u_point : 0);
    return l.points * floats * sizeof(float);
}

size_t ISA(winograd_scratch_bytes)(const struct conv_geometry *g)
{
    return scratch_bytes(g, &plain);
}

size_t ISA(winograd_lean_scratch_bytes)(const struct conv_geometry *g)
{
    return scratch_bytes(g, &lean);
}

size_t ISA(winograd_small_scratch_bytes)(const struct conv_geometry *g)
{
    return scratch_bytes(g, &small);
}

size_t ISA(winograd_back_scratch)(const struct conv_geometry *g)
{
    const struct conv_geometry back = turned(g);
    return scratch_bytes(&back, &plain);
}

size_t ISA(winograd_lean_back_scratch)(const struct conv_geometry *g)
{
    const struct conv_geometry back = turned(g);
    return scratch_bytes(&back, &lean);
}

/* --- packed weights, not of the lean way: [group][block of outputs][point][channel][lane] ----- */

static size_t outputs_padded(const struct layout *l)
{
    return (l->outputs + LANES - 1) / LANES * LANES;
}

static size_t packed_size(const struct conv_geometry *g, const struct way *way)
{
    struct layout l = layout_of(g, way);
    return l.groups * l.points * outputs_padded(&l) * l.inputs;
}

size_t ISA(winograd_packed_size)(const struct conv_geometry *g)
{
    return packed_size(g, &plain);
}

size_t ISA(winograd_small_packed_size)(const struct conv_geometry *g)
{
    return packed_size(g, &small);
}

size_t ISA(winograd_back_packed_size)(const struct conv_geometry *g)
{
    const struct conv_geometry back = turned(g);
    return packed_size(&back, &plain);
}

/* Where the weights of a group lie: its first tap, and floats from one to the next. */
struct weights {
    const float *w;
    ptrdiff_t output, channel, tap;
    const float *scale; /* by output, or NULL */
};

/* Nine taps [tap][channel][output] of some channels and a block of outputs, `depth` and `width`;
 * outputs that there are not have weights of 0. */
static void copy_taps(const struct layout *l, const struct weights *w, size_t first, size_t width,
                      size_t channel, size_t depth, float *taps)
{
    size_t lanes = min_size(l->outputs - first, width);
    if (lanes < width) clear_floats(taps, 9 * depth * width);
    for (size_t f = 0; f < lanes; f++) {
        const float *of =
            w->w + (ptrdiff_t)(first + f) * w->output + (ptrdiff_t)channel * w->channel;
        float scale = w->scale != NULL ? w->scale[first + f] : 1;
        for (size_t c = 0; c < depth; c++, of += w->channel) {
            for (size_t t = 0; t < 9; t++)
                taps[(t * depth + c) * width + f] = scale * of[(ptrdiff_t)t * w->tap];
        }
    }
}

static void pack_group(const struct layout *l, const struct weights *w, float *packed)
{
    float taps[9 * PACKED_CHANNELS * BLOCK];
    for (size_t first = 0; first < l->outputs; first += BLOCK) {
        size_t width = min_size(outputs_padded(l) - first, BLOCK);
        for (size_t c = 0; c < l->inputs; c += PACKED_CHANNELS) {
            size_t depth = min_size(l->inputs - c, PACKED_CHANNELS);
            copy_taps(l, w, first, width, c, depth, taps);
            l->way->weights(taps, depth * width, depth, width, packed + c * width,
                            l->inputs * width);
        }
        packed += l->points * l->inputs * width;
    }
}

static void pack(const struct conv_geometry *g, const struct way *way, const float *w,
                 const float *scale, float *packed)
{
    struct layout l = layout_of(g, way);
    for (size_t i = 0; i < l.groups; i++) {
        const struct weights of = {w + i * l.outputs * l.inputs * 9, (ptrdiff_t)l.inputs * 9, 9, 1,
                                   scale != NULL ? scale + i * l.outputs : NULL};
        pack_group(&l, &of, packed + i * l.points * outputs_padded(&l) * l.inputs);
    }
}

/* The last tap comes first. */
void ISA(winograd_back_pack)(const struct conv_geometry *g, const float *w, float *packed)
{
    const struct conv_geometry back = turned(g);
    struct layout l = layout_of(&back, &plain);
    for (size_t i = 0; i < l.groups; i++) {
        const struct weights of = {w + i * l.outputs * l.inputs * 9 + 8, 9,
                                   (ptrdiff_t)l.outputs * 9, -1, NULL};
        pack_group(&l, &of, packed + i * l.points * outputs_padded(&l) * l.inputs);
    }
}

void ISA(winograd_pack)(const struct conv_geometry *g, const float *w, const float *scale,
                        float *packed)
{
    pack(g, &plain, w, scale, packed);
}

void ISA(winograd_small_pack)(const struct conv_geometry *g, const float *w, const float *scale,
                              float *packed)
{
    pack(g, &small, w, scale, packed);
}

/* --- running ---------------------------------------------------------------------------------- */

/* One call's arrays. */
struct run {
    struct layout l;
    const float *x;
    const struct conv_epilogue *epilogue;
    float *y;
    float *v, *m, *u;
    float *border;           /* [out + 2][out + 2][channels]: a tile that reaches over the border */
    size_t group, group_end; /* what is this part's of the groups, */
    size_t tile, tile_end;   /* of the batch */
    size_t output, output_end; /* and of a group */
};

/* Where tile `tile` of the batch stands: its image, and its first output. */
static size_t tile_place(const struct layout *l, size_t tile, int *row, int *column)
{
    size_t in_image = tile % l->tiles;
    *row = (int)(in_image / l->across) * l->way->out;
    *column = (int)(in_image % l->across) * l->way->out;
    return tile / l->tiles;
}

static void transform_in(const struct run *r, size_t group, size_t first, size_t count)
{
    const struct conv_geometry *g = r->l.g;
    int side = r->l.way->out + 2;
    size_t pixel = (size_t)g->in_channels,
           image_size = (size_t)g->height * (size_t)g->width * pixel;
    struct winograd_in t = {.channels = r->l.inputs, .point = r->l.v_point};
    for (size_t k = 0; k < count; k++) {
        int row, column;
        size_t image = tile_place(&r->l, first + k, &row, &column);
        const float *x = r->x + image * image_size + group * r->l.inputs;
        row -= g->pad;
        column -= g->pad;
        if (row >= 0 && column >= 0 && row + side <= g->height && column + side <= g->width) {
            t.x = x + ((size_t)row * (size_t)g->width + (size_t)column) * pixel;
            t.row = (size_t)g->width * pixel;
            t.column = pixel;
        } else {
            ISA(winograd_frame)
            (x, g->height, g->width, pixel, row, column, side, r->l.inputs, r->border);
            t.x = r->border;
            t.row = (size_t)side * r->l.inputs;
            t.column = r->l.inputs;
        }
        t.to = r->v + k * r->l.channels;
        r->l.way->in(&t);
    }
}

/* first_output: of the block, among all groups'. */
static void transform_out(const struct run *r, size_t first, size_t count, size_t first_output,
                          size_t width, size_t lanes)
{
    const struct conv_geometry *g = r->l.g;
    size_t outputs = (size_t)g->out_channels;
    int height = conv_out_height(g), across = conv_out_width(g);
    const struct conv_epilogue *e = r->epilogue;
    struct winograd_out t = {.point = r->l.m_point,
                             .y_row = (size_t)across * outputs,
                             .y_column = outputs,
                             .bias = e->bias != NULL ? e->bias + first_output : NULL,
                             .relu = e->relu,
                             .lanes = lanes};
    for (size_t k = 0; k < count; k++) {
        int row, column;
        size_t image = tile_place(&r->l, first + k, &row, &column);
        size_t pixel = (image * (size_t)height + (size_t)row) * (size_t)across + (size_t)column;
        t.from = r->m + k * width;
        t.y = r->y + pixel * outputs + first_output;
        t.residual = e->residual != NULL ? e->residual + pixel * outputs + first_output : NULL;
        t.rows = min_int(r->l.way->out, height - row);
        t.columns = min_int(r->l.way->out, across - column);
        r->l.way->to_outputs(&t);
    }
}

/* The channels of a block of outputs that are multiplied at a time, and their weights. */
struct slice {
    size_t channel, depth, width;
    const float *u;
    size_t u_point;
    /* Floats that are wanted next, depth x width at each of nine places that are `next_tap` apart;
     * NULL: those that follow. */
    const float *next;
    size_t next_tap;
};

/* M of a block of outputs = V * U over a slice of channels, added to the slices before. What is
 * wanted next is asked for by the first two of the parts that share weights, each a half. */
static void multiply(const struct run *r, size_t count, const struct slice *s)
{
    size_t vectors = s->width / LANES, parts = part_count(count, vectors > 1 ? PIXELS_2 : PIXELS_1);
    size_t asking = min_size(parts, ASKING_PARTS);
    struct product p = {
        .depth = s->depth, .a_row = r->l.channels, .c_row = s->width, .add = s->channel > 0};
    for (size_t i = 0; i < r->l.points; i++) {
        p.b = s->u + i * s->u_point;
        const float *next =
            s->next == NULL ? p.b + PREFETCH : s->next + min_size(i, 8) * s->next_tap;
        for (size_t part = 0; part < parts; part++) {
            size_t begin = part_begin(count, parts, part);
            p.a = r->v + i * r->l.v_point + begin * r->l.channels + s->channel;
            p.c = r->m + i * r->l.m_point + begin * s->width;
            p.ask = part < asking ? next + part * s->width * s->depth / asking : p.b;
            p.ask_step = part < asking ? s->width / asking : 0;
            ISA(product_run)(&p, vectors, part_begin(count, parts, part + 1) - begin);
        }
    }
}

/* A block of outputs by weights that are transformed slice by slice; while one is multiplied with,
 * the next one is asked for. */
static void multiply_lean(const struct run *r, size_t count, size_t width, const float *packed)
{
    size_t inputs = r->l.inputs, tap = inputs * width;
    struct slice s = {.width = width, .u = r->u, .u_point = r->l.u_point, .next_tap = tap};
    for (; s.channel < inputs; s.channel += r->l.slice) {
        bool last = s.channel + r->l.slice >= inputs;
        s.depth = min_size(inputs - s.channel, r->l.slice);
        s.next = packed + (last ? 9 * tap : (s.channel + r->l.slice) * width);
        ISA(winograd_weights_4)
        (packed + s.channel * width, tap, s.depth, width, r->u, r->l.u_point);
        multiply(r, count, &s);
    }
}

static void run_block(const struct run *r, size_t group, size_t first, size_t count,
                      const float *packed)
{
    size_t inputs = r->l.inputs, outputs = r->l.outputs, padded = outputs_padded(&r->l);
    size_t filter = (r->l.way->lean ? 9 : r->l.points) * inputs; /* floats of an output */
    transform_in(r, group, first, count);
    packed += filter * (group * padded + r->output);
    for (size_t output = r->output; output < r->output_end; output += BLOCK) {
        size_t width = min_size(padded - output, BLOCK);
        if (r->l.way->lean) {
            multiply_lean(r, count, width, packed);
        } else {
            multiply(r, count,
                     &(struct slice){
                         .depth = inputs, .width = width, .u = packed, .u_point = inputs * width});
        }
        packed += filter * width;
        transform_out(r, first, count, group * outputs + output, width,
                      min_size(width, outputs - output));
    }
}

/* Parts are groups, if there are; tiles where there are enough of them, and every weight is read by
 * all; else outputs, and the input is transformed by all. */
static void take_part(struct run *r, int n, struct conv_part part)
{
    size_t tiles = (size_t)n * r->l.tiles, outputs = r->l.outputs;
    size_t count = (size_t)part.count, index = (size_t)part.index;
    size_t blocks = (outputs + BLOCK - 1) / BLOCK;
    r->tile_end = tiles;
    r->output_end = outputs;
    r->group_end = r->l.groups;
    if (r->l.groups > 1) {
        r->group = part_begin(r->l.groups, count, index);
        r->group_end = part_begin(r->l.groups, count, index + 1);
    } else if (tiles >= PART_TILES * count) {
        r->tile = part_begin(tiles, count, index);
        r->tile_end = part_begin(tiles, count, index + 1);
    } else {
        r->output = part_begin(blocks, count, index) * BLOCK;
        r->output_end = min_size(part_begin(blocks, count, index + 1) * BLOCK, outputs);
    }
}

static void run_part(struct run *r, int n, const float *packed, float *scratch,
                     struct conv_part part)
{
    take_part(r, n, part);
    if (r->tile == r->tile_end || r->output >= r->output_end) return;
    r->v = scratch;
    r->m = r->v + r->l.points * r->l.v_point;
    r->border = r->m + r->l.points * r->l.m_point;
    r->u = r->border + r->l.points * r->l.channels; /* lean only */
    size_t tiles = r->tile_end - r->tile, blocks = part_count(tiles, r->l.room);
    for (size_t group = r->group; group < r->group_end; group++) {
        for (size_t block = 0; block < blocks; block++) {
            size_t begin = part_begin(tiles, blocks, block);
            size_t end = part_begin(tiles, blocks, block + 1);
            run_block(r, group, r->tile + begin, end - begin, packed);
        }
    }
}

void ISA(winograd_forward)(const struct conv_geometry *g, int n, const float *x,
                           const float *packed, const struct conv_epilogue *epilogue, float *y,
                           void *scratch, struct conv_part part)
{
    struct run r = {.l = layout_of(g, &plain), .x = x, .epilogue = epilogue, .y = y};
    run_part(&r, n, packed, scratch, part);
}

void ISA(winograd_lean_forward)(const struct conv_geometry *g, int n, const float *x,
                                const float *packed, const struct conv_epilogue *epilogue, float *y,
                                void *scratch, struct conv_part part)
{
    struct run r = {.l = layout_of(g, &lean), .x = x, .epilogue = epilogue, .y = y};
    run_part(&r, n, packed, scratch, part);
}

void ISA(winograd_small_forward)(const struct conv_geometry *g, int n, const float *x,
                                 const float *packed, const struct conv_epilogue *epilogue,
                                 float *y, void *scratch, struct conv_part part)
{
    struct run r = {.l = layout_of(g, &small), .x = x, .epilogue = epilogue, .y = y};
    run_part(&r, n, packed, scratch, part);
}

static void run_back(const struct conv_geometry *g, const struct way *way, int n, const float *dy,
                     const float *packed, bool accumulate, float *dx, void *scratch)
{
    const struct conv_geometry back = turned(g);
    const struct conv_epilogue epilogue = {.residual = accumulate ? dx : NULL};
    struct run r = {.l = layout_of(&back, way), .x = dy, .epilogue = &epilogue, .y = dx};
    run_part(&r, n, packed, scratch, conv_whole);
}

void ISA(winograd_backward_data)(const struct conv_geometry *g, int n, const float *dy,
                                 const float *packed, bool accumulate, float *dx, void *scratch)
{
    run_back(g, &plain, n, dy, packed, accumulate, dx, scratch);
}

void ISA(winograd_lean_backward_data)(const struct conv_geometry *g, int n, const float *dy,
                                      const float *packed, bool accumulate, float *dx,
                                      void *scratch)
{
    run_back(g, &lean, n, dy, packed, accumulate, dx, scratch);
}
