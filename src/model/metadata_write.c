/* The metadata of a model file as JSON text. The order of members is fixed. */
#include "config.h"

#include "metadata.h"

#include <math.h>

#include "base/mem.h"
#include "json_out.h"

enum { DOCUMENT_MAX = SAFETENSORS_HEADER_MAX };

const char *const preprocess_resize_names[2] = {"stretch", "cover"};
const char *const preprocess_crop_names[2] = {"none", "centre"};
const char *const preprocess_filter_names[1] = {"bilinear"};

static char *finish(struct json_out *out, int *ret_status)
{
    char *text = out->status == 0 ? buf_take(&out->text) : NULL;
    *ret_status = out->status;
    json_out_release(out);
    return text;
}

static void put_string(struct json_out *out, const char *before, const char *value)
{
    json_out_raw(out, before);
    json_out_string(out, value);
}

static void put_int(struct json_out *out, const char *before, int64_t value)
{
    json_out_raw(out, before);
    json_out_int(out, value);
}

static void put_double(struct json_out *out, const char *before, double value)
{
    json_out_raw(out, before);
    if (isfinite(value)) {
        json_out_double(out, value);
    } else if (out->status == 0) {
        out->status = ERR_RANGE;
    }
}

static void put_floats(struct json_out *out, const char *before, const float *values, int n)
{
    json_out_raw(out, before);
    for (int i = 0; i < n; i++) {
        json_out_raw(out, i > 0 ? ", " : "[");
        if (isfinite(values[i])) {
            json_out_float(out, values[i]);
        } else if (out->status == 0) {
            out->status = ERR_RANGE;
        }
    }
    json_out_raw(out, "]");
}

char *metadata_format_labels(char *const *labels, int n, int *ret_status)
{
    struct json_out out;
    json_out_init(&out, DOCUMENT_MAX);
    for (int i = 0; i < n; i++) put_string(&out, i > 0 ? ", " : "[", labels[i]);
    json_out_raw(&out, "]");
    return finish(&out, ret_status);
}

char *metadata_format_preprocess(const struct preprocess *p, int *ret_status)
{
    struct json_out out;
    json_out_init(&out, DOCUMENT_MAX);
    put_int(&out, "{\"width\": ", p->width);
    put_int(&out, ", \"height\": ", p->height);
    put_string(&out, ", \"resize\": ", preprocess_resize_names[p->resize]);
    put_string(&out, ", \"filter\": ", preprocess_filter_names[p->filter]);
    put_string(&out, ", \"crop\": ", preprocess_crop_names[p->resize]);
    put_floats(&out, ", \"mean\": ", p->mean, 3);
    put_floats(&out, ", \"std\": ", p->std, 3);
    json_out_raw(&out, "}");
    return finish(&out, ret_status);
}

static void put_entry(struct json_out *out, const struct calibration_entry *entry)
{
    put_double(out, "{\"top1\": ", entry->top1);
    put_double(out, ", \"temperature\": ", entry->temperature);
    json_out_raw(out, "}");
}

char *metadata_format_calibration(const struct calibration *c, int sections, int *ret_status)
{
    struct json_out out;
    json_out_init(&out, DOCUMENT_MAX);
    put_int(&out, "{\"images\": ", c->n_images);
    json_out_raw(&out, ", \"exits\": [");
    for (int i = 0; i < sections; i++) {
        if (i > 0) json_out_raw(&out, ", ");
        put_entry(&out, &c->exits[i]);
    }
    json_out_raw(&out, "], \"ensemble\": ");
    put_entry(&out, &c->ensemble);
    if (c->has_thresholds) {
        for (int i = 0; i < sections; i++) {
            put_double(&out, i > 0 ? ", " : ", \"thresholds\": [", c->thresholds[i]);
        }
        json_out_raw(&out, "]");
    }
    json_out_raw(&out, "}");
    return finish(&out, ret_status);
}

static void put_figures(struct json_out *out, const struct training_figures *f)
{
    put_double(out, "{\"top1\": ", f->top1);
    put_double(out, ", \"top5\": ", f->top5);
    put_double(out, ", \"nll\": ", f->nll);
    put_double(out, ", \"ece\": ", f->ece);
    json_out_raw(out, "}");
}

char *metadata_format_training(const struct training *t, int sections, int *ret_status)
{
    struct json_out out;
    json_out_init(&out, DOCUMENT_MAX);
    put_string(&out, "{\"method\": ", t->method);
    put_string(&out, ", \"data\": ", t->data);
    put_string(&out, ", \"program\": ", t->program);
    put_string(&out, ", \"schedule\": ", t->schedule);
    put_string(&out, ", \"augment\": ", t->augment);
    put_string(&out, ", \"parent\": ", t->parent);
    if (t->teacher[0] != '\0') put_string(&out, ", \"teacher\": ", t->teacher);
    put_int(&out, ", \"epochs\": ", t->epochs);
    put_int(&out, ", \"batch\": ", t->batch);
    put_int(&out, ", \"warmup\": ", t->warmup);
    put_int(&out, ", \"threads\": ", t->threads);
    json_out_raw(&out, ", \"seed\": ");
    json_out_seed(&out, t->seed);
    put_double(&out, ", \"lr\": ", t->lr);
    put_double(&out, ", \"momentum\": ", t->momentum);
    put_double(&out, ", \"weight_decay\": ", t->weight_decay);
    put_double(&out, ", \"temperature\": ", t->temperature);
    put_double(&out, ", \"alpha\": ", t->alpha);
    put_double(&out, ", \"lambda\": ", t->lambda);
    if (t->beta != 0) put_double(&out, ", \"beta\": ", t->beta);
    json_out_raw(&out, t->kd_scale ? ", \"kd_scale\": true" : ", \"kd_scale\": false");
    put_int(&out, ", \"holdout\": ", t->holdout);
    json_out_raw(&out, ", \"holdout_seed\": ");
    json_out_seed(&out, t->holdout_seed);
    put_string(&out, ", \"command\": ", t->command);
    if (t->has_figures) {
        json_out_raw(&out, ", \"figures\": {\"exits\": [");
        for (int i = 0; i < sections; i++) {
            if (i > 0) json_out_raw(&out, ", ");
            put_figures(&out, &t->exits[i]);
        }
        json_out_raw(&out, "], \"ensemble\": ");
        put_figures(&out, &t->ensemble);
        json_out_raw(&out, "}");
    }
    json_out_raw(&out, "}");
    return finish(&out, ret_status);
}
