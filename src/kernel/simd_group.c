/* Convolutions whose channels are cut into groups. Depthwise ones (one channel a group) have loops
 * of their own, with the channels in the lanes. The others are done by the dense kernels
 * (simd_conv.c, simd_conv_weight.c), as many groups at once as have room in a vector: with zeros
 * between them they cost no more than one of them alone would. Such a bundle's channels of some
 * images are copied together in scratch, and its outputs spread out again. That moves each value
 * twice more, against hundreds of products that it takes part in, and spares the tiles another
 * stride. Both give an image the same bits in every batch.
 */
#include "simd.h"

enum {
    SLICE_FLOATS = 196608, /* of a bundle's in- and output, as in simd_pass.c */
    SLICE_IMAGES = 16,
};

static bool is_depthwise(const struct conv_geometry *g)
{
    return conv_groups(g) > 1 && g->groups == g->in_channels && g->groups == g->out_channels;
}

/* Into how many bundles the groups are taken: the fewest whose channels fit in a vector. */
static int bundle_count(const struct conv_geometry *g)
{
    int groups = conv_groups(g), most = max_int(g->in_channels, g->out_channels);
    for (int n = 1; n < groups; n++) {
        if (groups % n == 0 && most / n <= LANES) return n;
    }
    return groups;
}

int ISA(conv_bundles)(const struct conv_geometry *g)
{
    return bundle_count(g);
}

/* Whether it is more than the dense kernels do in one go. */
static bool is_bundled(const struct conv_geometry *g)
{
    return !is_depthwise(g) && bundle_count(g) > 1;
}

/* One bundle as a convolution of its own. */
static struct conv_geometry bundle_of(const struct conv_geometry *g)
{
    struct conv_geometry one = *g;
    int n = bundle_count(g);
    one.in_channels /= n;
    one.out_channels /= n;
    one.groups = conv_groups(g) / n;
    return one;
}

static size_t in_pixels(const struct conv_geometry *g)
{
    return (size_t)g->height * (size_t)g->width;
}

static size_t out_pixels(const struct conv_geometry *g)
{
    return (size_t)conv_out_height(g) * (size_t)conv_out_width(g);
}

/* Images of one bundle that are worked on at once. */
static size_t slice_images(const struct conv_geometry *one)
{
    size_t image =
        in_pixels(one) * (size_t)one->in_channels + out_pixels(one) * (size_t)one->out_channels;
    size_t fit = SLICE_FLOATS / image;
    return fit < 1 ? 1 : min_size(fit, SLICE_IMAGES);
}

/* slice [pixel][channels] = channels [first, ...) of x [pixel][of] */
static void take_slice(size_t pixels, size_t of, size_t first, size_t channels, const float *x,
                       float *slice)
{
    x += first;
    for (size_t p = 0; p < pixels; p++, x += of, slice += channels) copy_floats(slice, x, channels);
}

static void put_slice(size_t pixels, size_t of, size_t first, size_t channels, const float *slice,
                      float *x)
{
    x += first;
    for (size_t p = 0; p < pixels; p++, x += of, slice += channels) copy_floats(x, slice, channels);
}

/* --- packing ---------------------------------------------------------------------------------- */

static size_t tap_count(const struct conv_geometry *g)
{
    return (size_t)g->kernel_height * (size_t)g->kernel_width;
}

size_t ISA(conv_any_packed_size)(const struct conv_geometry *g)
{
    struct conv_geometry one = bundle_of(g);
    if (is_depthwise(g)) return conv_weight_size(g);
    return (size_t)bundle_count(g) * ISA(conv_packed_size)(&one);
}

size_t ISA(conv_any_packed_back_size)(const struct conv_geometry *g)
{
    struct conv_geometry one = bundle_of(g);
    if (is_depthwise(g)) return conv_weight_size(g);
    return (size_t)bundle_count(g) * ISA(conv_packed_back_size)(&one);
}

/* Depthwise, both directions: [kh][kw][channel]. */
static void pack_depthwise(const struct conv_geometry *g, const float *w, const float *scale,
                           float *packed)
{
    size_t taps = tap_count(g), channels = (size_t)g->in_channels;
    for (size_t t = 0; t < taps; t++) {
        for (size_t c = 0; c < channels; c++) {
            *packed++ = w[c * taps + t] * (scale != NULL ? scale[c] : 1.0F);
        }
    }
}

void ISA(conv_any_pack)(const struct conv_geometry *g, const float *w, const float *scale,
                        float *packed)
{
    struct conv_geometry one = bundle_of(g);
    if (is_depthwise(g)) {
        pack_depthwise(g, w, scale, packed);
        return;
    }
    for (int i = bundle_count(g); i > 0; i--) {
        ISA(conv_pack)(&one, w, scale, packed);
        w += conv_weight_size(&one);
        packed += ISA(conv_packed_size)(&one);
        if (scale != NULL) scale += one.out_channels;
    }
}

void ISA(conv_any_pack_back)(const struct conv_geometry *g, const float *w, float *packed)
{
    struct conv_geometry one = bundle_of(g);
    if (is_depthwise(g)) {
        pack_depthwise(g, w, NULL, packed);
        return;
    }
    for (int i = bundle_count(g); i > 0; i--) {
        ISA(conv_pack_back)(&one, w, packed);
        w += conv_weight_size(&one);
        packed += ISA(conv_packed_back_size)(&one);
    }
}

/* --- depthwise -------------------------------------------------------------------------------- */

/* One pixel of the output: the sum over the taps [top, bottom) x [left, right), whose inputs begin
 * at x, `row` and `column` floats apart. */
struct depth {
    const struct conv_geometry *g;
    const float *x, *packed;
    ptrdiff_t row, column;
    int top, bottom, left, right, step; /* taps, every step-th */
    const float *bias, *residual;
    bool relu;
};

ALWAYS_INLINE void depth_vector(const struct depth *d, size_t c, float *y, const bool whole,
                                vec_mask m)
{
    size_t channels = (size_t)d->g->in_channels;
    vec sum = vec_zero();
    const float *row = d->x + c;
    for (int kh = d->top; kh < d->bottom; kh += d->step, row += d->row) {
        const float *x = row, *w = d->packed + (size_t)(kh * d->g->kernel_width) * channels + c;
        for (int kw = d->left; kw < d->right; kw += d->step, x += d->column) {
            sum = vec_fma(vec_get(x, whole, m), vec_get(w + (size_t)kw * channels, whole, m), sum);
        }
    }
    if (d->residual != NULL) sum = vec_add(sum, vec_get(d->residual + c, whole, m));
    if (d->bias != NULL) sum = vec_add(sum, vec_get(d->bias + c, whole, m));
    vec_put(y + c, whole, m, d->relu ? vec_relu(sum) : sum);
}

static void depth_pixel(const struct depth *d, float *y)
{
    size_t channels = (size_t)d->g->in_channels, c = 0;
    vec_mask rest = vec_first(channels % LANES);
    for (; c + LANES <= channels; c += LANES) depth_vector(d, c, y, true, rest);
    if (c < channels) depth_vector(d, c, y, false, rest);
}

static void depthwise_forward(const struct conv_geometry *g, int n, const float *x,
                              const float *packed, const struct conv_epilogue *epilogue, float *y)
{
    size_t channels = (size_t)g->in_channels;
    int oh_count = conv_out_height(g), ow_count = conv_out_width(g);
    struct depth d = {.g = g,
                      .packed = packed,
                      .row = (ptrdiff_t)g->width * (ptrdiff_t)channels,
                      .column = (ptrdiff_t)channels,
                      .step = 1,
                      .bias = epilogue->bias,
                      .residual = epilogue->residual,
                      .relu = epilogue->relu};
    for (int b = 0; b < n; b++, x += in_pixels(g) * channels) {
        for (int oh = 0; oh < oh_count; oh++) {
            int h = oh * g->stride - g->pad;
            d.top = min_int(max_int(0, -h), g->kernel_height);
            d.bottom = max_int(d.top, min_int(g->kernel_height, g->height - h));
            for (int ow = 0; ow < ow_count; ow++, y += channels) {
                int v = ow * g->stride - g->pad;
                d.left = min_int(max_int(0, -v), g->kernel_width);
                d.right = max_int(d.left, min_int(g->kernel_width, g->width - v));
                d.x = x + (ptrdiff_t)(h + d.top) * d.row + (ptrdiff_t)(v + d.left) * d.column;
                depth_pixel(&d, y);
                if (d.residual != NULL) d.residual += channels;
            }
        }
    }
}

/* The taps of one direction that feed input position `in`, from the lowest on: every stride-th, and
 * each reaches one output less than the one before. */
struct feed {
    int first, end, output; /* taps [first, end), the output of the first */
};

static struct feed feed_of(int in, int kernel, int stride, int pad, int outputs)
{
    int first = (in + pad) % stride, output = (in + pad) / stride;
    if (output >= outputs) { /* the lowest taps reach beyond the last output */
        first += (output - outputs + 1) * stride;
        output = outputs - 1;
    }
    /* Tap t reaches output (in + pad - t) / stride, which must not be below 0. */
    int end = min_int(kernel, in + pad + 1);
    return (struct feed){first, max_int(first, end), output};
}

static void depthwise_backward_data(const struct conv_geometry *g, int n, const float *dy,
                                    const float *packed, bool accumulate, float *dx)
{
    size_t channels = (size_t)g->in_channels;
    int oh_count = conv_out_height(g), ow_count = conv_out_width(g);
    struct depth d = {.g = g,
                      .packed = packed,
                      .row = -(ptrdiff_t)ow_count * (ptrdiff_t)channels,
                      .column = -(ptrdiff_t)channels,
                      .step = g->stride};
    for (int b = 0; b < n; b++, dy += out_pixels(g) * channels) {
        for (int h = 0; h < g->height; h++) {
            struct feed v = feed_of(h, g->kernel_height, g->stride, g->pad, oh_count);
            d.top = v.first;
            d.bottom = v.end;
            for (int w = 0; w < g->width; w++, dx += channels) {
                struct feed f = feed_of(w, g->kernel_width, g->stride, g->pad, ow_count);
                d.left = f.first;
                d.right = f.end;
                d.x = dy - (ptrdiff_t)v.output * d.row - (ptrdiff_t)f.output * d.column;
                d.residual = accumulate ? dx : NULL;
                depth_pixel(&d, dx);
            }
        }
    }
}

/* The sums over one image for one tap and some channels. */
static vec depth_weight(const struct conv_geometry *g, int kh, int kw, const float *x,
                        const float *dy, vec_mask m)
{
    ptrdiff_t channels = g->in_channels;
    vec sum = vec_zero();
    for (int oh = 0; oh < conv_out_height(g); oh++) {
        int h = oh * g->stride + kh - g->pad;
        if (h < 0 || h >= g->height) continue;
        for (int ow = 0; ow < conv_out_width(g); ow++) {
            int v = ow * g->stride + kw - g->pad;
            if (v < 0 || v >= g->width) continue;
            sum = vec_fma(
                vec_load_masked(x + ((ptrdiff_t)h * g->width + v) * channels, m),
                vec_load_masked(dy + ((ptrdiff_t)oh * conv_out_width(g) + ow) * channels, m), sum);
        }
    }
    return sum;
}

static void depthwise_backward_weight(const struct conv_geometry *g, int n, const float *x,
                                      const float *dy, float *dw)
{
    size_t channels = (size_t)g->in_channels, taps = tap_count(g);
    for (int b = 0; b < n; b++) {
        for (size_t c = 0; c < channels; c += LANES) {
            size_t lanes = min_size(channels - c, LANES);
            for (size_t t = 0; t < taps; t++) {
                float sums[LANES];
                vec_store(sums, depth_weight(g, (int)t / g->kernel_width, (int)t % g->kernel_width,
                                             x + c, dy + c, vec_first(lanes)));
                for (size_t l = 0; l < lanes; l++) dw[(c + l) * taps + t] += sums[l];
            }
        }
        x += in_pixels(g) * channels;
        dy += out_pixels(g) * channels;
    }
}

/* --- bundles ---------------------------------------------------------------------------------- */

/* Scratch of a bundled convolution: the slices of in- and output, then the dense kernels'. */
struct slices {
    struct conv_geometry one;
    int count;              /* of bundles */
    size_t images, in, out; /* at once; floats of an image's slices */
    float *x, *y;
    void *scratch;
};

static size_t line_up(size_t floats)
{
    return (floats + 15) / 16 * 16;
}

static struct slices slices_of(const struct conv_geometry *g, void *scratch)
{
    struct slices s = {.one = bundle_of(g), .count = bundle_count(g)};
    s.images = slice_images(&s.one);
    s.in = in_pixels(g) * (size_t)s.one.in_channels;
    s.out = out_pixels(g) * (size_t)s.one.out_channels;
    s.x = scratch;
    s.y = s.x + line_up(s.images * s.in);
    s.scratch = s.y + line_up(s.images * s.out);
    return s;
}

/* Bytes for one direction, of which the dense kernels take so many floats. */
static size_t scratch_bytes(const struct conv_geometry *g, size_t dense)
{
    struct conv_geometry one = bundle_of(g);
    size_t images = slice_images(&one), floats = dense;
    if (is_depthwise(g)) floats = 0;
    if (is_bundled(g))
        floats += line_up(images * in_pixels(g) * (size_t)one.in_channels) +
                  line_up(images * out_pixels(g) * (size_t)one.out_channels);
    /* An allocation of 0 bytes looks like a failed one. */
    return (floats > 0 ? floats : 16) * sizeof(float);
}

size_t ISA(conv_any_forward_scratch)(const struct conv_geometry *g)
{
    struct conv_geometry one = bundle_of(g);
    return scratch_bytes(g, ISA(conv_forward_scratch)(&one));
}

size_t ISA(conv_any_backward_data_scratch)(const struct conv_geometry *g)
{
    struct conv_geometry one = bundle_of(g);
    return scratch_bytes(g, ISA(conv_backward_data_scratch)(&one));
}

size_t ISA(conv_any_backward_weight_scratch)(const struct conv_geometry *g)
{
    struct conv_geometry one = bundle_of(g);
    return scratch_bytes(g, ISA(conv_backward_weight_scratch)(&one));
}

/* What the loops below have at hand for one bundle of some images. */
struct bundle {
    size_t images, in_pixels, out_pixels; /* of all its images */
    size_t in_first, out_first;           /* channels */
    size_t x_at, y_at;                    /* floats before the images in x and y */
};

static struct bundle bundle_at(const struct conv_geometry *g, const struct slices *s, size_t begin,
                               size_t n, int bundle)
{
    size_t images = min_size(n - begin, s->images);
    return (struct bundle){.images = images,
                           .in_pixels = images * in_pixels(g),
                           .out_pixels = images * out_pixels(g),
                           .in_first = (size_t)(bundle * s->one.in_channels),
                           .out_first = (size_t)(bundle * s->one.out_channels),
                           .x_at = begin * in_pixels(g) * (size_t)g->in_channels,
                           .y_at = begin * out_pixels(g) * (size_t)g->out_channels};
}

static void take_in(const struct conv_geometry *g, const struct slices *s, const struct bundle *p,
                    const float *x)
{
    take_slice(p->in_pixels, (size_t)g->in_channels, p->in_first, (size_t)s->one.in_channels,
               x + p->x_at, s->x);
}

static void take_out(const struct conv_geometry *g, const struct slices *s, const struct bundle *p,
                     const float *y)
{
    take_slice(p->out_pixels, (size_t)g->out_channels, p->out_first, (size_t)s->one.out_channels,
               y + p->y_at, s->y);
}

static void bundled_forward(const struct conv_geometry *g, int n, const float *x,
                            const float *packed, const struct conv_epilogue *epilogue, float *y,
                            void *scratch, struct conv_part part)
{
    struct slices s = slices_of(g, scratch);
    size_t bundle_size = ISA(conv_packed_size)(&s.one), bundles = (size_t)s.count;
    size_t count = (size_t)part.count, index = (size_t)part.index;
    int first = (int)part_begin(bundles, count, index);
    int end = (int)part_begin(bundles, count, index + 1);
    for (size_t b = 0; b < (size_t)n; b += s.images) {
        for (int i = first; i < end; i++) {
            struct bundle p = bundle_at(g, &s, b, (size_t)n, i);
            struct conv_epilogue e = {.bias = epilogue->bias != NULL ? epilogue->bias + p.out_first
                                                                     : NULL,
                                      .residual = epilogue->residual != NULL ? s.y : NULL,
                                      .relu = epilogue->relu};
            take_in(g, &s, &p, x);
            if (e.residual != NULL) take_out(g, &s, &p, epilogue->residual);
            ISA(conv_forward)
            (&s.one, (int)p.images, s.x, packed + (size_t)i * bundle_size, &e, s.y, s.scratch,
             conv_whole);
            put_slice(p.out_pixels, (size_t)g->out_channels, p.out_first,
                      (size_t)s.one.out_channels, s.y, y + p.y_at);
        }
    }
}

static void bundled_backward_data(const struct conv_geometry *g, int n, const float *dy,
                                  const float *packed, bool accumulate, float *dx, void *scratch)
{
    struct slices s = slices_of(g, scratch);
    size_t bundle_size = ISA(conv_packed_back_size)(&s.one);
    for (size_t b = 0; b < (size_t)n; b += s.images) {
        for (int i = 0; i < s.count; i++) {
            struct bundle p = bundle_at(g, &s, b, (size_t)n, i);
            take_out(g, &s, &p, dy);
            if (accumulate) take_in(g, &s, &p, dx);
            ISA(conv_backward_data)
            (&s.one, (int)p.images, s.y, packed + (size_t)i * bundle_size, accumulate, s.x,
             s.scratch);
            put_slice(p.in_pixels, (size_t)g->in_channels, p.in_first, (size_t)s.one.in_channels,
                      s.x, dx + p.x_at);
        }
    }
}

static void bundled_backward_weight(const struct conv_geometry *g, int n, const float *x,
                                    const float *dy, float *dw, void *scratch)
{
    struct slices s = slices_of(g, scratch);
    for (size_t b = 0; b < (size_t)n; b += s.images) {
        for (int i = 0; i < s.count; i++) {
            struct bundle p = bundle_at(g, &s, b, (size_t)n, i);
            take_in(g, &s, &p, x);
            take_out(g, &s, &p, dy);
            ISA(conv_backward_weight)
            (&s.one, (int)p.images, s.x, s.y, dw + (size_t)i * conv_weight_size(&s.one), s.scratch);
        }
    }
}

/* --- any convolution -------------------------------------------------------------------------- */

void ISA(conv_any_forward)(const struct conv_geometry *g, int n, const float *x,
                           const float *packed, const struct conv_epilogue *epilogue, float *y,
                           void *scratch, struct conv_part part)
{
    if (is_bundled(g))
        bundled_forward(g, n, x, packed, epilogue, y, scratch, part);
    else if (!is_depthwise(g))
        ISA(conv_forward)(g, n, x, packed, epilogue, y, scratch, part);
    else if (part.index == 0)
        depthwise_forward(g, n, x, packed, epilogue, y); /* not worth more */
}

void ISA(conv_any_backward_data)(const struct conv_geometry *g, int n, const float *dy,
                                 const float *packed, bool accumulate, float *dx, void *scratch)
{
    if (is_depthwise(g))
        depthwise_backward_data(g, n, dy, packed, accumulate, dx);
    else if (is_bundled(g))
        bundled_backward_data(g, n, dy, packed, accumulate, dx, scratch);
    else
        ISA(conv_backward_data)(g, n, dy, packed, accumulate, dx, scratch);
}

void ISA(conv_any_backward_weight)(const struct conv_geometry *g, int n, const float *x,
                                   const float *dy, float *dw, void *scratch)
{
    if (is_depthwise(g))
        depthwise_backward_weight(g, n, x, dy, dw);
    else if (is_bundled(g))
        bundled_backward_weight(g, n, x, dy, dw, scratch);
    else
        ISA(conv_backward_weight)(g, n, x, dy, dw, scratch);
}
