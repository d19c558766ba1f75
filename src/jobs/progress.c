/* JSON Lines -> progress. Numbers are taken only where they are finite and in a range that makes
 * sense, so that nothing a child prints can end in a metric or in an answer as it stands. */
#include "config.h"

#include "progress.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* A line is the child's, its length that of a line (lines.h). */
static const struct json_limits line_limits = {SIZE_MAX, 1 << 12};

static void read_count(const struct json *object, const char *name, int64_t *value)
{
    int64_t number = json_int(json_get(object, name), -1);
    if (number >= 0) *value = number;
}

static void read_real(const struct json *object, const char *name, double *value)
{
    double number = json_number(json_get(object, name), NAN);
    if (isfinite(number)) *value = number;
}

/* An accuracy; 0 when it is none. */
static double read_top1(const struct json *figures)
{
    double share = json_number(json_get(figures, "top1"), 0);
    return share >= 0 && share <= 1 ? share : 0;
}

static void read_figures(struct progress *p, const struct json *object)
{
    const struct json *exits = json_get(object, "exits");
    size_t n = json_is(exits, JSON_KIND_ARRAY) ? json_count(exits) : 0;
    if (n == 0 || n > SPEC_SECTIONS_MAX) return;
    p->n_exits = (int)n;
    p->untrained = 0;
    for (size_t i = 0; i < n; i++) {
        p->top1[i] = read_top1(json_item(exits, i));
        if (!json_bool(json_get(json_item(exits, i), "learned"), true)) p->untrained |= 1u << i;
    }
    p->ensemble_top1 = read_top1(json_get(object, "ensemble"));
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
    struct json *object = json_parse("line", line, size, &line_limits, JSON_KIND_OBJECT, NULL);
    const char *name = json_text(json_get(object, "event"));
    for (size_t i = 0; name != NULL && i < sizeof(events) / sizeof(events[0]); i++) {
        if (strcmp(name, events[i].name) == 0) event = events[i].event;
    }
    if (event != PROGRESS_NOTHING) {
        read_count(object, "epoch", &p->epoch);
        read_count(object, "epochs", &p->epochs);
        read_count(object, "step", &p->step);
        read_count(object, "steps", &p->steps);
        read_real(object, "loss", &p->loss);
        read_real(object, "lr", &p->rate);
        read_real(object, "img_per_s", &p->img_per_s);
        p->eta_s = 0;
        read_real(object, "eta_s", &p->eta_s);
        if (event == PROGRESS_EPOCH) p->n_exits = 0; /* not every epoch is looked at */
        if (event == PROGRESS_EPOCH || event == PROGRESS_DONE) read_figures(p, object);
    }
    json_free(object);
    return event;
}

void progress_write(const struct progress *p, struct json_writer *w, const char *key)
{
    json_write_open(w, key, '{');
    json_write_int(w, "epoch", p->epoch);
    json_write_int(w, "epochs", p->epochs);
    json_write_int(w, "step", p->step);
    json_write_int(w, "steps", p->steps);
    json_write_number(w, "loss", p->loss);
    json_write_number(w, "lr", p->rate);
    json_write_number(w, "img_per_s", p->img_per_s);
    json_write_number(w, "eta_s", p->eta_s);
    json_write_close(w, '}');
}

void progress_write_epoch(const struct progress *p, struct json_writer *w)
{
    json_write_open(w, NULL, '{');
    json_write_int(w, "epoch", p->epoch);
    json_write_int(w, "step", p->step);
    json_write_number(w, "loss", p->loss);
    json_write_number(w, "lr", p->rate);
    json_write_number(w, "img_per_s", p->img_per_s);
    if (p->n_exits > 0) {
        json_write_open(w, "exits", '[');
        for (int i = 0; i < p->n_exits; i++) {
            json_write_open(w, NULL, '{');
            json_write_string(w, "name", model_classifier_name(i));
            bool learned = (p->untrained >> i & 1) == 0;
            if (learned)
                json_write_number(w, "top1", p->top1[i]);
            else
                json_write_null(w, "top1");
            if (!learned) json_write_bool(w, "learned", false);
            json_write_close(w, '}');
        }
        json_write_close(w, ']');
        json_write_open(w, "ensemble", '{');
        json_write_number(w, "top1", p->ensemble_top1);
        json_write_close(w, '}');
    }
    json_write_close(w, '}');
}
