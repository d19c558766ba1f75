/* The transforms of Winograd's F(4x4, 3x3), at the points 0, +-1, +-2 and infinity, and F(2x2,
 * 3x3), at 0, +-1 and infinity (Lavin and Gray, "Fast algorithms for convolutional neural
 * networks", 2016), channels in the lanes: of a square of pixels into points, of points into
 * outputs with all that follows a convolution, and of 3x3 taps into points; and of the latter two
 * the gradients. Each is a transform of the columns followed by one of the rows. One or two rows of
 * points are worked on at a time, so that what is between the two transforms stays in registers.
 * Left out: which tiles, and the products in between (simd_winograd.c). */
#include "simd.h"

#include <math.h>

void ISA(winograd_frame)(const float *x, int height, int width, size_t pixel, int row, int column,
                         int side, size_t channels, float *to)
{
    for (int i = row; i < row + side; i++) {
        for (int j = column; j < column + side; j++, to += channels) {
            if (i >= 0 && i < height && j >= 0 && j < width)
                copy_floats(to, x + ((size_t)i * (size_t)width + (size_t)j) * pixel, channels);
            else
                clear_floats(to, channels);
        }
    }
}

/* --- pixels into points ----------------------------------------------------------------------- */

/* Pixel (i, j) of a tile. */
#define PIXEL(i, j) vec_get(x + (size_t)(i)*row + (size_t)(j)*column, whole, m)

/* A row of points from its six sums of columns. */
ALWAYS_INLINE void in_row_4(const vec d[6], float *to, size_t point)
{
    const vec two = vec_set(2), four = vec_set(4), five = vec_set(5);
    vec a = vec_fnma(four, d[2], d[4]), b = vec_fnma(four, d[1], d[3]);
    vec c = vec_sub(d[4], d[2]), e = vec_sub(d[3], d[1]);
    vec_store(to, vec_fma(four, d[0], vec_fnma(five, d[2], d[4])));
    vec_store(to + point, vec_add(a, b));
    vec_store(to + 2 * point, vec_sub(a, b));
    vec_store(to + 3 * point, vec_fma(two, e, c));
    vec_store(to + 4 * point, vec_fnma(two, e, c));
    vec_store(to + 5 * point, vec_fma(four, d[1], vec_fnma(five, d[3], d[5])));
}

/* One vector of channels. */
ALWAYS_INLINE void in_vector_4(const struct winograd_in *t, size_t channel, const bool whole,
                               vec_mask m)
{
    const vec two = vec_set(2), four = vec_set(4), five = vec_set(5);
    const float *x = t->x + channel;
    float *to = t->to + channel;
    size_t row = t->row, column = t->column, point = t->point;
    vec p[6], q[6];
    UNROLL
    for (int j = 0; j < 6; j++) {
        p[j] = vec_fma(four, PIXEL(0, j), vec_fnma(five, PIXEL(2, j), PIXEL(4, j)));
    }
    in_row_4(p, to, point);
    UNROLL
    for (int j = 0; j < 6; j++) {
        vec a = vec_fnma(four, PIXEL(2, j), PIXEL(4, j));
        vec b = vec_fnma(four, PIXEL(1, j), PIXEL(3, j));
        p[j] = vec_add(a, b);
        q[j] = vec_sub(a, b);
    }
    in_row_4(p, to + 6 * point, point);
    in_row_4(q, to + 12 * point, point);
    UNROLL
    for (int j = 0; j < 6; j++) {
        vec c = vec_sub(PIXEL(4, j), PIXEL(2, j)), e = vec_sub(PIXEL(3, j), PIXEL(1, j));
        p[j] = vec_fma(two, e, c);
        q[j] = vec_fnma(two, e, c);
    }
    in_row_4(p, to + 18 * point, point);
    in_row_4(q, to + 24 * point, point);
    UNROLL
    for (int j = 0; j < 6; j++) {
        p[j] = vec_fma(four, PIXEL(1, j), vec_fnma(five, PIXEL(3, j), PIXEL(5, j)));
    }
    in_row_4(p, to + 30 * point, point);
}

ALWAYS_INLINE void in_row_2(const vec d[4], float *to, size_t point)
{
    vec_store(to, vec_sub(d[0], d[2]));
    vec_store(to + point, vec_add(d[1], d[2]));
    vec_store(to + 2 * point, vec_sub(d[2], d[1]));
    vec_store(to + 3 * point, vec_sub(d[1], d[3]));
}

ALWAYS_INLINE void in_vector_2(const struct winograd_in *t, size_t channel, const bool whole,
                               vec_mask m)
{
    const float *x = t->x + channel;
    float *to = t->to + channel;
    size_t row = t->row, column = t->column, point = t->point;
    vec p[4], q[4];
    UNROLL
    for (int j = 0; j < 4; j++) p[j] = vec_sub(PIXEL(0, j), PIXEL(2, j));
    in_row_2(p, to, point);
    UNROLL
    for (int j = 0; j < 4; j++) {
        vec a = PIXEL(1, j), b = PIXEL(2, j);
        p[j] = vec_add(a, b);
        q[j] = vec_sub(b, a);
    }
    in_row_2(p, to + 4 * point, point);
    in_row_2(q, to + 8 * point, point);
    UNROLL
    for (int j = 0; j < 4; j++) p[j] = vec_sub(PIXEL(1, j), PIXEL(3, j));
    in_row_2(p, to + 12 * point, point);
}

void ISA(winograd_in_4)(const struct winograd_in *t)
{
    size_t c = 0;
    for (; c + LANES <= t->channels; c += LANES) in_vector_4(t, c, true, vec_first(LANES));
    if (c < t->channels) in_vector_4(t, c, false, vec_first(t->channels - c));
}

void ISA(winograd_in_2)(const struct winograd_in *t)
{
    size_t c = 0;
    for (; c + LANES <= t->channels; c += LANES) in_vector_2(t, c, true, vec_first(LANES));
    if (c < t->channels) in_vector_2(t, c, false, vec_first(t->channels - c));
}

/* --- points into outputs ---------------------------------------------------------------------- */

ALWAYS_INLINE void out_line(const int size, const vec m[6], vec out[4])
{
    vec s = vec_add(m[1], m[2]), d = vec_sub(m[1], m[2]);
    if (size == 2) {
        out[0] = vec_add(m[0], s);
        out[1] = vec_sub(d, m[3]);
        return;
    }
    const vec two = vec_set(2), four = vec_set(4), eight = vec_set(8);
    vec s2 = vec_add(m[3], m[4]), d2 = vec_sub(m[3], m[4]);
    out[0] = vec_add(vec_add(m[0], s), s2);
    out[1] = vec_fma(two, d2, d);
    out[2] = vec_fma(four, s2, s);
    out[3] = vec_add(vec_fma(eight, d2, d), m[5]);
}

/* size x size outputs; a constant. The point (1, 1) goes into each of them unchanged, so the bias
 * is added there. */
ALWAYS_INLINE void out_vector(const struct winograd_out *t, const int size, size_t channel,
                              const bool whole, vec_mask m)
{
    vec sum[4][6];
    const float *from = t->from + channel;
    vec bias = t->bias != NULL ? vec_get(t->bias + channel, whole, m) : vec_zero();
    UNROLL
    for (int j = 0; j < size + 2; j++) {
        vec column[6], out[4];
        UNROLL
        for (int i = 0; i < size + 2; i++)
            column[i] = vec_load(from + (size_t)(i * (size + 2) + j) * t->point);
        if (j == 1) column[1] = vec_add(column[1], bias);
        out_line(size, column, out);
        UNROLL
        for (int i = 0; i < size; i++) sum[i][j] = out[i];
    }
    vec floor = vec_set(t->relu ? 0.0F : -INFINITY);
    UNROLL
    for (int i = 0; i < size; i++) {
        if (i >= t->rows) break;
        vec out[4];
        out_line(size, sum[i], out);
        size_t at = (size_t)i * t->y_row + channel;
        UNROLL
        for (int j = 0; j < size; j++, at += t->y_column) {
            if (j >= t->columns) break;
            vec y = out[j];
            if (t->residual != NULL) y = vec_add(y, vec_get(t->residual + at, whole, m));
            vec_put(t->y + at, whole, m, vec_floor(y, floor));
        }
    }
}

void ISA(winograd_out_4)(const struct winograd_out *t)
{
    size_t c = 0;
    for (; c + LANES <= t->lanes; c += LANES) out_vector(t, 4, c, true, vec_first(LANES));
    if (c < t->lanes) out_vector(t, 4, c, false, vec_first(t->lanes - c));
}

void ISA(winograd_out_2)(const struct winograd_out *t)
{
    size_t c = 0;
    for (; c + LANES <= t->lanes; c += LANES) out_vector(t, 2, c, true, vec_first(LANES));
    if (c < t->lanes) out_vector(t, 2, c, false, vec_first(t->lanes - c));
}

/* --- taps into points ------------------------------------------------------------------------- */

/* A row of points from its three sums of columns. */
ALWAYS_INLINE void weight_row(const vec g[3], float *u, size_t point)
{
    const vec quarter = vec_set(0.25F), sixth = vec_set(-1.0F / 6), twelfth = vec_set(1.0F / 12);
    vec s = vec_add(g[0], g[2]), b = vec_mul(vec_fma(quarter, g[0], g[2]), vec_set(1.0F / 6));
    vec_store(u, vec_mul(quarter, g[0]));
    vec_store(u + point, vec_mul(sixth, vec_add(s, g[1])));
    vec_store(u + 2 * point, vec_mul(sixth, vec_sub(s, g[1])));
    vec_store(u + 3 * point, vec_fma(twelfth, g[1], b));
    vec_store(u + 4 * point, vec_fnma(twelfth, g[1], b));
    vec_store(u + 5 * point, g[2]);
}

ALWAYS_INLINE void weight_vector(const float *w, size_t tap, float *u, size_t point)
{
#define TAP(i, j) vec_load(w + (size_t)((i)*3 + (j)) * tap)
    const vec quarter = vec_set(0.25F), sixth = vec_set(-1.0F / 6), twelfth = vec_set(1.0F / 12);
    vec p[3], q[3];
    UNROLL
    for (int j = 0; j < 3; j++) p[j] = vec_mul(quarter, TAP(0, j));
    weight_row(p, u, point);
    UNROLL
    for (int j = 0; j < 3; j++) {
        vec s = vec_add(TAP(0, j), TAP(2, j)), g = TAP(1, j);
        p[j] = vec_mul(sixth, vec_add(s, g));
        q[j] = vec_mul(sixth, vec_sub(s, g));
    }
    weight_row(p, u + 6 * point, point);
    weight_row(q, u + 12 * point, point);
    UNROLL
    for (int j = 0; j < 3; j++) {
        vec b = vec_mul(vec_fma(quarter, TAP(0, j), TAP(2, j)), vec_set(1.0F / 6)), g = TAP(1, j);
        p[j] = vec_fma(twelfth, g, b);
        q[j] = vec_fnma(twelfth, g, b);
    }
    weight_row(p, u + 18 * point, point);
    weight_row(q, u + 24 * point, point);
    UNROLL
    for (int j = 0; j < 3; j++) p[j] = TAP(2, j);
    weight_row(p, u + 30 * point, point);
#undef TAP
}

void ISA(winograd_weights_4)(const float *w, size_t tap, size_t depth, size_t width, float *u,
                             size_t point)
{
    for (size_t at = 0; at < depth * width; at += LANES) weight_vector(w + at, tap, u + at, point);
}

ALWAYS_INLINE void weight_row_2(const vec g[3], float *u, size_t point)
{
    const vec half = vec_set(0.5F);
    vec s = vec_mul(half, vec_add(g[0], g[2]));
    vec_store(u, g[0]);
    vec_store(u + point, vec_fma(half, g[1], s));
    vec_store(u + 2 * point, vec_fnma(half, g[1], s));
    vec_store(u + 3 * point, g[2]);
}

void ISA(winograd_weights_2)(const float *w, size_t tap, size_t depth, size_t width, float *u,
                             size_t point)
{
    const vec half = vec_set(0.5F);
    for (size_t at = 0; at < depth * width; at += LANES) {
        vec g[9], p[3], q[3];
        UNROLL
        for (int t = 0; t < 9; t++) g[t] = vec_load(w + (size_t)t * tap + at);
        UNROLL
        for (int j = 0; j < 3; j++) {
            vec s = vec_mul(half, vec_add(g[j], g[6 + j]));
            p[j] = vec_fma(half, g[3 + j], s);
            q[j] = vec_fnma(half, g[3 + j], s);
        }
        weight_row_2(g, u + at, point);
        weight_row_2(p, u + 4 * point + at, point);
        weight_row_2(q, u + 8 * point + at, point);
        weight_row_2(g + 6, u + 12 * point + at, point);
    }
}

/* --- gradients -------------------------------------------------------------------------------- */

/* The transpose of out_line(): six points of four outputs' gradients. */
ALWAYS_INLINE void gradient_line(const vec d[4], vec m[6])
{
    const vec two = vec_set(2), four = vec_set(4);
    vec even = vec_add(d[0], d[2]), odd = vec_add(d[1], d[3]);
    vec even4 = vec_fma(four, d[2], d[0]), odd4 = vec_fma(four, d[3], d[1]);
    m[0] = d[0];
    m[1] = vec_add(even, odd);
    m[2] = vec_sub(even, odd);
    m[3] = vec_fma(two, odd4, even4);
    m[4] = vec_fnma(two, odd4, even4);
    m[5] = d[3];
}

ALWAYS_INLINE void gradient_vector(const struct winograd_in *t, size_t channel, const bool whole,
                                   vec_mask m)
{
    const float *x = t->x + channel;
    float *to = t->to + channel;
    size_t row = t->row, column = t->column;
    vec half[4][6];
    UNROLL
    for (int i = 0; i < 4; i++) {
        vec d[4];
        UNROLL
        for (int j = 0; j < 4; j++) d[j] = PIXEL(i, j);
        gradient_line(d, half[i]);
    }
    UNROLL
    for (int j = 0; j < 6; j++) {
        vec d[4], points[6];
        UNROLL
        for (int i = 0; i < 4; i++) d[i] = half[i][j];
        gradient_line(d, points);
        UNROLL
        for (int i = 0; i < 6; i++) vec_store(to + (size_t)(i * 6 + j) * t->point, points[i]);
    }
}

void ISA(winograd_gradient_4)(const struct winograd_in *t)
{
    size_t c = 0;
    for (; c + LANES <= t->channels; c += LANES) gradient_vector(t, c, true, vec_first(LANES));
    if (c < t->channels) gradient_vector(t, c, false, vec_first(t->channels - c));
}

/* The transpose of what weight_row() does: three taps of six points. */
ALWAYS_INLINE void taps_line(const vec m[6], vec taps[3])
{
    const vec quarter = vec_set(0.25F), sixth = vec_set(1.0F / 6), twelfth = vec_set(1.0F / 12);
    vec s = vec_add(m[1], m[2]), d = vec_sub(m[2], m[1]);
    vec s2 = vec_add(m[3], m[4]), d2 = vec_sub(m[3], m[4]);
    vec low = vec_fma(quarter, s2, vec_sub(vec_zero(), s));
    taps[0] = vec_fma(sixth, low, vec_mul(quarter, m[0]));
    taps[1] = vec_fma(sixth, d, vec_mul(twelfth, d2));
    taps[2] = vec_fma(sixth, vec_sub(s2, s), m[5]);
}

void ISA(winograd_taps)(const float *m, size_t point, float *taps)
{
    vec half[3][6];
    UNROLL
    for (int j = 0; j < 6; j++) {
        vec column[6], out[3];
        UNROLL
        for (int i = 0; i < 6; i++) column[i] = vec_load(m + (size_t)(i * 6 + j) * point);
        taps_line(column, out);
        UNROLL
        for (int i = 0; i < 3; i++) half[i][j] = out[i];
    }
    UNROLL
    for (int i = 0; i < 3; i++) {
        vec out[3];
        taps_line(half[i], out);
        UNROLL
        for (int j = 0; j < 3; j++) vec_store(taps + (i * 3 + j) * LANES, out[j]);
    }
}
