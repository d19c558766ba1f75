/* What loading, importing and writing a model share: which parameter of a net is which tensor of a
 * file. The weight NAME of a convolution or linear layer may be of whole numbers (I8); then
 * NAME_scale (F32) has the scale of each output channel. */
#ifndef SRC_MODEL_MODEL_FILE_H
#define SRC_MODEL_MODEL_FILE_H

#include <stdbool.h>

#include "int8.h"
#include "model/safetensors.h"
#include "nn/net.h"

#define MODEL_SCALE_SUFFIX "_scale"

/* Fills the net's parameter block from the tensors: every parameter must be there with its shape,
 * no tensor may be left over, all values finite, variances not negative. Messages name the tensor.
 */
int model_read_params(const struct safetensors *file, const struct net *net, float *ret_params,
                      struct err *e);

/* The elements of a tensor that has the parameter's shape, whatever its type, as checked floats;
 * tensors of integers other than I8 are the caller's to refuse. Messages name the tensor. */
int model_read_values(const struct safetensors *file, const struct tensor *tensor,
                      const struct param *param, float *ret_values, struct err *e);

/* Whether the tensor has the scales of one of whole numbers. */
bool model_is_scale(const struct safetensors *file, const struct tensor *tensor);

/* Whether the parameter can be of whole numbers; its channels. */
bool model_int8_shape(const struct param *param, struct int8_shape *ret_shape);

/* The values that the reader accepts, checked before writing. */
int model_check_values(const struct param *param, const float *values, struct err *e);

#endif
