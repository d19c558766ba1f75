/* GET /v1/models: what is served, and what its classifiers cost and are worth. */
#include "config.h"

#include <string.h>
#include "classify.h"
#include "http/json_text.h"

enum { MODELS_MAX = 256 };

static void put_classifier(struct json_text *json, const char *key, struct service *s,
                           const struct version *version, int classifier)
{
    const struct model *model = version_model(version);
    const struct calibration *c = &model->calibration;
    bool ensemble = classifier == MODEL_ENSEMBLE;
    const struct calibration_entry *entry = ensemble ? &c->ensemble : &c->exits[classifier];
    struct net_cost cost = {0};
    if (ensemble) {
        cost = net_ensemble_cost(model->net);
    } else {
        cost = net_exit_cost(model->net, classifier);
        for (int i = 0; i <= classifier; i++) {
            struct net_cost section = net_section_cost(model->net, i);
            cost.params += section.params;
            cost.macs += section.macs;
        }
    }
    json_text_open(json, key, '{');
    json_text_string(json, "name", model_classifier_name(classifier));
    json_text_integer(json, "params", cost.params);
    json_text_integer(json, "macs", cost.macs);
    if (c->present)
        json_text_number(json, "accuracy", entry->top1, 6);
    else
        json_text_null(json, "accuracy");
    json_text_number(json, "cost_ms", 1e3 * engine_cost(s->engine, version, classifier), 5);
    if (!ensemble && c->has_thresholds)
        json_text_number(json, "threshold", c->thresholds[classifier], 6);
    json_text_close(json, '}');
}

static void put_model(struct json_text *json, struct service *s, const struct version *version,
                      bool is_default)
{
    const struct model *model = version_model(version);
    struct shape input = net_input(model->net);
    int exits = net_sections(model->net);
    json_text_open(json, NULL, '{');
    json_text_string(json, "name", model->name);
    json_text_integer(json, "version", version_number(version));
    json_text_bool(json, "default", is_default);
    json_text_string(json, "sha256", model->sha256);
    json_text_string(json, "architecture", net_spec(model->net)->name);
    json_text_string(json, "method", model->training.method);
    json_text_open(json, "input", '[');
    json_text_integer(json, NULL, input.channels);
    json_text_integer(json, NULL, input.height);
    json_text_integer(json, NULL, input.width);
    json_text_close(json, ']');
    json_text_integer(json, "classes", net_classes(model->net));
    json_text_open(json, "labels", '[');
    for (int i = 0; i < net_classes(model->net); i++)
        json_text_string(json, NULL, model->labels[i]);
    json_text_close(json, ']');
    json_text_open(json, "exits", '[');
    for (int exit = 0; exit < exits; exit++) put_classifier(json, NULL, s, version, exit);
    json_text_close(json, ']');
    put_classifier(json, "ensemble", s, version, MODEL_ENSEMBLE);
    json_text_close(json, '}');
}

void models_get(struct exchange *x, void *arg)
{
    struct service *s = arg;
    const char *names[MODELS_MAX];
    size_t n = engine_model_names(s->engine, names, MODELS_MAX);
    struct buf body;
    struct json_text json;
    buf_init(&body, (size_t)64 << 20);
    json_text_init(&json, &body);
    json_text_open(&json, NULL, '{');
    json_text_open(&json, "models", '[');
    for (size_t i = 0; i < n && i < MODELS_MAX; i++) {
        struct version *version = engine_version(s->engine, names[i]);
        if (version == NULL) continue;
        put_model(&json, s, version, i == 0); /* the first name is the default */
        version_unref(version);
    }
    json_text_close(&json, ']');
    json_text_close(&json, '}');
    if (json.rc == 0 && buf_puts(&body, "\n") == 0)
        exchange_reply(x, 200, "application/json", &body);
    else
        exchange_problem(x, 500, "out of memory for the answer");
    buf_release(&body);
}
