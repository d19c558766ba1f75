/* Shears, translations and rotations: affine transforms as PIL computes them.
 *
 * PIL takes three ways through an affine transform, which differ in how they round: a nearest
 * neighbour in 16.16 fixed point, one in double precision where nothing is turned or sheared, and
 * bicubic (a = -1) in double precision. A published result was made with these very roundings, so
 * all three are here; tests/data/make_vectors.py compares. */
#include "config.h"

#include "augment.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static void copy_pixel(const uint8_t *in, int width, int x, int y, uint8_t *out)
{
    memcpy(out, in + ((ptrdiff_t)y * width + x) * 3, 3);
}

/* Without rotation and shear: columns and rows on their own, positions summed up one by one. */
static void scale_nearest(const double a[6], const uint8_t *in, int width, int height, uint8_t *out)
{
    double v = a[5] + a[4] * 0.5;
    for (int y = 0; y < height; y++, v += a[4]) {
        double u = a[2] + a[0] * 0.5;
        for (int x = 0; x < width; x++, u += a[0], out += 3) {
            if (u >= 0 && u < width && v >= 0 && v < height)
                copy_pixel(in, width, (int)u, (int)v, out);
        }
    }
}

static int64_t fixed(double value)
{
    return (int64_t)floor(value * 65536.0 + 0.5);
}

/* The integer part, also of negative numbers. */
static int64_t whole(int64_t value)
{
    return value >= 0 ? value / 65536 : -((65535 - value) / 65536);
}

static void fixed_nearest(const double a[6], const uint8_t *in, int width, int height, uint8_t *out)
{
    const int64_t ux = fixed(a[0]), uy = fixed(a[1]), vx = fixed(a[3]), vy = fixed(a[4]);
    int64_t u0 = fixed(a[2] + a[0] * 0.5 + a[1] * 0.5), v0 = fixed(a[5] + a[3] * 0.5 + a[4] * 0.5);
    for (int y = 0; y < height; y++, u0 += uy, v0 += vy) {
        int64_t u = u0, v = v0;
        for (int x = 0; x < width; x++, u += ux, v += vx, out += 3) {
            int64_t i = whole(u), j = whole(v);
            if (i >= 0 && i < width && j >= 0 && j < height)
                copy_pixel(in, width, (int)i, (int)j, out);
        }
    }
}

void augment_affine_nearest(const double a[6], const uint8_t *in, int width, int height,
                            uint8_t outside, uint8_t *out)
{
    memset(out, outside, (size_t)width * (size_t)height * 3);
    if (a[1] == 0 && a[3] == 0) {
        scale_nearest(a, in, width, height, out);
    } else {
        fixed_nearest(a, in, width, height, out);
    }
}

static double cubic(double v1, double v2, double v3, double v4, double d)
{
    double p2 = -v1 + v3, p3 = 2 * (v1 - v2) + v3 - v4, p4 = -v1 + v2 - v3 + v4;
    return v2 + d * (p2 + d * (p3 + d * p4));
}

static int clamp(int i, int n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

/* At (u, v), which lies in the image; pixels past its borders are those at the borders. */
static void bicubic_pixel(const uint8_t *in, int width, int height, double u, double v,
                          uint8_t *out)
{
    u -= 0.5;
    v -= 0.5;
    int x = (int)floor(u), y = (int)floor(v);
    double dx = u - x, dy = v - y, rows[4];
    for (int c = 0; c < 3; c++) {
        for (int r = 0; r < 4; r++) {
            const uint8_t *row = in + (ptrdiff_t)clamp(y - 1 + r, height) * width * 3 + c;
            rows[r] = cubic(row[3 * clamp(x - 1, width)], row[3 * clamp(x, width)],
                            row[3 * clamp(x + 1, width)], row[3 * clamp(x + 2, width)], dx);
        }
        double value = cubic(rows[0], rows[1], rows[2], rows[3], dy);
        out[c] = value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)value; /* cut off, as PIL does */
    }
}

void augment_affine_bicubic(const double a[6], const uint8_t *in, int width, int height,
                            uint8_t outside, uint8_t *out)
{
    memset(out, outside, (size_t)width * (size_t)height * 3);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++, out += 3) {
            double u = a[0] * (x + 0.5) + a[1] * (y + 0.5) + a[2];
            double v = a[3] * (x + 0.5) + a[4] * (y + 0.5) + a[5];
            if (u >= 0 && u < width && v >= 0 && v < height)
                bicubic_pixel(in, width, height, u, v, out);
        }
    }
}
