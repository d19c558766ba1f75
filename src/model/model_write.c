/* Writing a model file. What the reader would refuse is not written: a training that ends in NaNs
 * ends in an error, not in a file that nobody can load. */
#include "config.h"

#include "model/model.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "metadata.h"
#include "model/spec_file.h"
#include "model_file.h"

enum { META_MAX = 7 };

int model_check_label(const char *label, struct err *e)
{
    const char *problem = metadata_label_problem(label, strlen(label));
    if (problem != NULL) return err_set(e, ERR_FORMAT, "the label: %s", problem);
    for (const char *at = label; *at != '\0';) {
        size_t n = text_utf8_length(at, strlen(at));
        if (n == 0) return err_set(e, ERR_FORMAT, "the label: it is not UTF-8");
        at += n;
    }
    return 0;
}

/* By label, then by class. */
static int compare_places(const void *a, const void *b)
{
    char *const *const *x = a, *const *const *y = b;
    int order = strcmp(**x, **y);
    return order != 0 ? order : (*x > *y) - (*x < *y);
}

bool model_has_doubled_label(char *const *labels, int n, int ret_classes[2])
{
    char *const **places = mem_new((size_t)n, sizeof(*places));
    if (places == NULL) return false;
    for (int i = 0; i < n; i++) places[i] = &labels[i];
    qsort((void *)places, (size_t)n, sizeof(*places), compare_places);
    bool found = false;
    for (int i = 1; i < n; i++) {
        int second = (int)(places[i] - labels);
        if (strcmp(*places[i - 1], *places[i]) != 0 || (found && second > ret_classes[1])) continue;
        ret_classes[0] = (int)(places[i - 1] - labels);
        ret_classes[1] = second;
        found = true;
    }
    mem_free((void *)places);
    return found;
}

/* Strings of the metadata, in their order in the file. */
struct meta_texts {
    struct meta_out out[META_MAX];
    char *texts[META_MAX];
    size_t n;
};

static int add_text(struct meta_texts *meta, const char *key, char *text, int status, struct err *e)
{
    if (text == NULL) {
        if (status == 0) status = -ENOMEM;
        return err_set(e, status, "%s: %s", key,
                       status == ERR_FORMAT  ? "a string is not UTF-8"
                       : status == ERR_RANGE ? "a number is not finite"
                                             : err_text(status));
    }
    meta->out[meta->n] = (struct meta_out){key, text};
    meta->texts[meta->n++] = text;
    return 0;
}

/* Where there is nothing else to say, that it comes from somewhere says that there was nothing. */
static int add_history(struct meta_texts *meta, const struct training *t, struct err *e)
{
    int rc = 0;
    if (t->border.known)
        rc = add_text(meta, METADATA_HOLDOUT, holdout_border_format(&t->border), -ENOMEM, e);
    if (rc < 0 || (t->parent[0] == '\0' && t->teacher[0] == '\0' && t->lineage.n == 0 &&
                   !t->lineage.has_unknown))
        return rc;
    return add_text(meta, METADATA_LINEAGE, lineage_format(&t->lineage), ERR_LIMIT, e);
}

static int make_meta(struct meta_texts *meta, const struct net *net, char *const *labels,
                     const struct preprocess *preprocess, const struct calibration *calibration,
                     const struct training *training, struct err *e)
{
    const int sections = net_sections(net);
    const unsigned untrained = training != NULL ? training->untrained : 0;
    union {
        struct preprocess preprocess;
        struct calibration calibration;
        struct training training;
    } read_back; /* only to see that it can be */
    int status = 0;
    char *text = spec_format(net_spec(net));
    int rc = add_text(meta, METADATA_SPEC, text, -ENOMEM, e);
    if (rc < 0) return rc;
    for (int i = 0; i < net_classes(net) && rc == 0; i++) {
        rc = model_check_label(labels[i], e);
        if (rc < 0) return err_prefix(e, "class %d", i), rc;
    }
    text = metadata_format_labels(labels, net_classes(net), &status);
    rc = add_text(meta, METADATA_LABELS, text, status, e);
    if (rc < 0) return rc;
    text = metadata_format_preprocess(preprocess, &status);
    rc = add_text(meta, METADATA_PREPROCESS, text, status, e);
    if (rc == 0) rc = metadata_parse_preprocess(text, &read_back.preprocess, e);
    if (rc < 0) return rc;
    if (calibration != NULL && calibration->present) {
        text = metadata_format_calibration(calibration, sections, untrained, &status);
        rc = add_text(meta, METADATA_CALIBRATION, text, status, e);
        if (rc == 0) {
            rc = metadata_parse_calibration(text, sections, untrained, &read_back.calibration, e);
        }
        if (rc < 0) return rc;
    }
    if (training == NULL) return 0;
    text = metadata_format_training(training, sections, &status);
    rc = add_text(meta, METADATA_TRAINING, text, status, e);
    if (rc == 0) rc = metadata_parse_training(text, sections, &read_back.training, e);
    return rc == 0 ? add_history(meta, training, e) : rc;
}

/* --- tensors ---------------------------------------------------------------------------------- */

/* What a weight becomes as whole numbers; in the order of the parameters. */
struct numbers {
    char name[sizeof(((struct param *)NULL)->name) + sizeof(MODEL_SCALE_SUFFIX)]; /* the scales' */
    int64_t channels;
    int8_t *numbers; /* one block with those of all others */
    float *scales;   /* likewise */
};

struct tensors {
    struct tensor_out *out;
    size_t n;
    struct numbers *weights; /* [parameters]; channels 0: it is not one. NULL unless of I8 */
    int8_t *numbers;
    float *scales;
};

static void tensors_release(struct tensors *t)
{
    mem_free(t->out);
    mem_free(t->weights);
    mem_free(t->numbers);
    mem_free(t->scales);
}

static int make_numbers(struct tensors *t, const struct param *params, size_t n_params,
                        const float *values, struct err *e)
{
    struct int8_shape shape;
    size_t n_numbers = 0, n_scales = 0;
    for (size_t i = 0; i < n_params; i++) {
        if (!model_int8_shape(&params[i], &shape)) continue;
        n_numbers += params[i].size;
        n_scales += shape.channels;
    }
    t->weights = mem_new(n_params, sizeof(*t->weights));
    t->numbers = mem_new(n_numbers, sizeof(*t->numbers));
    t->scales = mem_new(n_scales, sizeof(*t->scales));
    if (t->weights == NULL || t->numbers == NULL || t->scales == NULL)
        return err_set(e, -ENOMEM, "no memory for %zu whole numbers", n_numbers);
    int8_t *numbers = t->numbers;
    float *scales = t->scales;
    for (size_t i = 0; i < n_params; i++) {
        struct numbers *w = &t->weights[i];
        if (!model_int8_shape(&params[i], &shape)) continue;
        snprintf(w->name, sizeof(w->name), "%s" MODEL_SCALE_SUFFIX, params[i].name);
        w->channels = (int64_t)shape.channels;
        w->numbers = numbers;
        w->scales = scales;
        int8_from_floats(&shape, values + params[i].offset, numbers, scales);
        numbers += params[i].size;
        scales += shape.channels;
    }
    return 0;
}

static void put_tensor(struct tensors *t, const char *name, int n_dims, const int64_t *dims,
                       const void *values, enum tensor_type type)
{
    t->out[t->n++] = (struct tensor_out){name, n_dims, dims, values, type};
}

/* Whole numbers come last, so that floats begin where floats may. */
static int make_tensors(struct tensors *t, enum tensor_type type, const struct param *params,
                        size_t n_params, const float *values, struct err *e)
{
    for (size_t i = 0; i < n_params; i++) {
        int rc = model_check_values(&params[i], values + params[i].offset, e);
        if (rc < 0) return rc;
    }
    t->out = mem_new(2 * n_params, sizeof(*t->out));
    if (t->out == NULL) return err_set(e, -ENOMEM, "no memory for %zu tensors", n_params);
    int rc = type == TENSOR_I8 ? make_numbers(t, params, n_params, values, e) : 0;
    if (rc < 0) return rc;
    for (size_t i = 0; i < n_params; i++) {
        const struct param *p = &params[i];
        const struct numbers *w = t->weights != NULL ? &t->weights[i] : NULL;
        if (w == NULL)
            put_tensor(t, p->name, p->n_dims, p->dims, values + p->offset, type);
        else if (w->channels == 0)
            put_tensor(t, p->name, p->n_dims, p->dims, values + p->offset, TENSOR_F32);
        else
            put_tensor(t, w->name, 1, &w->channels, w->scales, TENSOR_F32);
    }
    for (size_t i = 0; i < n_params && t->weights != NULL; i++) {
        const struct param *p = &params[i];
        if (t->weights[i].channels == 0) continue;
        put_tensor(t, p->name, p->n_dims, p->dims, t->weights[i].numbers, TENSOR_I8);
    }
    return 0;
}

int model_write(const char *path, enum tensor_type type, const struct net *net, const float *params,
                char *const *labels, const struct preprocess *preprocess,
                const struct calibration *calibration, const struct training *training,
                struct err *e)
{
    size_t n;
    const struct param *descriptions = net_params(net, &n);
    struct meta_texts meta = {.n = 0};
    struct tensors tensors = {.n = 0};
    int rc = make_tensors(&tensors, type, descriptions, n, params, e);
    if (rc == 0) rc = make_meta(&meta, net, labels, preprocess, calibration, training, e);
    if (rc < 0) {
        err_prefix(e, "cannot write %s", path);
    } else {
        rc = safetensors_write(path, tensors.out, tensors.n, meta.out, meta.n, e);
    }
    for (size_t i = 0; i < meta.n; i++) mem_free(meta.texts[i]);
    tensors_release(&tensors);
    return rc;
}
