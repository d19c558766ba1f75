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
#include "safetensors.h"

enum { SHAPE_TEXT_MAX = 128, NAME_BYTES = 512, NAME_SHOWN = 96 };

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

bool model_int8_shape(const struct param *param, struct int8_shape *ret_shape)
{
    if (param->role != PARAM_CONV_WEIGHT && param->role != PARAM_LINEAR_WEIGHT) return false;
    struct int8_shape s = {1, (size_t)param->dims[param->out_dim], 1};
    for (int i = 0; i < param->n_dims; i++) {
        if (i < param->out_dim) s.outer *= (size_t)param->dims[i];
        if (i > param->out_dim) s.inner *= (size_t)param->dims[i];
    }
    *ret_shape = s;
    return true;
}

/* --- weights of whole numbers ----------------------------------------------------------------- */

bool model_is_scale(const struct safetensors *file, const struct tensor *tensor)
{
    const size_t suffix = strlen(MODEL_SCALE_SUFFIX), length = strlen(tensor->name);
    char name[NAME_BYTES];
    if (length < suffix || length - suffix >= sizeof(name)) return false;
    if (strcmp(tensor->name + length - suffix, MODEL_SCALE_SUFFIX) != 0) return false;
    snprintf(name, sizeof(name), "%.*s", (int)(length - suffix), tensor->name);
    const struct tensor *of = safetensors_find(file, name);
    return of != NULL && of->type == TENSOR_I8;
}

/* The scales of a tensor of whole numbers, channels of them. */
static int read_scales(const struct safetensors *file, const struct tensor *tensor, size_t channels,
                       float *ret_scales, struct err *e)
{
    char name[NAME_BYTES + sizeof(MODEL_SCALE_SUFFIX)], found[SHAPE_TEXT_MAX];
    char shown[NAME_SHOWN], shown_scale[NAME_SHOWN];
    int length = snprintf(name, sizeof(name), "%s" MODEL_SCALE_SUFFIX, tensor->name);
    const struct tensor *t = (size_t)length < sizeof(name) ? safetensors_find(file, name) : NULL;
    text_printable(shown, sizeof(shown), tensor->name);
    text_printable(shown_scale, sizeof(shown_scale), name);
    if (t == NULL) {
        return err_set(e, ERR_NOT_FOUND,
                       "tensor %s [%zu] is missing: %s is of whole numbers (I8), which it gives "
                       "their scale by channel",
                       shown_scale, channels, shown);
    }
    if (t->type != TENSOR_F32) {
        return err_set(e, ERR_CONFLICT, "tensor %s is %s, but scales are F32", shown_scale,
                       tensor_type_names[t->type]);
    }
    if (t->n_dims != 1 || t->count != channels) {
        return err_set(e, ERR_CONFLICT,
                       "tensor %s has the shape %s, but %s has %zu output channels", shown_scale,
                       shape_text(t->n_dims, t->dims, found), shown, channels);
    }
    tensor_to_floats(t, ret_scales);
    for (size_t i = 0; i < channels; i++) {
        if (isfinite(ret_scales[i]) && ret_scales[i] > 0) continue;
        return err_set(e, ERR_RANGE, "tensor %s: element %zu is %g, which no scale can be",
                       shown_scale, i, (double)ret_scales[i]);
    }
    return 0;
}

static int read_numbers(const struct safetensors *file, const struct tensor *tensor,
                        const struct param *param, float *ret_values, struct err *e)
{
    struct int8_shape shape;
    char shown[NAME_SHOWN];
    if (!model_int8_shape(param, &shape)) {
        return err_set(e, ERR_CONFLICT,
                       "tensor %s is of whole numbers (I8), which only weights of convolutions and "
                       "linear layers can be",
                       text_printable(shown, sizeof(shown), tensor->name));
    }
    float *scales = mem_new(shape.channels, sizeof(*scales));
    if (scales == NULL) return err_set(e, -ENOMEM, "no memory for %zu scales", shape.channels);
    int rc = read_scales(file, tensor, shape.channels, scales, e);
    if (rc == 0) int8_to_floats(&shape, (const int8_t *)tensor->data, scales, ret_values);
    mem_free(scales);
    return rc;
}

int model_read_values(const struct safetensors *file, const struct tensor *tensor,
                      const struct param *param, float *ret_values, struct err *e)
{
    int rc = 0;
    if (tensor->type == TENSOR_I8)
        rc = read_numbers(file, tensor, param, ret_values, e);
    else
        tensor_to_floats(tensor, ret_values);
    return rc < 0 ? rc : model_check_values(param, ret_values, e);
}

/* --- all tensors of a model ------------------------------------------------------------------- */

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
    return model_read_values(file, t, param, ret_values, e);
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
        const struct tensor *t = safetensors_at(file, i);
        if (bsearch(&t->name, names, n, sizeof(*names), compare_texts) != NULL) continue;
        if (model_is_scale(file, t)) continue;
        char shown[NAME_SHOWN];
        rc = err_set(e, ERR_CONFLICT, "tensor %s is unknown to the spec in the file",
                     text_printable(shown, sizeof(shown), t->name));
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
    return find_unknown(file, params, n, e);
}
