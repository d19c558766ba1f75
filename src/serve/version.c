/* A version: its cost table, its queues, an executor for each worker and the free feature maps.
 * Made by a worker before anybody sees it. It retires with its last reference, on whatever thread
 * that is; then all its queues are empty, because whoever waits in them holds a reference. Freeing
 * gives back hundreds of megabytes, which is why another thread may do it. */
#include "config.h"

#include "engine_impl.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "canary.h"
#include "measure.h"
#include "policy/cost.h"

static const double measure_budget_s = 0.25;

struct version *version_acquire(struct version *version)
{
    atomic_fetch_add_explicit(&version->references, 1, memory_order_relaxed);
    return version;
}

static void version_free(struct version *version)
{
    for (unsigned w = 0; w < version->n_workers; w++) {
        exec_free(version->workers[w].exec);
        mem_free(version->workers[w].logits);
    }
    mem_free(version->workers);
    while (version->free_features != NULL) {
        struct features *f = version->free_features;
        version->free_features = f->next;
        mem_free(f->values);
        mem_free(f);
    }
    cost_free(version->cost);
    plan_free(version->plan);
    model_free(version->model); /* after the plan, which points into its net */
    mem_free(version);
}

void version_unref(struct version *version)
{
    if (version == NULL) return;
    /* Release: what this thread did with the version happens before it is freed by another. */
    unsigned before = atomic_fetch_sub_explicit(&version->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1) return;
    if (version->retire != NULL)
        version->retire(version->retire_arg, version);
    else
        version_free(version);
}

void version_list_add(struct version **list, struct version *version)
{
    version->next = *list;
    *list = version;
}

void version_list_free(struct version *list)
{
    while (list != NULL) {
        struct version *version = list;
        list = version->next;
        version_free(version);
    }
}

const struct model *version_model(const struct version *version)
{
    return version->model;
}

int64_t version_number(const struct version *version)
{
    return version->number;
}

static int make_workers(struct engine *engine, struct version *version, struct err *e)
{
    int batch_max = engine->options.batch_max;
    version->workers = mem_new(engine->options.workers, sizeof(*version->workers));
    if (version->workers == NULL) return err_set(e, -ENOMEM, "out of memory for the workers");
    for (; version->n_workers < engine->options.workers; version->n_workers++) {
        struct version_worker *w = &version->workers[version->n_workers];
        w->logits = mem_new_aligned((size_t)batch_max * (size_t)version->classes, sizeof(float));
        if (w->logits == NULL) return err_set(e, -ENOMEM, "out of memory for the logits");
        w->exec = exec_new(version->plan, batch_max, e);
        if (w->exec == NULL) {
            mem_free(w->logits);
            return e->code != 0 ? e->code : err_set(e, -ENOMEM, "out of memory for an executor");
        }
    }
    return 0;
}

static void find_metrics(struct engine *engine, struct version *version)
{
    const char *name = version->model->name;
    version->slow_down = metric_series(engine->slow_down, &name);
    version->helped = metric_series(engine->helped, &name);
    for (int s = 0; s < version->sections; s++) {
        const char *values[] = {version->model->name, model_classifier_name(s)};
        version->queue_wait[s] = metric_series(engine->queue_wait, values + 1);
        version->prediction_ratio[s] = metric_series(engine->prediction_ratio, values + 1);
        version->section_seconds[s] = metric_series(engine->section_seconds, values);
        version->batch_size[s] = metric_series(engine->batch_size, values);
    }
}

_Static_assert((int)POLICY_EXITS_MAX == (int)SPEC_SECTIONS_MAX, "exits as policy counts them");
_Static_assert((int)POLICY_LEVELS_MAX == (int)MODEL_LEVELS_MAX, "levels as policy counts them");
_Static_assert(CLASSIFIER_ENSEMBLE == MODEL_ENSEMBLE && CLASSIFIER_RUNNING(0) == MODEL_RUNNING(0),
               "classifiers as policy numbers them");

/* Heads of the weight 0 need not run. */
static unsigned heads_of(const struct calibration_running *r)
{
    unsigned heads = 0;
    for (int i = 0; r->present && i < SPEC_SECTIONS_MAX; i++)
        if (r->weights[i] > 0) heads |= 1u << i;
    return heads;
}

static struct classifiers classifiers_of(const struct model *model, struct cost *cost)
{
    const struct calibration *c = &model->calibration;
    struct classifiers classifiers = {.model = model->name,
                                      .exits = net_sections(model->net),
                                      .untrained = model->training.untrained,
                                      .calibrated = c->present,
                                      .ensemble_accuracy = c->ensemble.top1,
                                      .tuned = c->has_thresholds,
                                      .cost = cost};
    for (int i = 0; i < classifiers.exits; i++) {
        classifiers.accuracy[i] = c->exits[i].top1;
        classifiers.thresholds[i] = c->thresholds[i];
        classifiers.running[i] = heads_of(&c->running[i]);
        classifiers.running_accuracy[i] = c->running[i].figures.top1;
    }
    classifiers.levels = c->levels.n;
    for (int i = 0; i < c->levels.n; i++) {
        classifiers.max_loss[i] = c->levels.at[i].max_loss;
        classifiers.level_confidence[i] = c->levels.at[i].confidence;
    }
    return classifiers;
}

static int check_model(const struct model *model, struct err *e)
{
    struct shape input = net_input(model->net);
    const struct preprocess *p = &model->preprocess;
    if (input.channels != 3 || p->width != input.width || p->height != input.height) {
        return err_set(e, ERR_UNSUPPORTED,
                       "model %s: takes %dx%dx%d, its preprocessing makes %dx%dx3; both must agree",
                       model->name, input.width, input.height, input.channels, p->width, p->height);
    }
    return 0;
}

/* Plan, executors, costs, queues. */
static int prepare(struct engine *engine, struct version *version, struct err *e)
{
    const struct net *net = version->model->net;
    int rc = algorithms_choose(engine, version->model, &version->plan, e);
    if (rc < 0) return rc;
    version->sections = net_sections(net);
    version->classes = net_classes(net);
    for (int s = 0; s < version->sections; s++) {
        size_t size = shape_size(net_section_input(net, s));
        if (size > version->features_size) version->features_size = size;
    }
    rc = make_workers(engine, version, e);
    if (rc == 0 && version->cost == NULL) {
        rc = measure_cost(version->workers[0].exec, net, engine->options.batch_max,
                          measure_budget_s, &version->cost, e);
    }
    if (rc < 0) return rc;
    struct classifiers classifiers = classifiers_of(version->model, version->cost);
    desk_version_init(&version->desk, &classifiers);
    find_metrics(engine, version);
    return 0;
}

int version_new(struct engine *engine, struct model *model, int64_t number, struct cost *cost,
                struct version **ret_version, struct err *e)
{
    int rc = check_model(model, e);
    struct version *version = rc == 0 ? mem_new(1, sizeof(*version)) : NULL;
    if (version == NULL) {
        cost_free(cost);
        return rc < 0 ? rc : err_set(e, -ENOMEM, "out of memory for a model version");
    }
    atomic_init(&version->references, 1);
    version->retire = engine->options.retire;
    version->retire_arg = engine->options.retire_arg;
    version->engine = engine;
    version->model = model;
    version->number = number;
    version->cost = cost;
    rc = prepare(engine, version, e);
    if (rc < 0) {
        version->model = NULL;
        version_free(version);
        return rc;
    }
    *ret_version = version;
    return 0;
}

int version_try(struct version *version, struct err *e)
{
    return canary_check(version->model, version->workers[0].exec, e);
}

struct model *version_give_up(struct version *version)
{
    struct model *model = version->model;
    version->model = NULL;
    version_free(version);
    return model;
}

struct features *features_take(struct engine *engine, struct version *version)
{
    struct features *f = version->free_features;
    if (f != NULL) {
        version->free_features = f->next;
        return f;
    }
    /* As many as there are items in flight at most, so at most queue_max; kept for the next ones.
     */
    pthread_mutex_unlock(&engine->lock);
    f = mem_new(1, sizeof(*f));
    if (f != NULL) {
        f->values = mem_new_aligned(version->features_size, sizeof(float));
        if (f->values == NULL) {
            mem_free(f);
            f = NULL;
        }
    }
    pthread_mutex_lock(&engine->lock);
    return f;
}

void features_give(struct version *version, struct features *features)
{
    if (features == NULL) return;
    features->next = version->free_features;
    version->free_features = features;
}
