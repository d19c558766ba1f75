/* Names of the element types, which the reader and the writer share. */
#ifndef SRC_MODEL_SAFETENSORS_H
#define SRC_MODEL_SAFETENSORS_H

#include "model/safetensors.h"

enum { TENSOR_TYPES = TENSOR_BOOL + 1, TENSOR_MODEL_TYPES = TENSOR_I8 + 1 };

extern const char *const tensor_type_names[TENSOR_TYPES]; /* "F32".., in the order of the enum */
size_t tensor_type_bytes(enum tensor_type type);

#endif
