/* See reaper.h. One list and one task: the task is posted with the first version of a list and
 * takes all that are there when it runs, so that nothing needs to be allocated. */
#include "config.h"

#include "registry/reaper.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

struct reaper {
    struct store *store;
    struct store_task task;
    pthread_mutex_t lock; /* what follows */
    struct version *retired;
    bool posted, closed;
};

struct reaper *reaper_new(struct store *store)
{
    struct reaper *reaper = mem_new(1, sizeof(*reaper));
    if (reaper == NULL) return NULL;
    reaper->store = store;
    pthread_mutex_init(&reaper->lock, NULL);
    return reaper;
}

/* On the store thread. */
static void reap(struct store_task *task, struct db *db)
{
    struct reaper *reaper = (struct reaper *)((char *)task - offsetof(struct reaper, task));
    (void)db;
    pthread_mutex_lock(&reaper->lock);
    struct version *retired = reaper->retired;
    reaper->retired = NULL;
    reaper->posted = false;
    pthread_mutex_unlock(&reaper->lock);
    version_list_free(retired);
}

void reaper_take(void *arg, struct version *version)
{
    struct reaper *reaper = arg;
    struct version *here = NULL;
    pthread_mutex_lock(&reaper->lock);
    version_list_add(reaper->closed ? &here : &reaper->retired, version);
    bool post = !reaper->closed && !reaper->posted;
    if (post) {
        /* With the lock held, so that nothing is posted after reaper_close(). */
        reaper->posted = true;
        reaper->task.run = reap;
        store_post(reaper->store, &reaper->task);
    }
    pthread_mutex_unlock(&reaper->lock);
    version_list_free(here);
}

void reaper_close(struct reaper *reaper)
{
    pthread_mutex_lock(&reaper->lock);
    reaper->closed = true;
    pthread_mutex_unlock(&reaper->lock);
}

void reaper_free(struct reaper *reaper)
{
    if (reaper == NULL) return;
    pthread_mutex_destroy(&reaper->lock);
    mem_free(reaper);
}
