/* A finished request as HTTP: the SLA-* headers, Server-Timing and JSON (doc/sla.md). With
 * several images the headers describe the one that was computed deepest. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "classify.h"
#include "http/json_text.h"

/* Significant digits: a float has nine, a time in milliseconds is worth five. */
enum { DIGITS_PROBABILITY = 8, DIGITS_MS = 5, ANSWER_MAX = 1 << 30 };

static int best_of(const float *probabilities, int classes)
{
    int best = 0;
    for (int i = 1; i < classes; i++)
        if (probabilities[i] > probabilities[best]) best = i;
    return best;
}

static void put_label(struct json_text *json, const struct model *model, int index)
{
    json_text_string(json, "label", model->labels[index]);
    json_text_integer(json, "index", index);
}

/* The n most probable classes, by selection: n is small beside the classes. */
static void put_top(struct json_text *json, const struct model *model, const float *probabilities,
                    int classes, int n)
{
    float below = 2;
    int below_index = -1;
    json_text_open(json, "top", '[');
    for (int k = 0; k < n && k < classes; k++) {
        int best = -1;
        for (int i = 0; i < classes; i++) {
            bool left = probabilities[i] < below || (probabilities[i] == below && i > below_index);
            if (left && (best < 0 || probabilities[i] > probabilities[best])) best = i;
        }
        if (best < 0) break; /* not a number */
        json_text_open(json, NULL, '{');
        put_label(json, model, best);
        json_text_number(json, "probability", (double)probabilities[best], DIGITS_PROBABILITY);
        json_text_close(json, '}');
        below = probabilities[best];
        below_index = best;
    }
    json_text_close(json, ']');
}

static void put_exits(struct json_text *json, const struct model *model,
                      const struct result *result, int classes)
{
    json_text_open(json, "exits", '[');
    for (int exit = 0; exit < SPEC_SECTIONS_MAX; exit++) {
        const float *p = result->exit_probabilities[exit];
        if (p == NULL) continue;
        int best = best_of(p, classes);
        json_text_open(json, NULL, '{');
        json_text_string(json, "classifier", model_classifier_name(exit));
        put_label(json, model, best);
        json_text_number(json, "confidence", (double)p[best], DIGITS_PROBABILITY);
        json_text_open(json, "probabilities", '[');
        for (int i = 0; i < classes; i++)
            json_text_number(json, NULL, (double)p[i], DIGITS_PROBABILITY);
        json_text_close(json, ']');
        json_text_close(json, '}');
    }
    json_text_close(json, ']');
}

static void put_result(struct json_text *json, const struct task *task, const struct result *result)
{
    const struct model *model = version_model(task->request.version);
    int classes = net_classes(model->net);
    if (result->status < 0) {
        json_text_integer(json, "status", problem_status(result->status));
        json_text_string(json, "error", err_text(result->status));
        return;
    }
    const float *p = result->probabilities;
    int best = best_of(p, classes);
    json_text_string(json, "classifier", model_classifier_name(result->classifier));
    json_text_string(json, "reason", sla_reason_name(result->reason));
    put_label(json, model, best);
    json_text_number(json, "confidence", (double)p[best], DIGITS_PROBABILITY);
    put_top(json, model, p, classes, task->top);
    if (task->explain) put_exits(json, model, result, classes);
}

static double ms(int64_t ns)
{
    return (double)ns / 1e6;
}

static void put_timing(struct json_text *json, const struct request *r, int64_t now_ns)
{
    json_text_open(json, "timing_ms", '{');
    json_text_number(json, "total", ms(now_ns - r->arrival_ns), DIGITS_MS);
    json_text_number(json, "decode", ms(r->timing.decode_ns), DIGITS_MS);
    json_text_number(json, "queue", ms(r->timing.queue_ns), DIGITS_MS);
    for (int s = 0; s < SPEC_SECTIONS_MAX; s++) {
        char name[8];
        if (r->timing.section_ns[s] <= 0) continue;
        snprintf(name, sizeof(name), "s%d", s + 1);
        json_text_number(json, name, ms(r->timing.section_ns[s]), DIGITS_MS);
    }
    json_text_number(json, "head", ms(r->timing.head_ns), DIGITS_MS);
    json_text_close(json, '}');
}

/* The result that the headers speak of: the deepest classifier, the ensemble being deepest of
 * all. */
static const struct result *deepest(const struct request *r)
{
    const struct result *found = NULL;
    for (int i = 0; i < r->n_images; i++) {
        const struct result *result = &r->results[i];
        if (result->status < 0) continue;
        int depth = result->classifier == MODEL_ENSEMBLE ? SPEC_SECTIONS_MAX : result->classifier;
        int so_far = found == NULL                         ? -1
                     : found->classifier == MODEL_ENSEMBLE ? SPEC_SECTIONS_MAX
                                                           : found->classifier;
        if (depth > so_far) found = result;
    }
    return found;
}

static void add_headers(struct task *task, const struct result *result, bool met)
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
    if (result != NULL) {
        exchange_add_header(task->x, "SLA-Classifier", "%s",
                            model_classifier_name(result->classifier));
        exchange_add_header(task->x, "SLA-Reason", "%s", sla_reason_name(result->reason));
    }
    if (r->sla.deadline_ns > 0)
        exchange_add_header(task->x, "SLA-Deadline", met ? "met" : "missed");
}

void answer_reply(struct task *task, int64_t now_ns, bool met)
{
    const struct request *r = &task->request;
    const struct result *shown = deepest(r);
    struct buf body;
    struct json_text json;
    buf_init(&body, ANSWER_MAX);
    json_text_init(&json, &body);
    json_text_open(&json, NULL, '{');
    json_text_string(&json, "id", exchange_id(task->x));
    json_text_string(&json, "model", version_model(r->version)->name);
    json_text_integer(&json, "version", version_number(r->version));
    if (task->many) {
        json_text_open(&json, "results", '[');
        for (int i = 0; i < r->n_images; i++) {
            json_text_open(&json, NULL, '{');
            put_result(&json, task, &r->results[i]);
            json_text_close(&json, '}');
        }
        json_text_close(&json, ']');
    } else {
        put_result(&json, task, &r->results[0]);
    }
    if (r->sla.deadline_ns > 0) {
        json_text_open(&json, "deadline", '{');
        json_text_number(&json, "ms", ms(r->sla.deadline_ns), 9);
        json_text_bool(&json, "met", met);
        json_text_close(&json, '}');
    }
    put_timing(&json, r, now_ns);
    json_text_close(&json, '}');
    if (json.rc != 0 || buf_puts(&body, "\n") != 0) {
        count_request(task, 0, false, SLA_REQUESTED, 500);
        exchange_problem(task->x, 500, "out of memory for the answer");
    } else {
        add_headers(task, shown, met);
        count_request(task, shown == NULL ? 0 : shown->classifier, shown != NULL,
                      shown == NULL ? SLA_REQUESTED : shown->reason, 200);
        exchange_reply(task->x, 200, "application/json", &body);
    }
    buf_release(&body);
}
