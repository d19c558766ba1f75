/* Writing a model file. What the reader would refuse is not written: a training that ends in NaNs
 * ends in an error, not in a file that nobody can load. */
#include "config.h"

#include "model/model.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "metadata.h"
#include "model/spec_file.h"
#include "model_file.h"

enum { META_MAX = 6 };

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
    if (rc < 0 || !training->border.known) return rc;
    return add_text(meta, METADATA_HOLDOUT, holdout_border_format(&training->border), -ENOMEM, e);
}

int model_write(const char *path, enum tensor_type type, const struct net *net, const float *params,
                char *const *labels, const struct preprocess *preprocess,
                const struct calibration *calibration, const struct training *training,
                struct err *e)
{
    size_t n;
    const struct param *descriptions = net_params(net, &n);
    struct meta_texts meta = {.n = 0};
    struct tensor_out *tensors = mem_new(n, sizeof(*tensors));
    int rc = tensors != NULL ? 0 : err_set(e, -ENOMEM, "no memory for %zu tensors", n);
    for (size_t i = 0; i < n && rc == 0; i++) {
        const struct param *p = &descriptions[i];
        tensors[i] = (struct tensor_out){p->name, p->n_dims, p->dims, params + p->offset};
        rc = model_check_values(p, tensors[i].values, e);
    }
    if (rc == 0) rc = make_meta(&meta, net, labels, preprocess, calibration, training, e);
    if (rc < 0) {
        err_prefix(e, "cannot write %s", path);
    } else {
        rc = safetensors_write(path, type, tensors, n, meta.out, meta.n, e);
    }
    for (size_t i = 0; i < meta.n; i++) mem_free(meta.texts[i]);
    mem_free(tensors);
    return rc;
}
