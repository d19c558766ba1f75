/* JSON Lines -> progress. Numbers are taken only where they are finite and in a range that makes
 * sense, so that nothing a child prints can end in a metric or in an answer as it stands. */
#include "config.h"

#include "progress.h"

#include <math.h>
#include <string.h>

static void read_count(const json_t *object, const char *name, int64_t *value)
{
    const json_t *member = json_object_get(object, name);
    if (json_is_integer(member) && json_integer_value(member) >= 0)
        *value = json_integer_value(member);
}

static void read_real(const json_t *object, const char *name, double *value)
{
    const json_t *member = json_object_get(object, name);
    if (json_is_number(member) && isfinite(json_number_value(member)))
        *value = json_number_value(member);
}

static void read_figures(struct progress *p, const json_t *object)
{
    const json_t *exits = json_object_get(object, "exits");
    size_t n = json_array_size(exits);
    if (n == 0 || n > SPEC_SECTIONS_MAX) return;
    p->n_exits = (int)n;
    for (size_t i = 0; i < n; i++) {
        p->top1[i] = 0;
        read_real(json_array_get(exits, i), "top1", &p->top1[i]);
    }
    p->ensemble_top1 = 0;
    read_real(json_object_get(object, "ensemble"), "top1", &p->ensemble_top1);
}

enum progress_event progress_read(struct progress *p, const char *line, size_t size)
{
    static const struct {
        const char *name;
        enum progress_event event;
    } events[] = {{"start", PROGRESS_START},
                  {"step", PROGRESS_STEP},
                  {"epoch", PROGRESS_EPOCH},
                  {"done", PROGRESS_DONE}};
    enum progress_event event = PROGRESS_NOTHING;
    json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
    const char *name = json_string_value(json_object_get(object, "event"));
    for (size_t i = 0; name != NULL && i < sizeof(events) / sizeof(events[0]); i++) {
        if (strcmp(name, events[i].name) == 0) event = events[i].event;
    }
    if (event != PROGRESS_NOTHING) {
        read_count(object, "epoch", &p->epoch);
        read_count(object, "epochs", &p->epochs);
        read_count(object, "step", &p->step);
        read_count(object, "steps", &p->steps);
        read_real(object, "loss", &p->loss);
        read_real(object, "lr", &p->lr);
        read_real(object, "img_per_s", &p->img_per_s);
        p->eta_s = 0;
        read_real(object, "eta_s", &p->eta_s);
        if (event == PROGRESS_EPOCH || event == PROGRESS_DONE) read_figures(p, object);
    }
    json_decref(object);
    return event;
}

json_t *progress_document(const struct progress *p)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:f,s:f,s:f,s:f}", "epoch", (json_int_t)p->epoch, "epochs",
                     (json_int_t)p->epochs, "step", (json_int_t)p->step, "steps",
                     (json_int_t)p->steps, "loss", p->loss, "lr", p->lr, "img_per_s", p->img_per_s,
                     "eta_s", p->eta_s);
}

json_t *progress_epoch_document(const struct progress *p)
{
    json_t *document =
        json_pack("{s:I,s:I,s:f,s:f,s:f}", "epoch", (json_int_t)p->epoch, "step",
                  (json_int_t)p->step, "loss", p->loss, "lr", p->lr, "img_per_s", p->img_per_s);
    if (document == NULL || p->n_exits == 0) return document;
    json_t *exits = json_array();
    for (int i = 0; i < p->n_exits; i++) {
        json_array_append_new(
            exits, json_pack("{s:s,s:f}", "name", model_classifier_name(i), "top1", p->top1[i]));
    }
    json_object_set_new(document, "exits", exits);
    json_object_set_new(document, "ensemble", json_pack("{s:f}", "top1", p->ensemble_top1));
    return document;
}
