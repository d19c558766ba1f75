/* The transforms of Winograd's F(4x4, 3x3) at the points 0, +-1, +-2 and infinity (Lavin and Gray,
 * "Fast algorithms for convolutional neural networks", 2016), channels in the lanes: of 6x6 pixels
 * into 36 points, of 36 points into 4x4 outputs with all that follows a convolution, and of 3x3
 * taps into 36 points. Each is a transform of the columns followed by one of the rows. The first
 * works on one or two rows of points at a time, so that what is between the two transforms stays in
 * registers. Left out: which tiles, and the products in between (simd_winograd.c). */
#include "simd.h"

#include <math.h>

/* --- pixels into points ----------------------------------------------------------------------- */

/* A row of points from its six sums of columns. */
ALWAYS_INLINE void in_row(const vec d[6], float *to, size_t point)
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
ALWAYS_INLINE void in_vector(const struct winograd_in *t, size_t channel, const bool whole,
                             vec_mask m)
{
    const vec two = vec_set(2), four = vec_set(4), five = vec_set(5);
    const float *const *at = t->at;
    float *to = t->to + channel;
    vec p[6], q[6];
#define PIXEL(i, j) vec_get(at[(i)*6 + (j)] + channel, whole, m)
    UNROLL
    for (int j = 0; j < 6; j++) {
        p[j] = vec_fma(four, PIXEL(0, j), vec_fnma(five, PIXEL(2, j), PIXEL(4, j)));
    }
    in_row(p, to, t->point);
    UNROLL
    for (int j = 0; j < 6; j++) {
        vec a = vec_fnma(four, PIXEL(2, j), PIXEL(4, j));
        vec b = vec_fnma(four, PIXEL(1, j), PIXEL(3, j));
        p[j] = vec_add(a, b);
        q[j] = vec_sub(a, b);
    }
    in_row(p, to + 6 * t->point, t->point);
    in_row(q, to + 12 * t->point, t->point);
    UNROLL
    for (int j = 0; j < 6; j++) {
        vec c = vec_sub(PIXEL(4, j), PIXEL(2, j)), e = vec_sub(PIXEL(3, j), PIXEL(1, j));
        p[j] = vec_fma(two, e, c);
        q[j] = vec_fnma(two, e, c);
    }
    in_row(p, to + 18 * t->point, t->point);
    in_row(q, to + 24 * t->point, t->point);
    UNROLL
    for (int j = 0; j < 6; j++) {
        p[j] = vec_fma(four, PIXEL(1, j), vec_fnma(five, PIXEL(3, j), PIXEL(5, j)));
    }
    in_row(p, to + 30 * t->point, t->point);
#undef PIXEL
}

void ISA(winograd_in)(const struct winograd_in *t)
{
    size_t c = 0;
    for (; c + LANES <= t->channels; c += LANES) in_vector(t, c, true, vec_first(LANES));
    if (c < t->channels) in_vector(t, c, false, vec_first(t->channels - c));
}

/* --- points into outputs ---------------------------------------------------------------------- */

ALWAYS_INLINE void out_line(const vec m[6], vec out[4])
{
    const vec two = vec_set(2), four = vec_set(4), eight = vec_set(8);
    vec s = vec_add(m[1], m[2]), d = vec_sub(m[1], m[2]);
    vec s2 = vec_add(m[3], m[4]), d2 = vec_sub(m[3], m[4]);
    out[0] = vec_add(vec_add(m[0], s), s2);
    out[1] = vec_fma(two, d2, d);
    out[2] = vec_fma(four, s2, s);
    out[3] = vec_add(vec_fma(eight, d2, d), m[5]);
}

ALWAYS_INLINE void out_vector(const struct winograd_out *t, size_t channel, const bool whole,
                              vec_mask m)
{
    vec sum[4][6];
    const float *from = t->from + channel;
    UNROLL
    for (int j = 0; j < 6; j++) {
        vec column[6], out[4];
        UNROLL
        for (int i = 0; i < 6; i++) column[i] = vec_load(from + (size_t)(i * 6 + j) * t->point);
        out_line(column, out);
        UNROLL
        for (int i = 0; i < 4; i++) sum[i][j] = out[i];
    }
    vec floor = vec_set(t->relu ? 0.0F : -INFINITY);
    vec bias = t->bias != NULL ? vec_get(t->bias + channel, whole, m) : vec_zero();
    UNROLL
    for (int i = 0; i < 4; i++) {
        if (i >= t->rows) break;
        vec out[4];
        out_line(sum[i], out);
        size_t at = (size_t)i * t->y_row + channel;
        UNROLL
        for (int j = 0; j < 4; j++, at += t->y_column) {
            if (j >= t->columns) break;
            vec y = vec_add(out[j], bias);
            if (t->residual != NULL) y = vec_add(y, vec_get(t->residual + at, whole, m));
            vec_put(t->y + at, whole, m, vec_floor(y, floor));
        }
    }
}

void ISA(winograd_out)(const struct winograd_out *t)
{
    size_t c = 0;
    for (; c + LANES <= t->lanes; c += LANES) out_vector(t, c, true, vec_first(LANES));
    if (c < t->lanes) out_vector(t, c, false, vec_first(t->lanes - c));
}

/* --- taps into points ------------------------------------------------------------------------- */

ALWAYS_INLINE void weight_line(vec g0, vec g1, vec g2, vec out[6])
{
    const vec quarter = vec_set(0.25F), sixth = vec_set(-1.0F / 6), twelfth = vec_set(1.0F / 12);
    vec s = vec_add(g0, g2), u = vec_mul(vec_fma(quarter, g0, g2), vec_set(1.0F / 6));
    out[0] = vec_mul(quarter, g0);
    out[1] = vec_mul(sixth, vec_add(s, g1));
    out[2] = vec_mul(sixth, vec_sub(s, g1));
    out[3] = vec_fma(twelfth, g1, u);
    out[4] = vec_fnma(twelfth, g1, u);
    out[5] = g2;
}

void ISA(winograd_weights)(const float *w, size_t tap, size_t depth, size_t width, float *u,
                           size_t point)
{
    for (size_t at = 0; at < depth * width; at += LANES) {
        vec column[3][6], out[6];
        UNROLL
        for (int j = 0; j < 3; j++) {
            const float *g = w + at + (size_t)j * tap;
            weight_line(vec_load(g), vec_load(g + 3 * tap), vec_load(g + 6 * tap), column[j]);
        }
        UNROLL
        for (int i = 0; i < 6; i++) {
            weight_line(column[0][i], column[1][i], column[2][i], out);
            UNROLL
            for (int j = 0; j < 6; j++) vec_store(u + at + (size_t)(i * 6 + j) * point, out[j]);
        }
    }
}
