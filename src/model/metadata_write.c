/* The metadata of a model file as JSON text. The order of members is fixed. */
#include "config.h"

#include "metadata.h"

#include <math.h>

#include "base/buf.h"
#include "json/write.h"
#include "metadata_recipe.h"

enum { DOCUMENT_MAX = SAFETENSORS_HEADER_MAX };

const char *const preprocess_resize_names[2] = {"stretch", "cover"};
const char *const preprocess_crop_names[2] = {"none", "centre"};
const char *const preprocess_filter_names[1] = {"bilinear"};

/* A document that is being written; begin() to finish(). */
struct document {
    struct buf text;
    struct json_writer w;
};

static struct json_writer *begin(struct document *d, char bracket)
{
    buf_init(&d->text, DOCUMENT_MAX);
    json_writer_init(&d->w, &d->text);
    d->w.spaced = true;
    json_write_open(&d->w, NULL, bracket);
    return &d->w;
}

static char *finish(struct document *d, char bracket, int *ret_status)
{
    json_write_close(&d->w, bracket);
    *ret_status = d->w.status == 0 && d->w.replaced ? ERR_FORMAT : d->w.status;
    char *text = *ret_status == 0 ? buf_take(&d->text) : NULL;
    buf_release(&d->text);
    return text;
}

static void put_number(struct json_writer *w, const char *name, double value)
{
    if (isfinite(value)) {
        json_write_number(w, name, value);
    } else if (w->status == 0) {
        w->status = ERR_RANGE;
    }
}

static void put_floats(struct json_writer *w, const char *name, const float *values, int n)
{
    json_write_open(w, name, '[');
    for (int i = 0; i < n; i++) {
        if (isfinite(values[i])) {
            json_write_float(w, NULL, values[i]);
        } else if (w->status == 0) {
            w->status = ERR_RANGE;
        }
    }
    json_write_close(w, ']');
}

char *metadata_format_labels(char *const *labels, int n, int *ret_status)
{
    struct document d;
    struct json_writer *w = begin(&d, '[');
    for (int i = 0; i < n; i++) json_write_string(w, NULL, labels[i]);
    return finish(&d, ']', ret_status);
}

char *metadata_format_preprocess(const struct preprocess *p, int *ret_status)
{
    struct document d;
    struct json_writer *w = begin(&d, '{');
    json_write_int(w, "width", p->width);
    json_write_int(w, "height", p->height);
    json_write_string(w, "resize", preprocess_resize_names[p->resize]);
    json_write_string(w, "filter", preprocess_filter_names[p->filter]);
    json_write_string(w, "crop", preprocess_crop_names[p->resize]);
    put_floats(w, "mean", p->mean, 3);
    put_floats(w, "std", p->std, 3);
    return finish(&d, '}', ret_status);
}

static void put_entry(struct json_writer *w, const char *name,
                      const struct calibration_entry *entry)
{
    json_write_open(w, name, '{');
    put_number(w, "top1", entry->top1);
    put_number(w, "temperature", entry->temperature);
    json_write_close(w, '}');
}

static bool is_untrained(unsigned untrained, int exit)
{
    return (untrained >> exit & 1) != 0;
}

/* The running ensembles, each with the exit that it ends with. */
static void put_running(struct json_writer *w, const struct calibration *c, int sections)
{
    bool any = false;
    for (int i = 0; i < sections; i++) any |= c->running[i].present;
    if (!any) return;
    json_write_open(w, "running", '[');
    for (int i = 0; i < sections; i++) {
        const struct calibration_running *r = &c->running[i];
        if (!r->present) continue;
        json_write_open(w, NULL, '{');
        json_write_int(w, "exits", i + 1);
        put_number(w, "top1", r->figures.top1);
        put_number(w, "temperature", r->figures.temperature);
        json_write_open(w, "weights", '[');
        for (int k = 0; k <= i; k++) put_number(w, NULL, r->weights[k]);
        json_write_close(w, ']');
        json_write_close(w, '}');
    }
    json_write_close(w, ']');
}

static void put_levels(struct json_writer *w, const struct calibration_levels *levels)
{
    if (levels->n == 0) return;
    json_write_open(w, "risk", '{');
    json_write_int(w, "images", levels->n_images);
    put_number(w, "sure", levels->sure);
    json_write_open(w, "levels", '[');
    for (int i = 0; i < levels->n; i++) {
        const struct calibration_level *level = &levels->at[i];
        json_write_open(w, NULL, '{');
        put_number(w, "max_loss", level->max_loss);
        put_number(w, "confidence", level->confidence);
        put_number(w, "top1", level->top1);
        put_number(w, "macs", level->macs);
        json_write_close(w, '}');
    }
    json_write_close(w, ']');
    json_write_close(w, '}');
}

char *metadata_format_calibration(const struct calibration *c, int sections, unsigned untrained,
                                  int *ret_status)
{
    struct document d;
    struct json_writer *w = begin(&d, '{');
    json_write_int(w, "images", c->n_images);
    json_write_open(w, "exits", '[');
    for (int i = 0; i < sections; i++) {
        if (is_untrained(untrained, i))
            json_write_null(w, NULL);
        else
            put_entry(w, NULL, &c->exits[i]);
    }
    json_write_close(w, ']');
    put_entry(w, "ensemble", &c->ensemble);
    if (c->has_thresholds) {
        json_write_open(w, "thresholds", '[');
        for (int i = 0; i < sections; i++) {
            if (is_untrained(untrained, i))
                json_write_null(w, NULL);
            else
                put_number(w, NULL, c->thresholds[i]);
        }
        json_write_close(w, ']');
    }
    put_running(w, c, sections);
    put_levels(w, &c->levels);
    return finish(&d, '}', ret_status);
}

static void put_figures(struct json_writer *w, const char *name, const struct training_figures *f)
{
    json_write_open(w, name, '{');
    put_number(w, "top1", f->top1);
    put_number(w, "top5", f->top5);
    put_number(w, "nll", f->nll);
    put_number(w, "ece", f->ece);
    json_write_close(w, '}');
}

char *metadata_format_training(const struct training *t, int sections, int *ret_status)
{
    struct document d;
    struct json_writer *w = begin(&d, '{');
    json_write_string(w, "method", t->method);
    json_write_string(w, "data", t->data);
    json_write_string(w, "program", t->program);
    metadata_write_recipe(w, &t->recipe, false, RECIPE_JSON_STRING);
    json_write_string(w, "parent", t->parent);
    if (t->teacher[0] != '\0') json_write_string(w, "teacher", t->teacher);
    metadata_write_recipe(w, &t->recipe, false, RECIPE_JSON_INT);
    metadata_write_recipe(w, &t->recipe, false, RECIPE_JSON_SEED);
    metadata_write_recipe(w, &t->recipe, false, RECIPE_JSON_NUMBER);
    metadata_write_recipe(w, &t->recipe, false, RECIPE_JSON_BOOL);
    metadata_write_recipe(w, &t->recipe, true, RECIPE_JSON_INT);
    metadata_write_recipe(w, &t->recipe, true, RECIPE_JSON_SEED);
    if (t->skipped > 0) json_write_int(w, "skipped", t->skipped);
    json_write_string(w, "command", t->command);
    json_write_open(w, "learned", '[');
    for (int i = 0; i < sections; i++) {
        if (!is_untrained(t->untrained, i)) json_write_int(w, NULL, i + 1);
    }
    json_write_close(w, ']');
    if (t->has_figures) {
        json_write_open(w, "figures", '{');
        json_write_open(w, "exits", '[');
        for (int i = 0; i < sections; i++) {
            if (is_untrained(t->untrained, i))
                json_write_null(w, NULL);
            else
                put_figures(w, NULL, &t->exits[i]);
        }
        json_write_close(w, ']');
        put_figures(w, "ensemble", &t->ensemble);
        json_write_close(w, '}');
    }
    return finish(&d, '}', ret_status);
}
