/* autodidact_training_*: what is being trained, how it goes, how jobs end. */
#include "config.h"

#include "base/clock.h"
#include "model/model.h"
#include "state.h"

static struct metric *gauge(struct metrics *metrics, const char *name, const char *help)
{
    struct metric_family *family =
        metrics != NULL ? metrics_add(metrics, METRIC_GAUGE, name, help, NULL, NULL, 0) : NULL;
    return metric_series(family, NULL);
}

void jobs_metrics_init(struct jobs_metrics *m, struct metrics *metrics)
{
    static const char *const by_classifier[] = {"classifier", NULL}, *const by_state[] = {"state",
                                                                                          NULL};
    m->running =
        gauge(metrics, "autodidact_training_running", "Training jobs that run now: 0 or 1.");
    m->epoch =
        gauge(metrics, "autodidact_training_epoch", "Epoch of the job that runs, or ran last.");
    m->epochs = gauge(metrics, "autodidact_training_epochs", "Epochs that this job has in all.");
    m->loss = gauge(metrics, "autodidact_training_loss", "Its last training loss.");
    m->img_per_s = gauge(metrics, "autodidact_training_images_per_second", "Its speed.");
    m->last_success =
        gauge(metrics, "autodidact_training_last_success_timestamp_seconds",
              "When a job last succeeded, in seconds since 1970; 0: not since the start.");
    m->accuracy = m->ended = NULL;
    if (metrics == NULL) return;
    m->accuracy =
        metrics_add(metrics, METRIC_GAUGE, "autodidact_training_accuracy_ratio",
                    "Top-1 on the held-out images after its last epoch.", by_classifier, NULL, 0);
    m->ended = metrics_add(metrics, METRIC_COUNTER, "autodidact_training_jobs_total",
                           "Jobs that have ended, by their final state.", by_state, NULL, 0);
}

void jobs_metrics_progress(struct jobs_metrics *m, const struct progress *p)
{
    metric_set(m->epoch, (double)p->epoch);
    metric_set(m->epochs, (double)p->epochs);
    metric_set(m->loss, p->loss);
    metric_set(m->img_per_s, p->img_per_s);
    for (int i = 0; i < p->n_exits; i++) {
        const char *name = model_classifier_name(i);
        if ((p->untrained >> i & 1) != 0)
            metric_forget(m->accuracy, "classifier", name);
        else
            metric_set(metric_series(m->accuracy, &name), p->top1[i]);
    }
    if (p->n_exits > 0) {
        const char *name = model_classifier_name(MODEL_ENSEMBLE);
        metric_set(metric_series(m->accuracy, &name), p->ensemble_top1);
    }
}

void jobs_metrics_ended(struct jobs_metrics *m, enum job_state state)
{
    const char *name = job_state_name(state);
    metric_add(metric_series(m->ended, &name), 1);
    if (state == JOB_SUCCEEDED)
        metric_set(m->last_success, (double)clock_real() / (double)CLOCK_SECOND);
}
