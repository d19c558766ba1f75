/* The header is a Python literal, filled with blanks to a multiple of 64 bytes. */
#include "config.h"

#include "npy.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"

enum { PREFIX = 10, ALIGN = 64, HEADER_MAX = 256 };

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are written as they lie");

static int write_array(const char *path, const char *type, const void *values, size_t bytes,
                       const size_t *dims, int n_dims, struct err *e)
{
    char header[HEADER_MAX] = "\x93NUMPY\x01";
    size_t used = PREFIX;
    used += (size_t)snprintf(header + used, sizeof(header) - used,
                             "{'descr': '%s', 'fortran_order': False, 'shape': (", type);
    for (int i = 0; i < n_dims; i++)
        used += (size_t)snprintf(header + used, sizeof(header) - used, "%zu,", dims[i]);
    used += (size_t)snprintf(header + used, sizeof(header) - used, "), }");
    size_t size = (used + 1 + ALIGN - 1) / ALIGN * ALIGN; /* with the line's end */
    memset(header + used, ' ', size - used);
    header[size - 1] = '\n';
    header[8] = (char)((size - PREFIX) & 0xff);
    header[9] = (char)((size - PREFIX) >> 8);
    const struct file_piece pieces[] = {{header, size}, {values, bytes}};
    return file_write_atomic(path, pieces, 2, e);
}

static size_t count_of(const size_t *dims, int n_dims)
{
    size_t count = 1;
    for (int i = 0; i < n_dims; i++) count *= dims[i];
    return count;
}

int npy_write_floats(const char *path, const float *values, const size_t *dims, int n_dims,
                     struct err *e)
{
    return write_array(path, "<f4", values, count_of(dims, n_dims) * sizeof(*values), dims, n_dims,
                       e);
}

int npy_write_ints(const char *path, const int32_t *values, const size_t *dims, int n_dims,
                   struct err *e)
{
    return write_array(path, "<i4", values, count_of(dims, n_dims) * sizeof(*values), dims, n_dims,
                       e);
}
