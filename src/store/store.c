/* The store thread: a list of tasks behind one lock, a condition, one thread.
 *
 * The list is the caller's memory linked up, so that posting cannot fail. Closing drains: a task that
 * was posted runs, which is what lets a last state reach the disk. */
#include "config.h"

#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

struct store {
    struct db *db; /* the thread's alone */
    int lock_fd;   /* holds the flock for as long as it is open */
    pthread_t thread;
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t wake;
    struct store_task *first, **last;
    bool closing;
};

static void *store_thread(void *arg)
{
    struct store *store = arg;
    pthread_setname_np(pthread_self(), "store");
    pthread_mutex_lock(&store->lock);
    for (;;) {
        while (store->first == NULL && !store->closing) pthread_cond_wait(&store->wake, &store->lock);
        struct store_task *task = store->first;
        if (task == NULL) break;
        store->first = task->next;
        if (store->first == NULL) store->last = &store->first;
        pthread_mutex_unlock(&store->lock);
        task->run(task, store->db);
        pthread_mutex_lock(&store->lock);
    }
    pthread_mutex_unlock(&store->lock);
    return NULL;
}

static int lock_directory(const char *directory, int *ret_fd, struct err *e)
{
    char path[PATH_MAX];
    int rc = file_make_dirs(directory, e);
    if (rc < 0) return rc;
    if (file_join(path, sizeof path, directory, "lock") < 0)
        return err_set(e, ERR_LIMIT, "state.directory %s is too long", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return err_set(e, -errno, "cannot open %s: %s", path, err_text(-errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        rc = errno == EWOULDBLOCK
                 ? err_set(e, ERR_CONFLICT, "%s belongs to another autodidactd that is running: give this "
                                            "one a state.directory of its own", directory)
                 : err_set(e, -errno, "cannot lock %s: %s", path, err_text(-errno));
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

/* Signals are the loop thread's business. */
static int start_thread(struct store *store)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&store->thread, NULL, store_thread, store);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

int store_open(const char *directory, struct store **ret_store, struct err *e)
{
    struct store *store = mem_new(1, sizeof *store);
    if (store == NULL) return err_set(e, -ENOMEM, "cannot open %s: out of memory", directory);
    store->lock_fd = -1;
    store->last = &store->first;
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->wake, NULL);

    char path[PATH_MAX];
    int rc = lock_directory(directory, &store->lock_fd, e);
    if (rc == 0 && file_join(path, sizeof path, directory, "autodidact.db") < 0)
        rc = err_set(e, ERR_LIMIT, "state.directory %s is too long", directory);
    if (rc == 0) rc = db_open(path, &store->db, e);
    if (rc == 0) {
        rc = start_thread(store);
        if (rc < 0) err_set(e, rc, "cannot start the store thread: %s", err_text(rc));
    }
    if (rc == 0) {
        *ret_store = store;
        return 0;
    }
    db_close(store->db);
    if (store->lock_fd >= 0) close(store->lock_fd);
    pthread_cond_destroy(&store->wake);
    pthread_mutex_destroy(&store->lock);
    mem_free(store);
    return rc;
}

void store_close(struct store *store)
{
    if (store == NULL) return;
    pthread_mutex_lock(&store->lock);
    store->closing = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->lock);
    pthread_join(store->thread, NULL);
    db_close(store->db);
    close(store->lock_fd);
    pthread_cond_destroy(&store->wake);
    pthread_mutex_destroy(&store->lock);
    mem_free(store);
}

void store_post(struct store *store, struct store_task *task)
{
    task->next = NULL;
    pthread_mutex_lock(&store->lock);
    *store->last = task;
    store->last = &task->next;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->lock);
}

struct call {
    struct store_task task;
    int (*fn)(struct db *db, void *arg, struct err *e);
    void *arg;
    struct err *e;
    int rc;
    bool done;
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

static void run_call(struct store_task *task, struct db *db)
{
    struct call *call = (struct call *)(void *)((char *)task - offsetof(struct call, task));
    call->rc = call->fn(db, call->arg, call->e);
    pthread_mutex_lock(&call->lock);
    call->done = true;
    pthread_cond_signal(&call->wake);
    pthread_mutex_unlock(&call->lock);
}

int store_call(struct store *store, int (*fn)(struct db *db, void *arg, struct err *e), void *arg,
               struct err *e)
{
    struct call call = {.task.run = run_call, .fn = fn, .arg = arg, .e = e};
    pthread_mutex_init(&call.lock, NULL);
    pthread_cond_init(&call.wake, NULL);
    store_post(store, &call.task);
    pthread_mutex_lock(&call.lock);
    while (!call.done) pthread_cond_wait(&call.wake, &call.lock);
    pthread_mutex_unlock(&call.lock);
    pthread_cond_destroy(&call.wake);
    pthread_mutex_destroy(&call.lock);
    return call.rc;
}
