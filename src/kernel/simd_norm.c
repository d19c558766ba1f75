/* Batch norm's passes over rows x channels. They are bound by memory, so each reads its operands
 * once and in order. Rows of few channels are first taken together to one wide row of four vectors
 * (16 channels: four rows), whose per-channel factors repeat; what is left over goes the general
 * way. Sums run in float over RUN_ROWS rows, then go into the caller's doubles: in double
 * throughout they would cost more than the memory. In a run x counts from its first row, so that
 * what the caller takes a variance from does not lose it in the square of the mean: of values that
 * are all the same it is 0. */
#include "simd.h"

enum { WIDE = 4 * LANES, RUN_ROWS = 32 };

/* Rows that make one wide row, 1 if the channels do not divide it. */
static size_t rows_together(size_t channels)
{
    return channels < WIDE && WIDE % channels == 0 ? WIDE / channels : 1;
}

/* A per-channel factor repeated over a wide row. */
static const float *repeat(const float *factor, size_t channels, float *wide)
{
    for (size_t i = 0; i < WIDE; i++) wide[i] = factor[i % channels];
    return wide;
}

/* Sums over so many rows of z and of z * (x - from), as those of z and of z * x; of moments z is
 * x - from, for which x is meant. */
static void add_to_doubles(const float *z, const float *zx, const float *from, size_t rows,
                           bool moments, size_t count, double *first, double *second)
{
    for (size_t i = 0; i < count; i++) {
        double a = (double)z[i], b = (double)zx[i], start = (double)from[i];
        if (moments) {
            b += start * a;
            a += start * (double)rows;
        }
        first[i] += a;
        second[i] += b + start * a;
    }
}

/* --- sums --------------------------------------------------------------------------------- */

/* What is summed: z = x and z * x, its squares; or z = what of dy passes the ReLU, by its
 * output or by its input, which replaces dy. */
enum sum { SUM_MOMENTS, SUM_ALL, SUM_BY_OUTPUT, SUM_BY_INPUT };

struct summed {
    const float *x;
    float *dy;
    struct norm_relu relu;
};

/* From row and column on. */
static struct summed summed_from(const struct summed *s, size_t at, size_t column)
{
    struct summed t = {.x = s->x + at, .dy = s->dy != NULL ? s->dy + at : NULL};
    if (s->relu.y != NULL) t.relu.y = s->relu.y + at;
    if (s->relu.scale == NULL) return t;
    t.relu.scale = s->relu.scale + column;
    t.relu.shift = s->relu.shift + column;
    return t;
}

static enum sum sum_of(const struct summed *s)
{
    if (s->dy == NULL) return SUM_MOMENTS;
    if (s->relu.y != NULL) return SUM_BY_OUTPUT;
    return s->relu.scale != NULL ? SUM_BY_INPUT : SUM_ALL;
}

/* Sums `vectors` vectors of columns over at most RUN_ROWS rows; one vector may have fewer lanes. */
ALWAYS_INLINE void run_body(const struct summed *s, size_t rows, size_t width, size_t lanes,
                            double *first, double *second, const int vectors, const enum sum what)
{
    vec a[4], b[4], from[4], scale[4], shift[4];
    vec_mask m = vec_first(min_size(lanes, LANES));
    for (int v = 0; v < vectors; v++) {
        a[v] = b[v] = vec_zero();
        from[v] = vec_get(s->x + v * LANES, vectors > 1, m);
        if (what != SUM_BY_INPUT) continue;
        scale[v] = vec_get(s->relu.scale + v * LANES, vectors > 1, m);
        shift[v] = vec_get(s->relu.shift + v * LANES, vectors > 1, m);
    }
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++) {
            size_t at = r * width + (size_t)v * LANES;
            vec x = vec_get(s->x + at, vectors > 1, m), above = vec_sub(x, from[v]), z = above;
            if (what != SUM_MOMENTS) z = vec_get(s->dy + at, vectors > 1, m);
            if (what == SUM_BY_OUTPUT)
                z = vec_where_positive(vec_get(s->relu.y + at, vectors > 1, m), z);
            if (what == SUM_BY_INPUT) z = vec_where_positive(vec_fma(x, scale[v], shift[v]), z);
            if (what == SUM_BY_OUTPUT || what == SUM_BY_INPUT)
                vec_put(s->dy + at, vectors > 1, m, z);
            a[v] = vec_add(a[v], z);
            b[v] = vec_fma(z, above, b[v]);
        }
    }
    float run[3][WIDE];
    for (int v = 0; v < vectors; v++) {
        vec_store(run[0] + v * LANES, a[v]);
        vec_store(run[1] + v * LANES, b[v]);
        vec_store(run[2] + v * LANES, from[v]);
    }
    add_to_doubles(run[0], run[1], run[2], rows, what == SUM_MOMENTS, lanes, first, second);
}

ALWAYS_INLINE void runs(const struct summed *s, size_t rows, size_t width, double *first,
                        double *second, const enum sum what)
{
    for (size_t r = 0; r < rows; r += RUN_ROWS) {
        size_t count = min_size(rows - r, RUN_ROWS), c = 0;
        for (; c + WIDE <= width; c += WIDE) {
            struct summed t = summed_from(s, r * width + c, c);
            run_body(&t, count, width, WIDE, first + c, second + c, 4, what);
        }
        for (; c < width; c += LANES) {
            struct summed t = summed_from(s, r * width + c, c);
            run_body(&t, count, width, min_size(width - c, LANES), first + c, second + c, 1, what);
        }
    }
}

static void sums(const struct summed *s, size_t rows, size_t width, double *first, double *second)
{
    switch (sum_of(s)) {
    case SUM_MOMENTS:
        runs(s, rows, width, first, second, SUM_MOMENTS);
        break;
    case SUM_ALL:
        runs(s, rows, width, first, second, SUM_ALL);
        break;
    case SUM_BY_OUTPUT:
        runs(s, rows, width, first, second, SUM_BY_OUTPUT);
        break;
    case SUM_BY_INPUT:
        runs(s, rows, width, first, second, SUM_BY_INPUT);
        break;
    }
}

static void sums_folded(const struct summed *s, size_t rows, size_t channels, double *first,
                        double *second)
{
    size_t together = rows_together(channels), wide_rows = together > 1 ? rows / together : 0;
    if (wide_rows > 0) {
        double a[WIDE] = {0}, b[WIDE] = {0};
        float scale[WIDE], shift[WIDE];
        struct summed wide = *s;
        if (sum_of(s) == SUM_BY_INPUT) {
            wide.relu.scale = repeat(s->relu.scale, channels, scale);
            wide.relu.shift = repeat(s->relu.shift, channels, shift);
        }
        sums(&wide, wide_rows, WIDE, a, b);
        for (size_t i = 0; i < WIDE; i++) {
            first[i % channels] += a[i];
            second[i % channels] += b[i];
        }
    }
    size_t done = wide_rows * together;
    struct summed rest = summed_from(s, done * channels, 0);
    sums(&rest, rows - done, channels, first, second);
}

void ISA(norm_moments)(size_t rows, size_t channels, const float *x, double *sum, double *square)
{
    struct summed s = {.x = x};
    sums_folded(&s, rows, channels, sum, square);
}

void ISA(norm_backward_sums)(size_t rows, size_t channels, const struct norm_relu *relu, float *dy,
                             const float *x, double *sum_dz, double *sum_dzx)
{
    struct summed s = {.x = x, .dy = dy, .relu = *relu};
    sums_folded(&s, rows, channels, sum_dz, sum_dzx);
}

/* --- y = act(x * scale + shift + residual) ------------------------------------------------ */

/* One vector of columns. */
ALWAYS_INLINE void apply_vector(const float *x, const float *scale, const float *shift,
                                const float *residual, float *y, const bool whole, vec_mask m,
                                const bool with_residual, const bool relu)
{
    vec v = vec_fma(vec_get(x, whole, m), vec_get(scale, whole, m), vec_get(shift, whole, m));
    if (with_residual) v = vec_add(v, vec_get(residual, whole, m));
    vec_put(y, whole, m, relu ? vec_relu(v) : v);
}

ALWAYS_INLINE void apply_body(size_t rows, size_t width, const float *x, const float *scale,
                              const float *shift, const float *residual, float *y,
                              const bool with_residual, const bool relu)
{
    vec_mask rest = vec_first(width % LANES);
    for (size_t r = 0; r < rows; r++, x += width, y += width) {
        size_t c = 0;
        for (; c + LANES <= width; c += LANES) {
            apply_vector(x + c, scale + c, shift + c, with_residual ? residual + c : NULL, y + c,
                         true, rest, with_residual, relu);
        }
        if (c < width) {
            apply_vector(x + c, scale + c, shift + c, with_residual ? residual + c : NULL, y + c,
                         false, rest, with_residual, relu);
        }
        if (with_residual) residual += width;
    }
}

static void apply(size_t rows, size_t width, const float *x, const float *scale, const float *shift,
                  const float *residual, bool relu, float *y)
{
    if (residual != NULL && relu) {
        apply_body(rows, width, x, scale, shift, residual, y, true, true);
    } else if (residual != NULL) {
        apply_body(rows, width, x, scale, shift, residual, y, true, false);
    } else if (relu) {
        apply_body(rows, width, x, scale, shift, NULL, y, false, true);
    } else {
        apply_body(rows, width, x, scale, shift, NULL, y, false, false);
    }
}

void ISA(norm_forward)(size_t rows, size_t channels, const float *x, const float *scale,
                       const float *shift, const float *residual, bool relu, float *y)
{
    size_t together = rows_together(channels), wide_rows = together > 1 ? rows / together : 0;
    size_t done = wide_rows * together, at = done * channels;
    if (wide_rows > 0) {
        float wide[2][WIDE];
        apply(wide_rows, WIDE, x, repeat(scale, channels, wide[0]),
              repeat(shift, channels, wide[1]), residual, relu, y);
    }
    apply(rows - done, channels, x + at, scale, shift, residual != NULL ? residual + at : NULL,
          relu, y + at);
}

/* --- dx = dz * a + x * b + k, dresidual = or += dz ---------------------------------------- */

/* The operands of one call, so that the bodies stay readable. */
struct backward {
    const float *dz, *x, *a, *b, *k;
    float *dx, *dresidual;
};

/* One vector of columns; c counts from the row's begin, `at` from the operands'. */
ALWAYS_INLINE void backward_vector(const struct backward *o, size_t at, size_t c, const bool whole,
                                   vec_mask m, const bool residual, const bool accumulate)
{
    vec z = vec_get(o->dz + at, whole, m);
    vec shift = vec_fma(vec_get(o->x + at, whole, m), vec_get(o->b + c, whole, m),
                        vec_get(o->k + c, whole, m));
    vec_put(o->dx + at, whole, m, vec_fma(z, vec_get(o->a + c, whole, m), shift));
    if (residual) {
        if (accumulate) z = vec_add(z, vec_get(o->dresidual + at, whole, m));
        vec_put(o->dresidual + at, whole, m, z);
    }
}

ALWAYS_INLINE void backward_body(const struct backward *o, size_t rows, size_t width,
                                 const bool residual, const bool accumulate)
{
    vec_mask rest = vec_first(width % LANES);
    for (size_t at = 0; at < rows * width; at += width) {
        size_t c = 0;
        for (; c + LANES <= width; c += LANES)
            backward_vector(o, at + c, c, true, rest, residual, accumulate);
        if (c < width) backward_vector(o, at + c, c, false, rest, residual, accumulate);
    }
}

static void backward(const struct backward *o, size_t rows, size_t width, bool accumulate)
{
    if (o->dresidual == NULL)
        backward_body(o, rows, width, false, false);
    else if (accumulate)
        backward_body(o, rows, width, true, true);
    else
        backward_body(o, rows, width, true, false);
}

void ISA(norm_backward)(size_t rows, size_t channels, const float *dz, const float *x,
                        const float *a, const float *b, const float *k, float *dx, float *dresidual,
                        bool accumulate)
{
    size_t together = rows_together(channels), wide_rows = together > 1 ? rows / together : 0;
    size_t done = wide_rows * together, at = done * channels;
    struct backward o = {dz, x, a, b, k, dx, dresidual};
    if (wide_rows > 0) {
        float wide[3][WIDE];
        o.a = repeat(a, channels, wide[0]);
        o.b = repeat(b, channels, wide[1]);
        o.k = repeat(k, channels, wide[2]);
        backward(&o, wide_rows, WIDE, accumulate);
    }
    struct backward rest = {
        dz + at, x + at, a, b, k, dx + at, dresidual != NULL ? dresidual + at : NULL};
    backward(&rest, rows - done, channels, accumulate);
}
