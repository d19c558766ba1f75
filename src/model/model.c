/* Loading a model.
 *
 * The file is read whole rather than mapped: it is hashed, parsed and converted at once, and a file
 * that somebody cuts while it is mapped would kill the process instead of giving an error. After
 * loading nothing of its bytes is kept. */
#include "config.h"

#include "model/model.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "history.h"
#include "metadata.h"
#include "model/spec_file.h"
#include "model_file.h"
#include "safetensors.h"

void model_free(struct model *model)
{
    if (model == NULL) return;
    plan_free(model->plan);
    mem_free(model->params);
    mem_free(model->labels); /* one block */
    history_release(&model->training);
    net_free(model->net); /* after the plan, which points into it */
    mem_free(model);
}

/* A string that every model has; NULL with the error set. */
static const char *needed_meta(const struct safetensors *file, const char *key, struct err *e)
{
    const char *text = safetensors_meta(file, key);
    if (text == NULL) {
        err_set(e, ERR_FORMAT,
                "there is no %s in its metadata: not a model that `autodidact train` or "
                "`autodidact import` wrote",
                key);
    }
    return text;
}

static int read_description(const struct safetensors *file, struct model *model, struct spec *spec,
                            struct err *e)
{
    const char *text = needed_meta(file, METADATA_SPEC, e);
    if (text == NULL) return ERR_FORMAT;
    int rc = spec_parse(text, strlen(text), spec, e);
    if (rc < 0) return err_prefix(e, METADATA_SPEC), rc;
    memcpy(model->name, spec->name, sizeof(model->name));

    text = needed_meta(file, METADATA_LABELS, e);
    if (text == NULL) return ERR_FORMAT;
    rc = metadata_parse_labels(text, spec->classes, &model->labels, e);
    if (rc < 0) return rc;

    text = needed_meta(file, METADATA_PREPROCESS, e);
    if (text == NULL) return ERR_FORMAT;
    rc = metadata_parse_preprocess(text, &model->preprocess, e);
    if (rc < 0) return rc;
    if (model->preprocess.width != spec->width || model->preprocess.height != spec->height ||
        spec->channels != 3) {
        return err_set(e, ERR_CONFLICT,
                       METADATA_PREPROCESS ": makes inputs of 3x%dx%d, but the net takes %dx%dx%d",
                       model->preprocess.height, model->preprocess.width, spec->channels,
                       spec->height, spec->width);
    }
    text = safetensors_meta(file, METADATA_TRAINING);
    if (text != NULL) {
        rc = metadata_parse_training(text, spec->n_sections, &model->training, e);
        if (rc < 0) return rc;
    }
    rc = history_read(file, &model->training, e);
    if (rc < 0) return rc;
    text = safetensors_meta(file, METADATA_CALIBRATION);
    if (text == NULL) return 0;
    return metadata_parse_calibration(text, spec->n_sections, model->training.untrained,
                                      &model->calibration, e);
}

/* The one that most elements have. */
static enum tensor_type stored_type(const struct safetensors *file)
{
    size_t counts[TENSOR_MODEL_TYPES] = {0};
    enum tensor_type most = TENSOR_F32;
    for (size_t i = 0; i < safetensors_count(file); i++) {
        const struct tensor *t = safetensors_at(file, i);
        counts[t->type] += t->count;
        if (counts[t->type] > counts[most]) most = t->type;
    }
    return most;
}

static int fill(struct model *model, const void *bytes, size_t size, struct err *e)
{
    struct safetensors *file = NULL;
    struct spec spec;
    uint8_t digest[SHA256_SIZE];
    if (size > MODEL_FILE_MAX) {
        return err_set(e, ERR_LIMIT, "%zu bytes long, a model may have %d", size, MODEL_FILE_MAX);
    }
    int rc = safetensors_parse(bytes, size, &file, e);
    if (rc < 0) return rc;
    rc = read_description(file, model, &spec, e);
    if (rc < 0) goto out;

    struct err local = {0}; /* these return no code */
    model->net = net_new(&spec, &local);
    if (model->net == NULL) {
        rc = err_set(e, local.code < 0 ? local.code : -ENOMEM, "%s", local.text);
        goto out;
    }
    if (net_block_size(model->net) > size) { /* before a lying spec costs memory */
        rc = err_set(e, ERR_CONFLICT,
                     "the spec asks for %zu parameters, but the file has only %zu bytes",
                     net_block_size(model->net), size);
        goto out;
    }
    model->params = mem_new_aligned(net_block_size(model->net), sizeof(*model->params));
    if (model->params == NULL) {
        rc = err_set(e, -ENOMEM, "no memory for %zu parameters", net_block_size(model->net));
        goto out;
    }
    rc = model_read_params(file, model->net, model->params, e);
    if (rc < 0) goto out;
    model->stored = stored_type(file);
    model->file_bytes = size;
    model->plan = plan_new(model->net, NULL, kernels_best(), &local);
    if (model->plan == NULL) {
        rc = err_set(e, local.code < 0 ? local.code : -ENOMEM, "%s", local.text);
        goto out;
    }
    const size_t activation = plan_activation_bytes(model->plan, 1); /* 0: no number */
    if (activation == 0 || activation > MODEL_ACTIVATION_MAX) {
        rc = err_set(e, ERR_LIMIT, "one image takes %zu bytes to compute, a model may take %d",
                     activation, MODEL_ACTIVATION_MAX);
        goto out;
    }
    sha256(bytes, size, digest);
    sha256_hex(digest, model->sha256);
out:
    safetensors_free(file);
    return rc;
}

int model_plan(struct model *model, const struct plan_options *options, struct err *e)
{
    struct err local = {0};
    struct plan *plan = plan_new_with(model->net, model->params, kernels_best(), options, &local);
    if (plan == NULL) return err_set(e, local.code < 0 ? local.code : -ENOMEM, "%s", local.text);
    plan_free(model->plan);
    model->plan = plan;
    return 0;
}

int model_load_bytes(const void *bytes, size_t size, struct model **ret_model, struct err *e)
{
    struct model *model = mem_new(1, sizeof(*model));
    if (model == NULL) return err_set(e, -ENOMEM, "no memory for a model");
    int rc = fill(model, bytes, size, e);
    if (rc < 0) {
        model_free(model);
        return rc;
    }
    *ret_model = model;
    return 0;
}

int model_load(const char *path, struct model **ret_model, struct err *e)
{
    char *bytes;
    size_t size;
    int rc = file_read(path, MODEL_FILE_MAX, &bytes, &size, e);
    if (rc < 0) return rc;
    rc = model_load_bytes(bytes, size, ret_model, e);
    if (rc < 0) err_prefix(e, "%s", path);
    mem_free(bytes);
    return rc;
}

int model_data(const struct model *model, struct lineage_set *ret, struct err *e)
{
    return history_data(&model->training, model->labels, net_classes(model->net), ret, e);
}

int model_lineage(const struct model *model, struct lineage *ret, struct err *e)
{
    return history_lineage(&model->training, model->labels, net_classes(model->net), ret, e);
}

double model_temperature(const struct model *model, int classifier)
{
    const struct calibration *c = &model->calibration;
    double t = classifier == MODEL_ENSEMBLE ? c->ensemble.temperature
               : classifier >= MODEL_RUNNING(0)
                   ? c->running[classifier - MODEL_RUNNING(0)].figures.temperature
                   : c->exits[classifier].temperature;
    return c->present && t > 0 ? t : 1;
}

int model_answerer(const struct calibration *c, int exit)
{
    const struct calibration_running *r = &c->running[exit];
    return r->present && r->figures.top1 > c->exits[exit].top1 ? MODEL_RUNNING(exit) : exit;
}

const char *model_classifier_name(int classifier)
{
    static const char *const names[] = {"1",          "2",          "3",          "4",
                                        "5",          "6",          "7",          "8",
                                        "ensemble:1", "ensemble:2", "ensemble:3", "ensemble:4",
                                        "ensemble:5", "ensemble:6", "ensemble:7", "ensemble:8"};
    _Static_assert(sizeof(names) / sizeof(names[0]) == MODEL_RUNNING(SPEC_SECTIONS_MAX),
                   "a name for every exit and every running ensemble");
    if (classifier == MODEL_ENSEMBLE) return "ensemble";
    assert(classifier >= 0 && classifier < MODEL_RUNNING(SPEC_SECTIONS_MAX));
    return names[classifier];
}
