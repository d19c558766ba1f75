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
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
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
    char *directory;
    int lock_fd; /* holds the flock for as long as it is open; -1: there is no room for the file */
    pthread_mutex_t lock;   /* what follows */
    struct err problem;     /* why the directory takes nothing; code 0: it does */
    struct store_task swap; /* gives the reading thread a new connection */
    struct db *new_reading;
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
    if (fd < 0 && errno == EROFS) /* one that is there locks as well */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) errno = EROFS;
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

/* What a disk that takes nothing says, or who has the database locked (a program that looks at it,
 * or copies it); the directory can still be read then. */
static bool takes_nothing(int code)
{
    return err_is_disk(code) || code == -EIO || code == ERR_BUSY;
}

/* The database with what stands beside it, out of the way of a new one. */
static int set_aside(const char *path, struct err *e)
{
    static const char *const ends[] = {"-wal", "-shm", ""};
    char from[PATH_MAX + 8], to[PATH_MAX + 64], time[40];
    clock_format(clock_real(), time, sizeof(time));
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        snprintf(from, sizeof(from), "%s%s", path, ends[i]);
        snprintf(to, sizeof(to), "%s.damaged-%s%s", path, time, ends[i]);
        if (rename(from, to) < 0 && errno != ENOENT)
            return err_set(e, -errno, "cannot rename %s: %s", from, err_text(-errno));
    }
    log_error("it is kept as %s, and a new one begun: jobs, audit and the order of activations are "
              "lost; versions are found again in the directory of models",
              to);
    return 0;
}

/* Both connections, to the file, or to what can be read of it. Damaged: a new one is begun. */
static int open_both(const char *path, struct db **ret_writing, struct db **ret_reading,
                     struct err *e)
{
    keep_private(path);
    int rc = db_open(path, ret_writing, e);
    if (rc == -EBADMSG) {
        log_error("%s", e->text);
        rc = set_aside(path, e);
        if (rc == 0) keep_private(path);
        if (rc == 0) rc = db_open(path, ret_writing, e);
    }
    if (rc < 0) return rc;
    rc = db_open_reading(path, ret_reading, e);
    if (rc < 0) db_close(*ret_writing);
    return rc;
}

static int open_frozen(const char *path, struct db **ret_writing, struct db **ret_reading,
                       struct err *e)
{
    int rc = db_open_frozen(path, ret_writing, NULL);
    if (rc == 0) {
        rc = db_open_frozen(path, ret_reading, e);
    } else {
        rc = db_open_memory(path, false, ret_writing, e);
        if (rc < 0) return rc;
        rc = db_open_memory(path, true, ret_reading, e);
    }
    if (rc < 0) db_close(*ret_writing);
    return rc;
}

/* Lock and database, as for a disk that takes them. The connections are new. */
static int open_whole(struct store *store, struct db **ret_writing, struct db **ret_reading,
                      struct err *e)
{
    char path[PATH_MAX];
    int rc = store->lock_fd < 0 ? lock_directory(store->directory, &store->lock_fd, e) : 0;
    if (rc < 0) return rc;
    if (file_join(path, sizeof(path), store->directory, "autodidact.db") < 0)
        return err_set(e, ERR_LIMIT, "the path %s is too long", store->directory);
    return open_both(path, ret_writing, ret_reading, e);
}

static int open_store(struct store *store, struct err *e)
{
    char path[PATH_MAX];
    int rc = open_whole(store, &store->writing.db, &store->reading.db, e);
    if (takes_nothing(rc)) {
        store->problem = *e;
        log_warning("%s: what is there is served, changes are refused", e->text);
        rc = file_join(path, sizeof(path), store->directory, "autodidact.db");
        if (rc == 0) rc = open_frozen(path, &store->writing.db, &store->reading.db, e);
    }
    if (rc == 0) rc = thread_start(&store->writing, "store", e);
    return rc == 0 ? thread_start(&store->reading, "store-reading", e) : rc;
}

int store_open(const char *directory, struct store **ret_store, struct err *e)
{
    struct err local = {0};
    struct store *store = mem_new(1, sizeof(*store));
    if (store != NULL) store->directory = mem_strdup(directory);
    if (store == NULL || store->directory == NULL) {
        mem_free(store);
        return err_set(e, -ENOMEM, "cannot open %s: out of memory", directory);
    }
    store->lock_fd = -1;
    pthread_mutex_init(&store->lock, NULL);
    thread_init(&store->writing);
    thread_init(&store->reading);
    int rc = open_store(store, &local);
    if (rc < 0) {
        store_close(store);
        return err_set(e, rc, "%s", local.text);
    }
    *ret_store = store;
    return 0;
}

bool store_problem(struct store *store, struct err *ret_problem)
{
    pthread_mutex_lock(&store->lock);
    *ret_problem = store->problem;
    pthread_mutex_unlock(&store->lock);
    return ret_problem->code != 0;
}

/* On the reading thread. */
static void swap(struct store_task *task, struct db *db)
{
    struct store *store = (struct store *)(void *)((char *)task - offsetof(struct store, swap));
    db_close(db);
    store->reading.db = store->new_reading;
}

int store_repair(struct store *store, struct db **db)
{
    struct err problem, e = {0};
    struct db *writing;
    if (!store_problem(store, &problem)) return 0;
    int rc = open_whole(store, &writing, &store->new_reading, &e);
    if (rc < 0) {
        pthread_mutex_lock(&store->lock);
        store->problem = e;
        pthread_mutex_unlock(&store->lock);
        if (strcmp(e.text, problem.text) != 0) log_warning("%s", e.text);
        return rc;
    }
    db_close(*db);
    *db = store->writing.db = writing;
    store->swap.run = swap;
    store_post_reading(store, &store->swap);
    pthread_mutex_lock(&store->lock);
    store->problem.code = 0;
    pthread_mutex_unlock(&store->lock);
    log_info("%s takes changes again", store->directory);
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
    pthread_mutex_destroy(&store->lock);
    mem_free(store->directory);
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
