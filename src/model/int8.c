/* The scale is searched for: the largest value of a channel becomes 127 steps, or a little more
 * than that, and is then cut off, which costs it and makes all others finer (minimal mean squared
 * error: Choukroun et al., "Low-bit Quantization of Neural Networks for Efficient Inference", ICCV
 * workshops 2019, section 3; Nagel et al., arXiv:2106.08295, section 3.1). With eight bits the
 * first is nearly always the best; channels with outliers are where the others matter. */
#include "config.h"

#include "int8.h"

#include <math.h>
#include <string.h>

/* Where a channel's largest value is cut off: TRIES from 1 down in steps of 0.02. */
enum { TRIES = 11 };
static const double try_step = 0.02;

/* The least scale: a channel of zeros has it, too. Nothing that is above it can become subnormal.
 */
static const float scale_min = 0x1p-100f;

/* The highest 17 bits of a scale. Down, so that 127 of it are never more than what it was made of,
 * which a float can hold. */
static float round_scale(float scale)
{
    uint32_t bits;
    if (scale < scale_min) return scale_min;
    memcpy(&bits, &scale, sizeof(bits));
    bits &= ~UINT32_C(0x7f);
    memcpy(&scale, &bits, sizeof(scale));
    return scale;
}

/* To the nearest, ties to even. */
static int8_t to_number(float value, float scale)
{
    const float number = rintf(value / scale);
    return (int8_t)(number > INT8_LARGEST    ? INT8_LARGEST
                    : number < -INT8_LARGEST ? -INT8_LARGEST
                                             : number);
}

/* The first of a channel's values in its o-th run of shape->inner. */
static size_t run_at(const struct int8_shape *shape, size_t outer, size_t channel)
{
    return (outer * shape->channels + channel) * shape->inner;
}

static float largest(const struct int8_shape *shape, size_t channel, const float *values)
{
    float most = 0;
    for (size_t o = 0; o < shape->outer; o++) {
        const float *run = values + run_at(shape, o, channel);
        for (size_t i = 0; i < shape->inner; i++) most = fmaxf(most, fabsf(run[i]));
    }
    return most;
}

static double squared_error(const struct int8_shape *shape, size_t channel, const float *values,
                            float scale)
{
    double sum = 0;
    for (size_t o = 0; o < shape->outer; o++) {
        const float *run = values + run_at(shape, o, channel);
        for (size_t i = 0; i < shape->inner; i++) {
            const double error = (double)run[i] - (double)scale * to_number(run[i], scale);
            sum += error * error;
        }
    }
    return sum;
}

static float best_scale(const struct int8_shape *shape, size_t channel, const float *values)
{
    const double most = largest(shape, channel, values);
    double least = INFINITY;
    float best = scale_min;
    for (int i = 0; i < TRIES; i++) {
        const float scale = round_scale((float)(most * (1 - try_step * i) / INT8_LARGEST));
        const double error = squared_error(shape, channel, values, scale);
        if (error >= least) continue;
        least = error;
        best = scale;
    }
    return best;
}

void int8_from_floats(const struct int8_shape *shape, const float *values, int8_t *ret_numbers,
                      float *ret_scales)
{
    for (size_t c = 0; c < shape->channels; c++) {
        ret_scales[c] = best_scale(shape, c, values);
        for (size_t o = 0; o < shape->outer; o++) {
            const size_t at = run_at(shape, o, c);
            for (size_t i = at; i < at + shape->inner; i++)
                ret_numbers[i] = to_number(values[i], ret_scales[c]);
        }
    }
}

void int8_to_floats(const struct int8_shape *shape, const int8_t *numbers, const float *scales,
                    float *ret_values)
{
    for (size_t c = 0; c < shape->channels; c++) {
        for (size_t o = 0; o < shape->outer; o++) {
            const size_t at = run_at(shape, o, c);
            for (size_t i = at; i < at + shape->inner; i++)
                ret_values[i] = scales[c] * (float)numbers[i];
        }
    }
}
