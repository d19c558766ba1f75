/* What is served, and what its classifiers cost and are worth. */
#include "config.h"

#include "api_private.h"
#include "base/name.h"
#include "handlers.h"
#include "json/write.h"

static void put_classifier(struct json_writer *w, const char *key, struct engine *engine,
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
    json_write_open(w, key, '{');
    json_write_string(w, "name", model_classifier_name(classifier));
    json_write_int(w, "params", cost.params);
    json_write_int(w, "macs", cost.macs);
    if (c->present)
        json_write_rounded(w, "accuracy", entry->top1, 6);
    else
        json_write_null(w, "accuracy");
    json_write_rounded(w, "cost_ms", 1e3 * engine_cost(engine, version, classifier), 5);
    if (!ensemble && c->has_thresholds)
        json_write_rounded(w, "threshold", c->thresholds[classifier], 6);
    json_write_close(w, '}');
}

static void put_model(struct json_writer *w, struct engine *engine, const struct version *version,
                      bool is_default)
{
    const struct model *model = version_model(version);
    struct shape input = net_input(model->net);
    int exits = net_sections(model->net);
    json_write_open(w, NULL, '{');
    json_write_string(w, "name", model->name);
    json_write_int(w, "version", version_number(version));
    json_write_bool(w, "default", is_default);
    json_write_string(w, "sha256", model->sha256);
    json_write_string(w, "architecture", net_spec(model->net)->name);
    json_write_string(w, "method", model->training.method);
    json_write_open(w, "input", '[');
    json_write_int(w, NULL, input.channels);
    json_write_int(w, NULL, input.height);
    json_write_int(w, NULL, input.width);
    json_write_close(w, ']');
    json_write_int(w, "classes", net_classes(model->net));
    json_write_open(w, "labels", '[');
    for (int i = 0; i < net_classes(model->net); i++) json_write_string(w, NULL, model->labels[i]);
    json_write_close(w, ']');
    json_write_open(w, "exits", '[');
    for (int exit = 0; exit < exits; exit++) put_classifier(w, NULL, engine, version, exit);
    json_write_close(w, ']');
    put_classifier(w, "ensemble", engine, version, MODEL_ENSEMBLE);
    json_write_close(w, '}');
}

void models_get(struct exchange *x, void *arg)
{
    struct api *api = arg;
    struct engine *engine = api->below.engine;
    const char *names[MODELS_MAX];
    size_t n = engine_model_names(engine, names, MODELS_MAX);
    struct buf body;
    struct json_writer w;
    buf_init(&body, (size_t)64 << 20);
    json_writer_init(&w, &body);
    json_write_open(&w, NULL, '{');
    json_write_open(&w, "models", '[');
    for (size_t i = 0; i < n; i++) {
        struct version *version = engine_version(engine, names[i]);
        if (version == NULL) continue;
        put_model(&w, engine, version, i == 0); /* the first name is the default */
        version_unref(version);
    }
    json_write_close(&w, ']');
    json_write_close(&w, '}');
    if (w.status == 0 && buf_puts(&body, "\n") == 0)
        exchange_reply(x, 200, "application/json", &body);
    else
        exchange_problem(x, 500, "out of memory for the answer");
    buf_release(&body);
}
