/* What is served, and what its classifiers cost and are worth. */
#include "config.h"

#include "api_private.h"
#include "base/name.h"
#include "handlers.h"
#include "json/write.h"

/* Whether its head has a part in a running ensemble. */
static bool has_part(const struct model *model, int running, int exit)
{
    return model->calibration.running[running].weights[exit] > 0;
}

/* Of everything that it takes: of an ensemble the heads that have a part in it, and the sections
 * up to the last of these. */
static struct net_cost cost_of(const struct model *model, int classifier)
{
    const int exits = net_sections(model->net);
    int last = classifier >= 0 && classifier < SPEC_SECTIONS_MAX ? classifier : exits - 1;
    struct net_cost sum = {0};
    const int running = classifier - MODEL_RUNNING(0);
    if (running >= 0)
        for (last = running; last > 0 && !has_part(model, running, last);) last--;
    for (int i = 0; i <= last; i++) {
        struct net_cost section = net_section_cost(model->net, i), head = {0};
        bool takes = classifier == i ||
                     (classifier == MODEL_ENSEMBLE && (model->training.untrained >> i & 1) == 0) ||
                     (running >= 0 && has_part(model, running, i));
        if (takes) head = net_exit_cost(model->net, i);
        sum.params += section.params + head.params;
        sum.macs += section.macs + head.macs;
    }
    return sum;
}

static void put_classifier(struct json_writer *w, const char *key, struct engine *engine,
                           const struct version *version, int classifier)
{
    const struct model *model = version_model(version);
    const struct calibration *c = &model->calibration;
    bool ensemble = classifier == MODEL_ENSEMBLE;
    const bool single = classifier >= 0 && classifier < SPEC_SECTIONS_MAX;
    const bool learned = !single || (model->training.untrained >> classifier & 1) == 0;
    const struct calibration_running *running =
        ensemble || single ? NULL : &c->running[classifier - MODEL_RUNNING(0)];
    const struct calibration_entry *entry = ensemble  ? &c->ensemble
                                            : running ? &running->figures
                                                      : &c->exits[classifier];
    struct net_cost cost = cost_of(model, classifier);
    json_write_open(w, key, '{');
    json_write_string(w, "name", model_classifier_name(classifier));
    if (single) json_write_bool(w, "learned", learned);
    json_write_int(w, "params", cost.params);
    json_write_int(w, "macs", cost.macs);
    if (c->present && learned)
        json_write_rounded(w, "accuracy", entry->top1, 6);
    else
        json_write_null(w, "accuracy");
    if (learned)
        json_write_rounded(w, "cost_ms", 1e3 * engine_cost(engine, version, classifier), 5);
    else
        json_write_null(w, "cost_ms");
    if (single && learned && c->has_thresholds)
        json_write_rounded(w, "threshold", c->thresholds[classifier], 6);
    if (running != NULL) {
        json_write_open(w, "weights", '[');
        for (int i = 0; i <= classifier - MODEL_RUNNING(0); i++)
            json_write_rounded(w, NULL, running->weights[i], 6);
        json_write_close(w, ']');
    }
    json_write_close(w, '}');
}

/* What SLA-Max-Loss may ask for. */
static void put_levels(struct json_writer *w, const struct calibration_levels *levels)
{
    json_write_open(w, "levels", '[');
    for (int i = 0; i < levels->n; i++) {
        const struct calibration_level *level = &levels->at[i];
        json_write_open(w, NULL, '{');
        json_write_rounded(w, "max_loss", level->max_loss, 6);
        json_write_rounded(w, "sure", levels->sure, 6);
        json_write_rounded(w, "confidence", level->confidence, 6);
        json_write_rounded(w, "accuracy", level->top1, 6);
        json_write_rounded(w, "macs", level->macs, 10);
        json_write_close(w, '}');
    }
    json_write_close(w, ']');
}

static void put_times(struct json_writer *w, const char *key, const double *seconds, int sizes)
{
    json_write_open(w, key, '[');
    for (int i = 0; i < sizes; i++) json_write_rounded(w, NULL, 1e3 * seconds[i], 5);
    json_write_close(w, ']');
}

static void put_costs(struct json_writer *w, const struct engine_costs *costs, int exits)
{
    json_write_open(w, "costs", '{');
    json_write_open(w, "batches", '[');
    for (int i = 0; i < costs->sizes; i++) json_write_int(w, NULL, costs->batch[i]);
    json_write_close(w, ']');
    json_write_open(w, "sections_ms", '[');
    for (int s = 0; s < exits; s++) put_times(w, NULL, costs->section_s[s], costs->sizes);
    json_write_close(w, ']');
    json_write_open(w, "heads_ms", '[');
    for (int s = 0; s < exits; s++) put_times(w, NULL, costs->head_s[s], costs->sizes);
    json_write_close(w, ']');
    json_write_rounded(w, "slow_down", costs->slow_down, 5);
    json_write_rounded(w, "helped", costs->helped, 5);
    json_write_close(w, '}');
}

static void put_model(struct json_writer *w, struct engine *engine, const struct version *version,
                      bool is_default)
{
    const struct model *model = version_model(version);
    struct shape input = net_input(model->net);
    int exits = net_sections(model->net);
    struct engine_costs costs;
    engine_costs(engine, version, &costs);
    json_write_open(w, NULL, '{');
    json_write_string(w, "name", model->name);
    json_write_int(w, "version", version_number(version));
    json_write_bool(w, "default", is_default);
    json_write_rounded(w, "share", costs.share, 6);
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
    json_write_open(w, "running", '[');
    for (int exit = 0; exit < exits; exit++) {
        if (model->calibration.running[exit].present)
            put_classifier(w, NULL, engine, version, MODEL_RUNNING(exit));
    }
    json_write_close(w, ']');
    put_levels(w, &model->calibration.levels);
    put_costs(w, &costs, exits);
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
