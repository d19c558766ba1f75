/* Losses between maps. Both are made to meet at one size by means over cells, which leave maps that
 * fit as they are. What is trained beside a loss (a hint's regressor) belongs to its caller. */
#include "config.h"

#include "nn/loss_map.h"

#include <math.h>
#include <stddef.h>

/* Below this a map counts as zeros (PyTorch's F.normalize). */
#define NORM_MIN 1e-12

struct shape map_meeting(struct shape a, struct shape b)
{
    return (struct shape){a.height < b.height ? a.height : b.height,
                          a.width < b.width ? a.width : b.width, a.channels};
}

/* The rows [*ret_first, *ret_end) of cell i of n. */
static void cell(int size, int i, int n, int *ret_first, int *ret_end)
{
    *ret_first = (int)((long long)i * size / n);
    *ret_end = (int)(((long long)(i + 1) * size + n - 1) / n);
}

void map_mean(struct shape in, const float *x, struct shape to, float *y)
{
    size_t channels = (size_t)in.channels;
    for (int i = 0; i < to.height; i++) {
        int top, bottom;
        cell(in.height, i, to.height, &top, &bottom);
        for (int j = 0; j < to.width; j++, y += channels) {
            int left, right;
            cell(in.width, j, to.width, &left, &right);
            float share = 1.0f / (float)((bottom - top) * (right - left));
            for (size_t c = 0; c < channels; c++) y[c] = 0.0f;
            for (int r = top; r < bottom; r++) {
                const float *row = x + ((size_t)r * (size_t)in.width + (size_t)left) * channels;
                for (int q = left; q < right; q++, row += channels) {
                    for (size_t c = 0; c < channels; c++) y[c] += row[c];
                }
            }
            for (size_t c = 0; c < channels; c++) y[c] *= share;
        }
    }
}

void map_mean_backward(struct shape in, const float *dy, struct shape to, float *dx)
{
    size_t channels = (size_t)in.channels;
    for (int i = 0; i < to.height; i++) {
        int top, bottom;
        cell(in.height, i, to.height, &top, &bottom);
        for (int j = 0; j < to.width; j++, dy += channels) {
            int left, right;
            cell(in.width, j, to.width, &left, &right);
            float share = 1.0f / (float)((bottom - top) * (right - left));
            for (int r = top; r < bottom; r++) {
                float *row = dx + ((size_t)r * (size_t)in.width + (size_t)left) * channels;
                for (int q = left; q < right; q++, row += channels) {
                    for (size_t c = 0; c < channels; c++) row[c] += share * dy[c];
                }
            }
        }
    }
}

/* q[pixels] = the attention map over its length; returns the length. */
static double attention(int pixels, int channels, const float *a, double *q)
{
    double squares = 0.0;
    for (int p = 0; p < pixels; p++) {
        q[p] = 0.0;
        for (int c = 0; c < channels; c++, a++) q[p] += (double)*a * (double)*a;
        squares += q[p] * q[p];
    }
    double length = sqrt(squares);
    length = length > NORM_MIN || isnan(length) ? length : NORM_MIN;
    for (int p = 0; p < pixels; p++) q[p] /= length;
    return length;
}

double loss_attention(int pixels, int cs, const float *student, int ct, const float *teacher,
                      double weight, float *dstudent, double *scratch)
{
    double *q = scratch, *difference = scratch + pixels, sum = 0.0, along = 0.0;
    attention(pixels, ct, teacher, difference);
    double length = attention(pixels, cs, student, q), scale = weight / pixels;
    for (int p = 0; p < pixels; p++) {
        difference[p] = q[p] - difference[p];
        sum += difference[p] * difference[p];
        along += difference[p] * q[p];
    }
    /* Of q = Q / |Q|: dQ = (dq - q (q . dq)) / |Q|; of Q = sum of A^2: dA = 2 A dQ. */
    for (int p = 0; p < pixels; p++) {
        double dmap = 2.0 * scale * (difference[p] - q[p] * along) / length;
        for (int c = 0; c < cs; c++, student++, dstudent++)
            *dstudent += (float)(2.0 * (double)*student * dmap);
    }
    return scale * sum;
}
