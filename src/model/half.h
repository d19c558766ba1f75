/* The 16-bit floats of model files. Conversions from float round to nearest, ties to even. */
#ifndef SRC_MODEL_HALF_H
#define SRC_MODEL_HALF_H

#include <stdint.h>

uint16_t
half_from_float(float value); /* IEEE binary16: past 65504 infinity, down to 2^-24 subnormal */
float half_to_float(uint16_t bits);
uint16_t bfloat_from_float(float value); /* bfloat16: the upper half of a float */
float bfloat_to_float(uint16_t bits);

#endif
