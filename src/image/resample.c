/* Resampling with an antialiased triangle filter, along rows and then along columns (what Pillow
 * calls BILINEAR): an output pixel is the mean of the input pixels under a triangle around its
 * centre, whose half base is one input pixel when enlarging and the ratio of the sizes when
 * shrinking.
 *
 * Weights are integers of 22 bits and both passes round to bytes, so that all processors and
 * compilers give the same pixels; a model then sees in serving exactly what it saw in training. The
 * weights of an output pixel are computed once for all rows. */
#include "config.h"

#include "resample.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>

enum {
    WEIGHT_BITS = 22,     /* 255 << 22 just fits into 31 bits */
    ARENA_SLACK = 6 * 64, /* alignment of the few blocks taken */
};

/* For each output position: the first input position, how many, and their weights. */
struct weights {
    int span; /* weights kept for each output position */
    int *first, *count;
    int32_t *values; /* [out][span] */
};

/* Input positions that one output position can touch: the base of the triangle, one more for either
 * border that falls into a pixel. */
static int weight_span(double extent, int out)
{
    double scale = extent / out;
    double support = scale > 1.0 ? scale : 1.0;
    return (int)ceil(support) * 2 + 1;
}

/* The weights for `out` positions over [start, start + extent) of `in` positions. */
static int weights_make(double start, double extent, int in, int out, struct arena *arena,
                        struct weights *ret)
{
    const double scale = extent / out, support = scale > 1.0 ? scale : 1.0;
    ret->span = weight_span(extent, out);
    ret->first = arena_alloc(arena, (size_t)out, 2 * sizeof(*ret->first));
    ret->values = arena_alloc(arena, (size_t)out * (size_t)ret->span, sizeof(*ret->values));
    double *exact = arena_alloc(arena, (size_t)ret->span, sizeof(*exact));
    if (ret->first == NULL || ret->values == NULL || exact == NULL) return -ENOMEM;
    ret->count = ret->first + out;

    for (int i = 0; i < out; i++) {
        const double centre = start + (i + 0.5) * scale;
        int first = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
        if (first < 0) first = 0;
        if (first > in - 1) first = in - 1;
        if (end > in) end = in;
        if (end <= first) end = first + 1;
        if (end > first + ret->span) end = first + ret->span;

        double sum = 0.0;
        for (int k = first; k < end; k++) {
            double distance = fabs((k + 0.5 - centre) / support);
            exact[k - first] = distance < 1.0 ? 1.0 - distance : 0.0;
            sum += exact[k - first];
        }
        if (!(sum > 0.0)) { /* only by rounding at a border: the nearest pixel */
            exact[0] = sum = 1.0;
            end = first + 1;
        }
        int32_t *values = ret->values + (size_t)i * (size_t)ret->span;
        for (int k = first; k < end; k++) {
            values[k - first] = (int32_t)lround(exact[k - first] / sum * (1 << WEIGHT_BITS));
        }
        ret->first[i] = first;
        ret->count[i] = end - first;
    }
    return 0;
}

static uint8_t to_byte(int64_t sum)
{
    int64_t value = (sum + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS;
    return (uint8_t)(value > 255 ? 255 : value); /* no weight is negative */
}

/* One row: [*][3] -> [out][3]. */
static void resample_row(const uint8_t *in, const struct weights *w, int out, uint8_t *ret_row)
{
    for (int x = 0; x < out; x++) {
        const int32_t *values = w->values + (size_t)x * (size_t)w->span;
        const uint8_t *from = in + (size_t)w->first[x] * 3;
        int64_t sum[3] = {0, 0, 0};
        for (int k = 0; k < w->count[x]; k++, from += 3) {
            for (int c = 0; c < 3; c++) sum[c] += (int64_t)values[k] * from[c];
        }
        for (int c = 0; c < 3; c++) ret_row[3 * x + c] = to_byte(sum[c]);
    }
}

int resample(const struct image *image, struct image_box box, int out_width, int out_height,
             struct arena *arena, uint8_t *ret_pixels)
{
    assert(box.left >= 0 && box.top >= 0 && box.width > 0 && box.height > 0);
    assert(box.left + box.width <= image->width + 1e-6);
    assert(box.top + box.height <= image->height + 1e-6);
    struct weights across, down;
    if (weights_make(box.left, box.width, image->width, out_width, arena, &across) < 0 ||
        weights_make(box.top, box.height, image->height, out_height, arena, &down) < 0) {
        return -ENOMEM;
    }
    /* Only the rows that the second pass looks at. */
    const int first = down.first[0];
    const int end = down.first[out_height - 1] + down.count[out_height - 1];
    const size_t stride = (size_t)out_width * 3;
    uint8_t *rows = arena_alloc(arena, (size_t)(end - first), stride);
    if (rows == NULL) return -ENOMEM;
    for (int y = first; y < end; y++) {
        resample_row(image->pixels + (size_t)y * (size_t)image->width * 3, &across, out_width,
                     rows + (size_t)(y - first) * stride);
    }
    for (int y = 0; y < out_height; y++) {
        const int32_t *values = down.values + (size_t)y * (size_t)down.span;
        const uint8_t *from = rows + (size_t)(down.first[y] - first) * stride;
        for (size_t i = 0; i < stride; i++) {
            int64_t sum = 0;
            for (int k = 0; k < down.count[y]; k++) {
                sum += (int64_t)values[k] * from[(size_t)k * stride + i];
            }
            *ret_pixels++ = to_byte(sum);
        }
    }
    return 0;
}

size_t resample_arena_bytes(int width, int height, int out_width, int out_height)
{
    const int in[2] = {width, height}, out[2] = {out_width, out_height};
    size_t bytes = (size_t)height * (size_t)out_width * 3 + ARENA_SLACK;
    for (int i = 0; i < 2; i++) {
        size_t span = (size_t)weight_span(in[i], out[i]);
        bytes +=
            (size_t)out[i] * (2 * sizeof(int) + span * sizeof(int32_t)) + span * sizeof(double);
    }
    return bytes;
}
