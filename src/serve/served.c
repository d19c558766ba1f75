/* What a model version carries while it is served: its cost table, its queues, an executor for each
 * worker and the free feature maps. Made by a worker before anybody sees the version, freed with
 * the model's last reference, on whatever thread that is; then all its queues are empty, because
 * whoever waits in them holds a reference. */
#include "config.h"

#include "engine_impl.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "measure.h"

static const double measure_budget_s = 0.25;

static void served_free(void *attached)
{
    struct served *served = attached;
    if (served == NULL) return;
    for (unsigned w = 0; w < served->n_workers; w++) {
        exec_free(served->workers[w].exec);
        mem_free(served->workers[w].logits);
    }
    mem_free(served->workers);
    while (served->free_features != NULL) {
        struct features *f = served->free_features;
        served->free_features = f->next;
        mem_free(f->values);
        mem_free(f);
    }
    cost_free(served->cost);
    mem_free(served);
}

static int make_workers(struct engine *engine, struct served *served, struct err *e)
{
    int batch_max = engine->options.batch_max;
    served->workers = mem_new(engine->options.workers, sizeof(*served->workers));
    if (served->workers == NULL) return err_set(e, -ENOMEM, "out of memory for the workers");
    for (; served->n_workers < engine->options.workers; served->n_workers++) {
        struct served_worker *w = &served->workers[served->n_workers];
        w->logits = mem_new_aligned((size_t)batch_max * (size_t)served->classes, sizeof(float));
        if (w->logits == NULL) return err_set(e, -ENOMEM, "out of memory for the logits");
        w->exec = exec_new(served->model->plan, batch_max, e);
        if (w->exec == NULL) {
            mem_free(w->logits);
            return e->code != 0 ? e->code : -ENOMEM;
        }
    }
    return 0;
}

static void find_metrics(struct engine *engine, struct served *served)
{
    for (int s = 0; s < served->sections; s++) {
        const char *values[] = {served->model->name, model_classifier_name(s)};
        served->queue_wait[s] = metric_series(engine->queue_wait, values + 1);
        served->section_seconds[s] = metric_series(engine->section_seconds, values);
        served->batch_size[s] = metric_series(engine->batch_size, values);
    }
}

_Static_assert((int)POLICY_EXITS_MAX == (int)SPEC_SECTIONS_MAX, "exits as policy counts them");
_Static_assert(CLASSIFIER_ENSEMBLE == MODEL_ENSEMBLE, "classifiers as policy numbers them");

static struct classifiers classifiers_of(const struct model *model, struct cost *cost)
{
    const struct calibration *c = &model->calibration;
    struct classifiers classifiers = {.model = model->name,
                                      .exits = net_sections(model->net),
                                      .calibrated = c->present,
                                      .ensemble_accuracy = c->ensemble.top1,
                                      .tuned = c->has_thresholds,
                                      .cost = cost};
    for (int i = 0; i < classifiers.exits; i++) {
        classifiers.accuracy[i] = c->exits[i].top1;
        classifiers.thresholds[i] = c->thresholds[i];
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

int served_new(struct engine *engine, struct model *model, struct cost *cost, struct err *e)
{
    struct err own = {.code = 0};
    if (e == NULL) e = &own;
    int rc = check_model(model, e);
    if (rc < 0) {
        cost_free(cost);
        return rc;
    }
    struct served *served = mem_new(1, sizeof(*served));
    if (served == NULL) {
        cost_free(cost);
        return err_set(e, -ENOMEM, "out of memory for a model version");
    }
    served->engine = engine;
    served->model = model;
    served->cost = cost;
    served->sections = net_sections(model->net);
    served->classes = net_classes(model->net);
    for (int s = 0; s < served->sections; s++) {
        size_t size = shape_size(net_section_input(model->net, s));
        if (size > served->features_size) served->features_size = size;
    }
    rc = make_workers(engine, served, e);
    if (rc == 0 && cost == NULL) {
        rc = measure_cost(served->workers[0].exec, model->net, engine->options.batch_max,
                          measure_budget_s, &served->cost, e);
    }
    if (rc < 0) {
        served_free(served);
        return rc;
    }
    served->classifiers = classifiers_of(model, served->cost);
    for (int s = 0; s < served->sections; s++) {
        sched_queue_init(&served->queues[s], s, served->cost);
    }
    find_metrics(engine, served);
    model->attached = served;
    model->attached_free = served_free;
    return 0;
}

struct features *features_take(struct engine *engine, struct served *served)
{
    struct features *f = served->free_features;
    if (f != NULL) {
        served->free_features = f->next;
        return f;
    }
    /* As many as there are items in flight at most, so at most queue_max; kept for the next ones.
     */
    pthread_mutex_unlock(&engine->lock);
    f = mem_new(1, sizeof(*f));
    if (f != NULL) {
        f->values = mem_new_aligned(served->features_size, sizeof(float));
        if (f->values == NULL) {
            mem_free(f);
            f = NULL;
        }
    }
    pthread_mutex_lock(&engine->lock);
    return f;
}

void features_give(struct served *served, struct features *features)
{
    if (features == NULL) return;
    features->next = served->free_features;
    served->free_features = features;
}
