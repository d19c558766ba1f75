/* libuv's pool of threads, made with the loop. libuv makes it with the first work and aborts where
 * a thread cannot be made, which would be in the middle of serving; so as many are tried before,
 * and then the pool is made at once. */
#include "config.h"

#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

enum { THREADS_STANDARD = 4, THREADS_MAX = 1024 };

/* Those that are tried stay until all are there. */
struct trial {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool over;
};

static void *stay(void *arg)
{
    struct trial *trial = arg;
    pthread_mutex_lock(&trial->lock);
    while (!trial->over) pthread_cond_wait(&trial->wake, &trial->lock);
    pthread_mutex_unlock(&trial->lock);
    return NULL;
}

static int try_threads(size_t n)
{
    struct trial trial = {.over = false};
    pthread_t *ids = mem_new(n, sizeof(*ids));
    if (ids == NULL) return -ENOMEM;
    pthread_mutex_init(&trial.lock, NULL);
    pthread_cond_init(&trial.wake, NULL);
    size_t made = 0;
    int rc = 0;
    while (made < n && rc == 0) {
        rc = -pthread_create(&ids[made], NULL, stay, &trial);
        if (rc == 0) made++;
    }
    pthread_mutex_lock(&trial.lock);
    trial.over = true;
    pthread_cond_broadcast(&trial.wake);
    pthread_mutex_unlock(&trial.lock);
    for (size_t i = 0; i < made; i++) pthread_join(ids[i], NULL);
    pthread_cond_destroy(&trial.wake);
    pthread_mutex_destroy(&trial.lock);
    mem_free(ids);
    return rc;
}

static void nothing(uv_work_t *work)
{
    (void)work;
}

static void done(uv_work_t *work, int status)
{
    (void)work;
    (void)status;
}

int pool_make(uv_loop_t *uv, struct err *e)
{
    const char *text = getenv("UV_THREADPOOL_SIZE");
    long n = text != NULL ? strtol(text, NULL, 10) : THREADS_STANDARD;
    if (n < 1) n = 1;
    if (n > THREADS_MAX) n = THREADS_MAX;
    uv_work_t work;
    int rc = try_threads((size_t)n);
    if (rc == 0) rc = uv_queue_work(uv, &work, nothing, done);
    if (rc < 0) return err_set(e, rc, "cannot start %ld threads: %s", n, err_text(rc));
    uv_run(uv, UV_RUN_DEFAULT);
    return 0;
}
