/* Conversions to and from 16-bit floats, in integer arithmetic, so that they need no instruction
 * set and mean the same everywhere. NaNs stay NaNs (quiet); their payload is not kept. */
#include "config.h"

#include "half.h"

#include <string.h>

enum { HALF_INFINITY = 0x7c00, HALF_NAN = 0x7e00, BFLOAT_QUIET = 0x0040 };

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* value >> shift, rounded to nearest even; shift 1..31. */
static uint32_t shift_rounded(uint32_t value, unsigned shift)
{
    uint32_t half = UINT32_C(1) << (shift - 1), odd = value >> shift & 1;
    return (value + half - 1 + odd) >> shift;
}

uint16_t half_from_float(float value)
{
    const uint32_t bits = bits_of(value), magnitude = bits & 0x7fffffff;
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (magnitude > 0x7f800000) return (uint16_t)(sign | HALF_NAN);

    const int exponent = (int)(magnitude >> 23) - 127;
    if (exponent >= 16) return (uint16_t)(sign | HALF_INFINITY);
    if (exponent >= -14) {
        /* Rounding may carry into the exponent, up to infinity: just what it should do. */
        uint32_t rebiased = magnitude - (UINT32_C(112) << 23);
        return (uint16_t)(sign | shift_rounded(rebiased, 13));
    }
    if (exponent < -25) return sign; /* less than half of the smallest subnormal */
    const uint32_t mantissa = (magnitude & 0x7fffff) | 0x800000;
    return (uint16_t)(sign | shift_rounded(mantissa, (unsigned)(-exponent - 1)));
}

float half_to_float(uint16_t bits)
{
    const uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = bits >> 10 & 0x1f;
    const uint32_t mantissa = bits & 0x3ff;
    if (exponent == 0x1f) return float_of(sign | 0x7f800000 | mantissa << 13);
    if (exponent > 0) return float_of(sign | (exponent + 112) << 23 | mantissa << 13);
    float magnitude = (float)mantissa * 0x1p-24f; /* exact, zero included */
    return float_of(sign | bits_of(magnitude));
}

uint16_t bfloat_from_float(float value)
{
    const uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | BFLOAT_QUIET);
    const uint32_t odd = bits >> 16 & 1;
    return (uint16_t)((bits + 0x7fff + odd) >> 16);
}

float bfloat_to_float(uint16_t bits)
{
    return float_of((uint32_t)bits << 16);
}
