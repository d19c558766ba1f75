/* What loading and writing a model share: which parameter of a net is which tensor of a file. */
#ifndef SRC_MODEL_MODEL_FILE_H
#define SRC_MODEL_MODEL_FILE_H

#include "model/safetensors.h"
#include "nn/net.h"

/* Fills the net's parameter block from the tensors: every parameter must be there with its shape,
 * no tensor may be left over, all values finite, variances not negative. Messages name the tensor.
 */
int model_read_params(const struct safetensors *file, const struct net *net, float *ret_params,
                      struct err *e);

/* The values that the reader accepts, checked before writing. */
int model_check_values(const struct param *param, const float *values, struct err *e);

#endif
