/* Tensors of a file <-> parameters of a net. Names are the net's, compared exactly: a file with one
 * tensor too many is as suspicious as one with a tensor missing. */
#include "config.h"

#include "model_file.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

enum { SHAPE_TEXT_MAX = 128 };

static const char *shape_text(int n_dims, const int64_t *dims, char text[SHAPE_TEXT_MAX])
{
    size_t used = 0;
    text[used++] = '[';
    for (int i = 0; i < n_dims && used < SHAPE_TEXT_MAX - 24; i++) {
        used += (size_t)snprintf(text + used, SHAPE_TEXT_MAX - used, "%s%" PRId64, i > 0 ? "," : "",
                                 dims[i]);
    }
    snprintf(text + used, SHAPE_TEXT_MAX - used, "]");
    return text;
}

int model_check_values(const struct param *param, const float *values, struct err *e)
{
    const bool variance = param->role == PARAM_NORM_VARIANCE;
    for (size_t i = 0; i < param->size; i++) {
        if (isfinite(values[i]) && !(variance && values[i] < 0)) continue;
        return err_set(e, ERR_RANGE, "tensor %s: element %zu is %g, which %s", param->name, i,
                       (double)values[i],
                       isfinite(values[i]) ? "no variance can be" : "is not finite");
    }
    return 0;
}

static int read_param(const struct safetensors *file, const struct param *param, float *ret_values,
                      struct err *e)
{
    char expected[SHAPE_TEXT_MAX], found[SHAPE_TEXT_MAX];
    const struct tensor *t = safetensors_find(file, param->name);
    shape_text(param->n_dims, param->dims, expected);
    if (t == NULL) {
        return err_set(e, ERR_NOT_FOUND,
                       "tensor %s %s is missing; the spec in the file asks for it", param->name,
                       expected);
    }
    bool same = t->n_dims == param->n_dims && t->count == param->size;
    for (int i = 0; same && i < t->n_dims; i++) same = t->dims[i] == param->dims[i];
    if (!same) {
        return err_set(e, ERR_CONFLICT,
                       "tensor %s has the shape %s, but the spec in the file asks for %s",
                       param->name, shape_text(t->n_dims, t->dims, found), expected);
    }
    tensor_to_floats(t, ret_values);
    return model_check_values(param, ret_values, e);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names the first tensor that is no parameter. */
static int find_unknown(const struct safetensors *file, const struct param *params, size_t n,
                        struct err *e)
{
    const char **names = mem_new(n, sizeof(*names));
    if (names == NULL) return err_set(e, -ENOMEM, "no memory for %zu names", n);
    for (size_t i = 0; i < n; i++) names[i] = params[i].name;
    qsort(names, n, sizeof(*names), compare_texts);
    int rc = 0;
    for (size_t i = 0; i < safetensors_count(file) && rc == 0; i++) {
        const char *name = safetensors_at(file, i)->name;
        if (bsearch(&name, names, n, sizeof(*names), compare_texts) != NULL) continue;
        char shown[96];
        rc = err_set(e, ERR_CONFLICT, "tensor %s is unknown to the spec in the file",
                     text_printable(shown, sizeof(shown), name));
    }
    mem_free(names);
    return rc;
}

int model_read_params(const struct safetensors *file, const struct net *net, float *ret_params,
                      struct err *e)
{
    size_t n;
    const struct param *params = net_params(net, &n);
    for (size_t i = 0; i < n; i++) {
        int rc = read_param(file, &params[i], ret_params + params[i].offset, e);
        if (rc < 0) return rc;
    }
    /* All were found, names are unique: only with more tensors can one be unknown. */
    return safetensors_count(file) == n ? 0 : find_unknown(file, params, n, e);
}
