/* Weights as whole numbers: weight = scale * number, a number from -127 to 127 and a scale above 0
 * for each output channel (doc/training.md, --store i8). Scales have 17 significant bits, so that
 * every product is exact in fp32: what was read can be stored again without a loss, to the same
 * bytes. */
#ifndef SRC_MODEL_INT8_H
#define SRC_MODEL_INT8_H

#include <stddef.h>
#include <stdint.h>

enum { INT8_LARGEST = 127 };

/* Of a weight's elements: [outer][channels][inner]. OIHW has one outer, IOHW has I. */
struct int8_shape {
    size_t outer, channels, inner;
};

/* Finite values to numbers and scales [channels]. Each scale is, of those tried, the one with the
 * least sum of squared errors. An error is at most scale / 2, but of values beyond 127 scale, which
 * become that. The same values give the same numbers everywhere. */
void int8_from_floats(const struct int8_shape *shape, const float *values, int8_t *ret_numbers,
                      float *ret_scales);

/* What the numbers mean. ret_values may not overlap them. */
void int8_to_floats(const struct int8_shape *shape, const int8_t *numbers, const float *scales,
                    float *ret_values);

#endif
