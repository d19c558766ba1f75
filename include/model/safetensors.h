/* Safetensors files: 8 bytes length (little endian), JSON header, raw tensors. The reader trusts
 * nothing: lengths, offsets (no holes, no overlap, inside the file), shapes and products are
 * checked. Of models only F32, F16, BF16 and I8 are taken, of others' checkpoints the types
 * that PyTorch has. */
#ifndef MODEL_SAFETENSORS_H
#define MODEL_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum tensor_type {
    TENSOR_F32, /* as far as TENSOR_I8 in the order of the choices of --store */
    TENSOR_F16,
    TENSOR_BF16,
    TENSOR_I8, /* the last one that models have and that can be written */
    TENSOR_F64,
    TENSOR_I64,
    TENSOR_I32,
    TENSOR_I16,
    TENSOR_U8,
    TENSOR_BOOL
};
enum { TENSOR_DIMS_MAX = 8, SAFETENSORS_HEADER_MAX = 16 << 20 };

struct tensor {
    const char *name;
    enum tensor_type type;
    int n_dims;
    int64_t dims[TENSOR_DIMS_MAX];
    size_t count;              /* elements */
    const unsigned char *data; /* little endian, may be unaligned */
};

struct safetensors; /* a parsed header over bytes that belong to the caller and must outlive it */

int safetensors_parse(const void *bytes, size_t size, struct safetensors **ret_file, struct err *e);

/* The same for a checkpoint that others wrote: any of the types. */
int safetensors_parse_checkpoint(const void *bytes, size_t size, struct safetensors **ret_file,
                                 struct err *e);
void safetensors_free(struct safetensors *file);
size_t safetensors_count(const struct safetensors *file);
const struct tensor *safetensors_at(const struct safetensors *file, size_t i);
const struct tensor *safetensors_find(const struct safetensors *file,
                                      const char *name);                       /* or NULL */
const char *safetensors_meta(const struct safetensors *file, const char *key); /* or NULL */

/* F32, F16, BF16, F64. */
bool tensor_is_float(const struct tensor *t);

/* Elements as floats; the type must be one of floats. An F64 past them becomes an infinity. */
void tensor_to_floats(const struct tensor *t, float *ret_values);

struct tensor_out {
    const char *name;
    int n_dims;
    const int64_t *dims;
    const void *values;    /* floats, stored rounded to nearest even; of an I8 int8_t */
    enum tensor_type type; /* up to TENSOR_I8 */
};

struct meta_out {
    const char *key, *value;
};

/* Writes atomically (file_write_atomic); the same input gives the same bytes. */
int safetensors_write(const char *path, const struct tensor_out *tensors, size_t n_tensors,
                      const struct meta_out *meta, size_t n_meta, struct err *e);

#endif
