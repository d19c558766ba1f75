/* Tensors that are put aside, each a copy under a name, until all are written as one safetensors
 * file: what a step did, for who checks it elsewhere. The first failure stays, and is that of
 * dump_write(). One caller at a time. */
#ifndef TRAIN_DUMP_H
#define TRAIN_DUMP_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/safetensors.h"

struct dump;

enum { DUMP_NAME_MAX = 160, DUMP_DIMS_MAX = 4 };

/* NULL when out of memory. */
struct dump *dump_new(void);
void dump_free(struct dump *dump);

/* A tensor of these dims under prefix and name; values NULL: of zeros, for the caller to fill. The
 * copy, until dump_free(); NULL after a failure. */
float *dump_add(struct dump *dump, const char *prefix, const char *name, int n_dims,
                const int64_t *dims, const float *values);

/* Writes all, and the texts as metadata. Errors as safetensors_write()'s, -ENOMEM. */
int dump_write(const struct dump *dump, const char *path, const struct meta_out *texts,
               size_t n_texts, struct err *e);

#endif
