/* A finished request as HTTP: the SLA-* headers, Server-Timing and JSON (doc/sla.md). With
 * several images the headers describe the one that was computed deepest. */
#include "config.h"

#include "answer.h"

#include <stdio.h>

#include "json/write.h"

enum {
    DIGITS_MS = 5, /* significant digits that a time in milliseconds is worth */
    TOP_DEFAULT = 5,
};

static int best_of(const float *probabilities, int classes)
{
    int best = 0;
    for (int i = 1; i < classes; i++)
        if (probabilities[i] > probabilities[best]) best = i;
    return best;
}

static void put_label(struct json_writer *w, const struct model *model, int index)
{
    json_write_string(w, "label", model->labels[index]);
    json_write_int(w, "index", index);
}

/* The n most probable classes, by selection: n is small beside the classes. */
static void put_top(struct json_writer *w, const struct model *model, const float *probabilities,
                    int classes, int n)
{
    float below = 2;
    int below_index = -1;
    json_write_open(w, "top", '[');
    for (int k = 0; k < n && k < classes; k++) {
        int best = -1;
        for (int i = 0; i < classes; i++) {
            bool left = probabilities[i] < below || (probabilities[i] == below && i > below_index);
            if (left && (best < 0 || probabilities[i] > probabilities[best])) best = i;
        }
        if (best < 0) break; /* not a number */
        json_write_open(w, NULL, '{');
        put_label(w, model, best);
        json_write_float(w, "probability", probabilities[best]);
        json_write_close(w, '}');
        below = probabilities[best];
        below_index = best;
    }
    json_write_close(w, ']');
}

static void put_exits(struct json_writer *w, const struct model *model, const struct result *result,
                      int classes)
{
    json_write_open(w, "exits", '[');
    for (int exit = 0; exit < SPEC_SECTIONS_MAX; exit++) {
        const float *p = result->exit_probabilities[exit];
        if (p == NULL) continue;
        int best = best_of(p, classes);
        json_write_open(w, NULL, '{');
        json_write_string(w, "classifier", model_classifier_name(exit));
        put_label(w, model, best);
        json_write_float(w, "confidence", p[best]);
        json_write_open(w, "probabilities", '[');
        for (int i = 0; i < classes; i++) json_write_float(w, NULL, p[i]);
        json_write_close(w, ']');
        json_write_close(w, '}');
    }
    json_write_close(w, ']');
}

/* An image without an answer has a problem document in its place. */
static void put_problem(struct json_writer *w, const struct task *task, int image)
{
    struct err e;
    int status = task_image_problem(task, image, &e);
    problem_members(w, status, e.text);
    json_write_int(w, "image", image);
}

static void put_result(struct json_writer *w, const struct task *task, int image)
{
    const struct result *result = &task->request.results[image];
    const struct model *model = version_model(task->request.version);
    int classes = net_classes(model->net);
    if (result->status < 0) {
        put_problem(w, task, image);
        return;
    }
    const float *p = result->probabilities;
    int best = best_of(p, classes);
    json_write_string(w, "classifier", model_classifier_name(result->classifier));
    json_write_string(w, "reason", sla_reason_name(result->reason));
    put_label(w, model, best);
    json_write_float(w, "confidence", p[best]);
    put_top(w, model, p, classes, (int)asked_number(&task->asked, "top", TOP_DEFAULT));
    if (asked_number(&task->asked, "explain", 0) != 0) put_exits(w, model, result, classes);
}

static double ms(int64_t ns)
{
    return (double)ns / 1e6;
}

static void put_timing(struct json_writer *w, const struct request *r, int64_t now_ns)
{
    json_write_open(w, "timing_ms", '{');
    json_write_rounded(w, "total", ms(now_ns - r->arrival_ns), DIGITS_MS);
    json_write_rounded(w, "decode", ms(r->timing.decode_ns), DIGITS_MS);
    json_write_rounded(w, "queue", ms(r->timing.queue_ns), DIGITS_MS);
    for (int s = 0; s < SPEC_SECTIONS_MAX; s++) {
        char name[8];
        if (r->timing.section_ns[s] <= 0) continue;
        snprintf(name, sizeof(name), "s%d", s + 1);
        json_write_rounded(w, name, ms(r->timing.section_ns[s]), DIGITS_MS);
    }
    json_write_rounded(w, "head", ms(r->timing.head_ns), DIGITS_MS);
    json_write_close(w, '}');
}

/* Among equals the ensemble goes deeper, since it took more heads. */
static int depth_of(const struct result *result)
{
    if (result->classifier == MODEL_ENSEMBLE) return 2 * SPEC_SECTIONS_MAX;
    return result->classifier >= MODEL_RUNNING(0) ? 2 * (result->classifier - MODEL_RUNNING(0)) + 1
                                                  : 2 * result->classifier;
}

const struct result *answer_shown(const struct request *r)
{
    const struct result *found = NULL;
    for (int i = 0; i < r->n_images; i++) {
        const struct result *result = &r->results[i];
        if (result->status < 0) continue;
        if (found == NULL || depth_of(result) > depth_of(found)) found = result;
    }
    return found;
}

void answer_headers(struct task *task, const struct result *shown, bool met)
{
    const struct request *r = &task->request;
    char timing[256];
    int n = snprintf(timing, sizeof(timing), "queue;dur=%.3f, decode;dur=%.3f",
                     ms(r->timing.queue_ns), ms(r->timing.decode_ns));
    for (int s = 0; s < SPEC_SECTIONS_MAX && n < (int)sizeof(timing) - 48; s++)
        if (r->timing.section_ns[s] > 0)
            n += snprintf(timing + n, sizeof(timing) - (size_t)n, ", s%d;dur=%.3f", s + 1,
                          ms(r->timing.section_ns[s]));
    snprintf(timing + n, sizeof(timing) - (size_t)n, ", head;dur=%.3f", ms(r->timing.head_ns));
    exchange_add_header(task->x, "Server-Timing", "%s", timing);
    if (shown != NULL) {
        exchange_add_header(task->x, "SLA-Classifier", "%s",
                            model_classifier_name(shown->classifier));
        exchange_add_header(task->x, "SLA-Reason", "%s", sla_reason_name(shown->reason));
    }
    if (r->sla.deadline_ns > 0)
        exchange_add_header(task->x, "SLA-Deadline", met ? "met" : "missed");
}

int answer_write(const struct task *task, int64_t now_ns, bool met, struct buf *body)
{
    const struct request *r = &task->request;
    struct json_writer w;
    json_writer_init(&w, body);
    json_write_open(&w, NULL, '{');
    json_write_string(&w, "id", exchange_id(task->x));
    json_write_string(&w, "model", version_model(r->version)->name);
    json_write_int(&w, "version", version_number(r->version));
    if (task->many) {
        json_write_open(&w, "results", '[');
        for (int i = 0; i < r->n_images; i++) {
            json_write_open(&w, NULL, '{');
            put_result(&w, task, i);
            json_write_close(&w, '}');
        }
        json_write_close(&w, ']');
    } else {
        put_result(&w, task, 0);
    }
    if (r->sla.deadline_ns > 0) {
        json_write_open(&w, "deadline", '{');
        json_write_number(&w, "ms", ms(r->sla.deadline_ns));
        json_write_bool(&w, "met", met);
        json_write_close(&w, '}');
    }
    put_timing(&w, r, now_ns);
    json_write_close(&w, '}');
    return w.status != 0 ? w.status : buf_puts(body, "\n");
}
