/* NumPy's own files of one array, version 1.0 (numpy.lib.format): what numpy.load() reads. */
#ifndef TOOL_NPY_H
#define TOOL_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { NPY_DIMS_MAX = 4 };

/* Writes n_dims dims, C order, atomically. Errors of file_write_atomic(). */
int npy_write_floats(const char *path, const float *values, const size_t *dims, int n_dims,
                     struct err *e);
int npy_write_ints(const char *path, const int32_t *values, const size_t *dims, int n_dims,
                   struct err *e);

#endif
