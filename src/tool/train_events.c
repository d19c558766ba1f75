/* The JSON Lines of a training (train_progress.h). Members that scripts know stay; new ones come
 * behind them. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "model/model.h"
#include "tool.h"
#include "train_progress.h"

static void write_warnings(const struct progress *p, struct json_writer *w)
{
    json_write_open(w, "warnings", '[');
    for (size_t i = 0; i < p->n_warnings; i++) json_write_string(w, NULL, p->warnings[i].text);
    json_write_close(w, ']');
}

static void write_text(struct json_writer *w, const char *key, const char *text)
{
    if (text != NULL) json_write_string(w, key, text);
}

/* Everything that the result depends on, defaults and all. */
static void write_about(const struct progress_about *a, struct json_writer *w)
{
    json_write_open(w, "network", '{');
    json_write_string(w, "name", a->network);
    json_write_int(w, "width", a->width);
    json_write_int(w, "classes", a->classes);
    json_write_int(w, "params", (int64_t)a->params);
    json_write_close(w, '}');
    json_write_open(w, "images", '{');
    json_write_string(w, "data", a->data);
    json_write_int(w, "train", (int64_t)a->n_train);
    json_write_int(w, "holdout", (int64_t)a->n_holdout);
    json_write_close(w, '}');
    write_text(w, "init", a->parent);
    write_text(w, "teacher", a->teacher);
    json_write_open(w, "recipe", '{');
    model_write_recipe(w, &a->recipe);
    json_write_close(w, '}');
}

static void write_figures(struct json_writer *w, const struct training_figures *f, double balanced)
{
    json_write_rounded(w, "top1", f->top1, TOOL_DIGITS);
    json_write_rounded(w, "nll", f->nll, TOOL_DIGITS);
    json_write_rounded(w, "ece", f->ece, TOOL_DIGITS);
    json_write_rounded(w, "balanced", balanced, TOOL_DIGITS);
}

/* Of an exit that has not learned. The members are there all the same. */
static void write_no_figures(struct json_writer *w)
{
    static const char *const figures[] = {"top1", "nll", "ece", "balanced"};
    json_write_bool(w, "learned", false);
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        json_write_null(w, figures[i]);
}

static void write_heldout(const struct heldout *h, struct json_writer *w)
{
    if (h == NULL || h->n_exits == 0) return;
    json_write_open(w, "exits", '[');
    for (int i = 0; i < h->n_exits; i++) {
        const bool learned = (h->untrained >> i & 1) == 0;
        json_write_open(w, NULL, '{');
        json_write_string(w, "name", model_classifier_name(i));
        if (learned)
            write_figures(w, &h->exits[i], h->balanced[i]);
        else
            write_no_figures(w);
        json_write_close(w, '}');
    }
    json_write_close(w, ']');
    json_write_open(w, "ensemble", '{');
    write_figures(w, &h->ensemble, h->ensemble_balanced);
    json_write_close(w, '}');
}

/* Of the epoch's steps: the accuracy on what was trained on, augmented and mixed as it was, while
 * it was learnt; and the terms of the loss, with their weights. */
static void write_training(const struct objective_sums *s, unsigned exits, struct json_writer *w)
{
    if (s == NULL || s->batches == 0) return;
    json_write_open(w, "train", '{');
    json_write_open(w, "exits", '[');
    for (int i = 0; i < SPEC_SECTIONS_MAX; i++) {
        if ((exits >> i & 1) == 0) continue;
        json_write_open(w, NULL, '{');
        json_write_string(w, "name", model_classifier_name(i));
        json_write_rounded(w, "top1", (double)s->right[i] / (double)s->images, TOOL_DIGITS);
        for (int t = 0; t < OBJECTIVE_TERMS; t++)
            json_write_rounded(w, objective_terms[t], s->loss[t][i] / (double)s->batches,
                               TOOL_DIGITS);
        json_write_close(w, '}');
    }
    json_write_close(w, ']');
    json_write_rounded(w, "maps", s->maps / (double)s->batches, TOOL_DIGITS);
    json_write_close(w, '}');
}

/* Out of memory costs a line, not the training; so does whoever reads no more. */
static void print_line(struct progress *p, struct tool_json *json)
{
    (void)tool_json_print(json, NULL);
    if (!ferror(stdout)) return;
    clearerr(stdout);
    p->mode = PROGRESS_NONE;
    fprintf(stderr, "autodidact train: warning: the progress cannot be written any more; the "
                    "training goes on\n");
}

void progress_print_event(struct progress *p, enum progress_event event,
                          const struct train_report *r, const struct heldout *h, const char *path)
{
    static const char *const names[] = {[EVENT_START] = "start",
                                        [EVENT_STEP] = "step",
                                        [EVENT_EPOCH] = "epoch",
                                        [EVENT_DONE] = "done"};
    struct tool_json json;
    struct json_writer *w = tool_json_begin(&json);
    json_write_string(w, "event", names[event]);
    json_write_int(w, "epoch", r->epoch);
    json_write_int(w, "epochs", p->epochs);
    json_write_int(w, "step", r->step);
    json_write_int(w, "steps", p->steps);
    if (event == EVENT_STEP) progress_write_speed(p, r, r->loss, w);
    if (event == EVENT_EPOCH) progress_write_speed(p, r, r->mean_loss, w);
    write_heldout(h, w);
    if (event == EVENT_EPOCH) write_training(r->sums, p->about.exits, w);
    if (path != NULL) json_write_string(w, "model", path);
    if (event == EVENT_START) {
        write_warnings(p, w);
        write_about(&p->about, w);
    }
    print_line(p, &json);
}
