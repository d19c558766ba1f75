/* See beginning.h. One task, which is on the store thread or waits for its timer, never both. */
#include "config.h"

#include "beginning.h"

#include <errno.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/retry.h"
#include "loop/timer.h"

struct beginning {
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    const char *file;
    const struct beginning_calls *calls;
    void *arg;
    struct loop_timer *timer;
    struct metric *store_degraded, *models_degraded;
    struct retry retry; /* for its pauses */
    bool begun, stopped;

    struct store_task task; /* which owns what follows while it is on its way */
    struct loop_call back;
    struct err error;
    int models;
    bool whole, stored;
};

static void complain(void *arg, const char *message)
{
    (void)arg;
    log_error("%s", message);
}

/* On the store thread. */
static void on_store(struct store_task *task, struct db *db)
{
    struct beginning *b =
        (struct beginning *)(void *)((char *)task - offsetof(struct beginning, task));
    b->stored = store_repair(b->store, &db) == 0;
    b->models = registry_start(b->registry, db, b->file, complain, NULL, &b->error);
    b->whole = registry_is_whole(b->registry);
    loop_post(b->loop, &b->back);
}

static void back_on_loop(struct loop_call *back)
{
    struct beginning *b = back->arg;
    if (b->models < 0 && b->begun) log_error("%s", b->error.text); /* it had begun: that stays */
    metric_set(b->store_degraded, b->stored ? 0 : 1);
    metric_set(b->models_degraded, b->whole ? 0 : 1);
    b->calls->degraded(b->arg, !b->whole || !b->stored);
    if (!b->begun) b->calls->begun(b->arg, b->models, &b->error);
    b->begun = true;
    if (b->stopped || (b->whole && b->stored) || b->models < 0) return;
    retry_failed(&b->retry, "");
    loop_timer_start(b->timer, b->retry.pause_ns / CLOCK_MS, 0);
}

static void again(void *arg)
{
    beginning_start(arg);
}

int beginning_new(struct loop *loop, struct store *store, struct registry *registry,
                  struct metrics *metrics, const char *file, const struct beginning_calls *calls,
                  void *arg, struct beginning **ret, struct err *e)
{
    static const char *const labels[] = {"part", NULL};
    struct beginning *b = mem_new(1, sizeof(*b));
    if (b != NULL) b->timer = loop_timer_new(loop, again, b);
    if (b == NULL || b->timer == NULL) {
        mem_free(b);
        return err_set(e, -ENOMEM, "out of memory at start");
    }
    struct metric_family *family =
        metrics_add(metrics, METRIC_GAUGE, "autodidact_degraded",
                    "1 while the state directory takes nothing (store) or another version serves "
                    "than the one that is wanted (models).",
                    labels, NULL, 0);
    const char *name = "store";
    b->store_degraded = metric_series(family, &name);
    name = "models";
    b->models_degraded = metric_series(family, &name);
    b->loop = loop;
    b->store = store;
    b->registry = registry;
    b->file = file;
    b->calls = calls;
    b->arg = arg;
    b->task.run = on_store;
    b->back.fn = back_on_loop;
    b->back.arg = b;
    *ret = b;
    return 0;
}

void beginning_start(struct beginning *b)
{
    store_post(b->store, &b->task);
}

void beginning_stop(struct beginning *b)
{
    b->stopped = true;
    loop_timer_stop(b->timer);
}

void beginning_free(struct beginning *b)
{
    if (b == NULL) return;
    loop_timer_free(b->timer);
    mem_free(b);
}
