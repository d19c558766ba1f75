/* A list of copies. */
#include "config.h"

#include "dump.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct copy {
    char name[DUMP_NAME_MAX];
    int n_dims;
    int64_t dims[DUMP_DIMS_MAX];
    float *values;
};

struct dump {
    struct copy *copies;
    size_t n, capacity;
    int status;
};

struct dump *dump_new(void)
{
    return mem_new(1, sizeof(struct dump));
}

void dump_free(struct dump *dump)
{
    if (dump == NULL) return;
    for (size_t i = 0; i < dump->n; i++) mem_free(dump->copies[i].values);
    mem_free(dump->copies);
    mem_free(dump);
}

static struct copy *take_place(struct dump *d)
{
    if (d->n == d->capacity) {
        const size_t more = d->capacity > 0 ? 2 * d->capacity : 64;
        struct copy *grown = mem_grow(d->copies, more, sizeof(*grown));
        if (grown == NULL) return NULL;
        d->copies = grown;
        d->capacity = more;
    }
    return &d->copies[d->n];
}

float *dump_add(struct dump *dump, const char *prefix, const char *name, int n_dims,
                const int64_t *dims, const float *values)
{
    size_t count = 1;
    assert(n_dims <= DUMP_DIMS_MAX);
    if (dump->status < 0) return NULL;
    struct copy *c = take_place(dump);
    for (int i = 0; i < n_dims; i++) count *= (size_t)dims[i];
    float *own = c != NULL ? mem_new(count + 1, sizeof(*own)) : NULL;
    if (own == NULL) {
        dump->status = -ENOMEM;
        return NULL;
    }
    *c = (struct copy){.n_dims = n_dims, .values = own};
    memcpy(c->dims, dims, (size_t)n_dims * sizeof(*dims));
    snprintf(c->name, sizeof(c->name), "%s%s", prefix, name);
    if (values != NULL) memcpy(own, values, count * sizeof(*own));
    dump->n++;
    return own;
}

int dump_write(const struct dump *dump, const char *path, const struct meta_out *texts,
               size_t n_texts, struct err *e)
{
    struct tensor_out *tensors = mem_new(dump->n + 1, sizeof(*tensors));
    int rc = tensors == NULL ? -ENOMEM : dump->status;
    if (rc < 0) {
        mem_free(tensors);
        return err_set(e, rc, "out of memory for %s", path);
    }
    for (size_t i = 0; i < dump->n; i++) {
        const struct copy *c = &dump->copies[i];
        tensors[i] = (struct tensor_out){c->name, c->n_dims, c->dims, c->values, TENSOR_F32};
    }
    rc = safetensors_write(path, tensors, dump->n, texts, n_texts, e);
    mem_free(tensors);
    return rc;
}
