/* The store's two threads, the one that owns the database and the one that only reads: each a list
 * of tasks behind one lock, a condition, a connection. SQLite's WAL lets them work at the same
 * time.
 *
 * The list is the caller's memory linked up, so that posting cannot fail. Closing drains: a task
 * that was posted runs, which is what lets a last state reach the disk. */
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
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

/* A thread with its connection. */
struct store_thread {
    struct db *db; /* the thread's alone */
    pthread_t id;
    bool started;
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t wake;
    struct store_task *first, **last;
    bool closing;
};

struct store {
    struct store_thread writing, reading;
    int lock_fd; /* holds the flock for as long as it is open */
};

static void *thread_main(void *arg)
{
    struct store_thread *thread = arg;
    pthread_mutex_lock(&thread->lock);
    for (;;) {
        while (thread->first == NULL && !thread->closing)
            pthread_cond_wait(&thread->wake, &thread->lock);
        struct store_task *task = thread->first;
        if (task == NULL) break;
        thread->first = task->next;
        if (thread->first == NULL) thread->last = &thread->first;
        pthread_mutex_unlock(&thread->lock);
        task->run(task, thread->db);
        pthread_mutex_lock(&thread->lock);
    }
    pthread_mutex_unlock(&thread->lock);
    return NULL;
}

static void thread_init(struct store_thread *thread)
{
    thread->last = &thread->first;
    pthread_mutex_init(&thread->lock, NULL);
    pthread_cond_init(&thread->wake, NULL);
}

/* Signals are the loop thread's business. */
static int thread_start(struct store_thread *thread, const char *name, struct err *e)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&thread->id, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) return err_set(e, -rc, "cannot start the %s thread: %s", name, err_text(-rc));
    pthread_setname_np(thread->id, name);
    thread->started = true;
    return 0;
}

static void thread_post(struct store_thread *thread, struct store_task *task)
{
    task->next = NULL;
    pthread_mutex_lock(&thread->lock);
    *thread->last = task;
    thread->last = &task->next;
    pthread_cond_signal(&thread->wake);
    pthread_mutex_unlock(&thread->lock);
}

/* What has been posted runs first. */
static void thread_stop(struct store_thread *thread)
{
    if (!thread->started) return;
    pthread_mutex_lock(&thread->lock);
    thread->closing = true;
    pthread_cond_signal(&thread->wake);
    pthread_mutex_unlock(&thread->lock);
    pthread_join(thread->id, NULL);
}

static void thread_release(struct store_thread *thread)
{
    db_close(thread->db);
    pthread_cond_destroy(&thread->wake);
    pthread_mutex_destroy(&thread->lock);
}

static int lock_directory(const char *directory, int *ret_fd, struct err *e)
{
    char path[PATH_MAX];
    int rc = file_make_dirs(directory, e);
    if (rc < 0) return rc;
    if (file_join(path, sizeof(path), directory, "lock") < 0)
        return err_set(e, ERR_LIMIT, "the path %s is too long", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return err_set(e, -errno, "cannot open %s: %s", path, err_text(-errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        rc = errno == EWOULDBLOCK
                 ? err_set(e, ERR_CONFLICT,
                           "%s belongs to another autodidactd that is running: give this "
                           "one a directory of its own",
                           directory)
                 : err_set(e, -errno, "cannot lock %s: %s", path, err_text(-errno));
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

/* What clients sent is in the database: it is its owner's alone, also when it was made under
 * another umask. SQLite makes the files beside it in its mode. Where that cannot be done (a
 * read-only disk), opening it says what is wrong. */
static void keep_private(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return;
    fchmod(fd, 0600);
    close(fd);
}

static int open_database(struct store *store, const char *directory, struct err *e)
{
    char path[PATH_MAX];
    if (file_join(path, sizeof(path), directory, "autodidact.db") < 0)
        return err_set(e, ERR_LIMIT, "the path %s is too long", directory);
    keep_private(path);
    int rc = db_open(path, &store->writing.db, e);
    if (rc == 0) rc = db_open_reading(path, &store->reading.db, e);
    if (rc == 0) rc = thread_start(&store->writing, "store", e);
    return rc == 0 ? thread_start(&store->reading, "store-reading", e) : rc;
}

int store_open(const char *directory, struct store **ret_store, struct err *e)
{
    struct store *store = mem_new(1, sizeof(*store));
    if (store == NULL) return err_set(e, -ENOMEM, "cannot open %s: out of memory", directory);
    store->lock_fd = -1;
    thread_init(&store->writing);
    thread_init(&store->reading);
    int rc = lock_directory(directory, &store->lock_fd, e);
    if (rc == 0) rc = open_database(store, directory, e);
    if (rc < 0) {
        store_close(store);
        return rc;
    }
    *ret_store = store;
    return 0;
}

void store_close(struct store *store)
{
    if (store == NULL) return;
    thread_stop(&store->writing);
    thread_stop(&store->reading);
    thread_release(&store->reading);
    thread_release(&store->writing);
    if (store->lock_fd >= 0) close(store->lock_fd);
    mem_free(store);
}

void store_post(struct store *store, struct store_task *task)
{
    thread_post(&store->writing, task);
}

void store_post_reading(struct store *store, struct store_task *task)
{
    thread_post(&store->reading, task);
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
