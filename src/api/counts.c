/* What is counted of classifications. The names are part of the interface: they are added, never
 * changed. */
#include "config.h"

#include "counts.h"

#include <errno.h>
#include <stdio.h>

#include "base/name.h"
#include "serve/engine.h"

/* Prometheus wants a border at each objective; these are where deadlines tend to be. */
static const double seconds[] = {.0005, .001, .0025, .005, .01, .02, .025,
                                 .05,   .1,   .25,   .5,   1,   2.5, 10};

static const char *const deadline_results[DEADLINE_RESULTS] = {"met", "missed", "held"};

int counts_init(struct counts *c, struct metrics *metrics, struct err *e)
{
    static const char *const by_request[] = {"model", "classifier", "reason", "code", NULL};
    static const char *const by_classifier[] = {"model", "classifier", NULL};
    static const char *const by_result[] = {"result", NULL}, *const by_reason[] = {"reason", NULL};
    static const char *const by_version[] = {"model", "version", "sha256", NULL};
    c->requests = metrics_add(metrics, METRIC_COUNTER, "autodidact_requests_total",
                              "Requests to classify that were answered.", by_request, NULL, 0);
    c->duration = metrics_add(metrics, METRIC_HISTOGRAM, "autodidact_request_duration_seconds",
                              "From the request line to the answer, of requests answered with 200.",
                              by_classifier, seconds, sizeof(seconds) / sizeof(seconds[0]));
    c->deadlines =
        metrics_add(metrics, METRIC_COUNTER, "autodidact_deadlines_total",
                    "Requests with a deadline, by what became of it: met and missed by the time "
                    "at which all of the answer had left; held: given to the system in time, which "
                    "could not send all of it.",
                    by_result, NULL, 0);
    c->refused =
        metrics_add(metrics, METRIC_COUNTER, "autodidact_refused_total",
                    "Requests refused although they were well formed.", by_reason, NULL, 0);
    c->model_info = metrics_add(metrics, METRIC_GAUGE, "autodidact_model_info",
                                "The versions that are served.", by_version, NULL, 0);
    if (c->requests == NULL || c->duration == NULL || c->deadlines == NULL || c->refused == NULL ||
        c->model_info == NULL)
        return err_set(e, -ENOMEM, "out of memory for the metrics");
    c->in_flight =
        metric_series(metrics_add(metrics, METRIC_GAUGE, "autodidact_requests_in_flight",
                                  "Requests to classify that are being worked on.", NULL, NULL, 0),
                      NULL);
    for (int i = 0; i < DEADLINE_RESULTS; i++)
        c->deadline[i] = metric_series(c->deadlines, (const char *[]){deadline_results[i], NULL});
    return 0;
}

void counts_refused(struct counts *c, const char *reason)
{
    metric_add(metric_series(c->refused, (const char *[]){reason, NULL}), 1);
}

void counts_deadline(struct counts *c, enum deadline_result result)
{
    metric_add(c->deadline[result], 1);
}

void counts_answered(struct counts *c, const struct version *version, const struct result *result,
                     int code, int64_t duration_ns)
{
    char code_text[12];
    snprintf(code_text, sizeof(code_text), "%d", code);
    /* A name that a client made up is no label: only a model that exists has one. */
    const char *name = version != NULL ? version_model(version)->name : "none";
    const char *who = result != NULL ? model_classifier_name(result->classifier) : "none";
    const char *why = result != NULL ? sla_reason_name(result->reason) : "none";
    metric_add(metric_series(c->requests, (const char *[]){name, who, why, code_text, NULL}), 1);
    if (result != NULL)
        metric_observe(metric_series(c->duration, (const char *[]){name, who, NULL}),
                       (double)duration_ns / 1e9);
}

void counts_models(struct counts *c, struct engine *engine)
{
    const char *names[MODELS_MAX];
    size_t n = engine_model_names(engine, names, MODELS_MAX);
    for (size_t i = 0; i < n && i < MODELS_MAX; i++) {
        struct version *version = engine_version(engine, names[i]);
        if (version == NULL) continue;
        const struct model *model = version_model(version);
        char number[24];
        snprintf(number, sizeof(number), "%lld", (long long)version_number(version));
        metric_forget(c->model_info, "model", model->name);
        metric_set(metric_series(c->model_info,
                                 (const char *[]){model->name, number, model->sha256, NULL}),
                   1);
        version_unref(version);
    }
}
