/* The reference table's operations that change a map without weights: pooling by the largest,
 * shortcuts, enlarging, gates. Each is one loop over the outputs, and its gradient the same loop
 * with the assignment turned round, so that one can be read from the other. */
#include "reference.h"

#include <math.h>

static void clear(size_t count, float *x)
{
    for (size_t i = 0; i < count; i++) x[i] = 0;
}

static size_t pixel_at(int image, int height, int width, int h, int w)
{
    return ((size_t)image * (size_t)height + (size_t)h) * (size_t)width + (size_t)w;
}

/* --- the largest of a window ------------------------------------------------------------------ */

/* Index in x of the first largest value that output number `out` sees; a NaN is larger than
 * everything. */
static size_t largest_at(const struct pool_geometry *g, size_t out, const float *x)
{
    size_t channels = (size_t)g->channels, rows = (size_t)pool_out_size(g->height, g);
    size_t columns = (size_t)pool_out_size(g->width, g), c = out % channels, best = 0;
    int top = (int)(out / channels / columns % rows) * g->stride - g->pad;
    int left = (int)(out / channels % columns) * g->stride - g->pad;
    int image = (int)(out / channels / columns / rows);
    bool found = false;
    for (int tap = 0; tap < g->kernel * g->kernel; tap++) {
        int h = top + tap / g->kernel, w = left + tap % g->kernel;
        if (h < 0 || h >= g->height || w < 0 || w >= g->width) continue;
        size_t at = pixel_at(image, g->height, g->width, h, w) * channels + c;
        if (found && !(x[at] > x[best] || isnan(x[at]))) continue;
        best = at;
        found = true;
    }
    return best;
}

static size_t pool_out_count(const struct pool_geometry *g, int n)
{
    return (size_t)n * (size_t)pool_out_size(g->height, g) * (size_t)pool_out_size(g->width, g) *
           (size_t)g->channels;
}

void reference_max_pool(const struct pool_geometry *g, int n, const float *x, float *y)
{
    for (size_t out = 0; out < pool_out_count(g, n); out++) y[out] = x[largest_at(g, out, x)];
}

void reference_max_pool_backward(const struct pool_geometry *g, int n, const float *x,
                                 const float *y, const float *dy, bool accumulate, float *dx)
{
    (void)y;
    size_t image = (size_t)g->height * (size_t)g->width * (size_t)g->channels;
    if (!accumulate) clear((size_t)n * image, dx);
    for (size_t out = 0; out < pool_out_count(g, n); out++) dx[largest_at(g, out, x)] += dy[out];
}

/* --- shortcuts -------------------------------------------------------------------------------- */

/* Pixels of the cell that begins at `first`, in one direction. */
static int cell_size(int first, int size, int side)
{
    return first + side <= size ? side : size - first;
}

void reference_shortcut(const struct cell_geometry *g, int n, const float *x, float *y)
{
    size_t inputs = (size_t)g->in_channels, outputs = (size_t)g->out_channels;
    for (int b = 0; b < n; b++) {
        for (int top = 0; top < g->height; top += g->side) {
            for (int left = 0; left < g->width; left += g->side, y += outputs) {
                int rows = cell_size(top, g->height, g->side);
                int columns = cell_size(left, g->width, g->side);
                for (size_t c = 0; c < outputs; c++) {
                    double sum = 0;
                    for (int i = 0; c < inputs && i < rows * columns; i++) {
                        size_t at =
                            pixel_at(b, g->height, g->width, top + i / columns, left + i % columns);
                        sum += (double)x[at * inputs + c];
                    }
                    y[c] = (float)(sum / (rows * columns));
                }
            }
        }
    }
}

void reference_shortcut_backward(const struct cell_geometry *g, int n, const float *dy,
                                 bool accumulate, float *dx)
{
    size_t inputs = (size_t)g->in_channels, outputs = (size_t)g->out_channels;
    int oh_count = cell_out_size(g->height, g), ow_count = cell_out_size(g->width, g);
    for (int b = 0; b < n; b++) {
        for (int h = 0; h < g->height; h++) {
            for (int w = 0; w < g->width; w++, dx += inputs) {
                int top = h / g->side * g->side, left = w / g->side * g->side;
                int pixels =
                    cell_size(top, g->height, g->side) * cell_size(left, g->width, g->side);
                size_t out = pixel_at(b, oh_count, ow_count, h / g->side, w / g->side) * outputs;
                for (size_t c = 0; c < inputs; c++) {
                    float d = dy[out + c] / (float)pixels;
                    dx[c] = accumulate ? dx[c] + d : d;
                }
            }
        }
    }
}

/* --- twice as large --------------------------------------------------------------------------- */

/* Output i lies between two inputs, a quarter of a pixel from the nearer one: output = 3/4 near +
 * 1/4 far. At the border the far one is the near one again. */
static int near_input(int i)
{
    return i / 2;
}

static int far_input(int i, int size)
{
    int far = i % 2 == 0 ? i / 2 - 1 : i / 2 + 1;
    return far < 0 ? 0 : far >= size ? size - 1 : far;
}

/* The four pixels that make output (h, w) of an image, with their weights. */
struct corner {
    size_t at;
    double weight;
};

static void corners(int image, int height, int width, int h, int w, struct corner ret[4])
{
    int rows[] = {near_input(h), far_input(h, height)};
    int columns[] = {near_input(w), far_input(w, width)};
    static const double weights[] = {0.75, 0.25};
    for (int i = 0; i < 4; i++) {
        ret[i].at = pixel_at(image, height, width, rows[i / 2], columns[i % 2]);
        ret[i].weight = weights[i / 2] * weights[i % 2];
    }
}

void reference_upsample(int n, int height, int width, int channels, const float *x, float *y)
{
    size_t count = (size_t)channels;
    struct corner corner[4];
    for (int b = 0; b < n; b++) {
        for (int h = 0; h < 2 * height; h++) {
            for (int w = 0; w < 2 * width; w++, y += count) {
                corners(b, height, width, h, w, corner);
                for (size_t c = 0; c < count; c++) {
                    double sum = 0;
                    for (int i = 0; i < 4; i++) {
                        sum += corner[i].weight * (double)x[corner[i].at * count + c];
                    }
                    y[c] = (float)sum;
                }
            }
        }
    }
}

void reference_upsample_backward(int n, int height, int width, int channels, const float *dy,
                                 bool accumulate, float *dx)
{
    size_t count = (size_t)channels;
    struct corner corner[4];
    if (!accumulate) clear((size_t)n * (size_t)height * (size_t)width * count, dx);
    for (int b = 0; b < n; b++) {
        for (int h = 0; h < 2 * height; h++) {
            for (int w = 0; w < 2 * width; w++, dy += count) {
                corners(b, height, width, h, w, corner);
                for (size_t c = 0; c < count; c++) {
                    for (int i = 0; i < 4; i++) {
                        dx[corner[i].at * count + c] += (float)(corner[i].weight * (double)dy[c]);
                    }
                }
            }
        }
    }
}

/* --- gates ------------------------------------------------------------------------------------ */

static double sigmoid(float z)
{
    return 1 / (1 + exp(-(double)z));
}

void reference_gate(size_t count, const float *z, const float *x, float *y)
{
    for (size_t i = 0; i < count; i++) y[i] = (float)(sigmoid(z[i]) * (double)x[i]);
}

void reference_gate_backward(size_t count, const float *z, const float *x, const float *dy,
                             bool accumulate_z, float *dz, bool accumulate_x, float *dx)
{
    for (size_t i = 0; i < count; i++) {
        double s = sigmoid(z[i]), by_x = (double)dy[i] * s;
        double by_z = by_x * (double)x[i] * (1 - s);
        dz[i] = (float)(accumulate_z ? (double)dz[i] + by_z : by_z);
        dx[i] = (float)(accumulate_x ? (double)dx[i] + by_x : by_x);
    }
}
