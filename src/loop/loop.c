/* The loop thread and the list of calls for it.
 *
 * Other threads post calls into one list under one lock and wake the loop by uv_async_send(). libuv
 * merges wake-ups, so the loop takes the whole list each time. This list is the reason why nothing
 * of HTTP has to be touched off the loop. */
#include "config.h"

#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/mem.h"
#include "pool.h"

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    pthread_mutex_t lock; /* leaf: guards the list only */
    struct loop_call *first, **last;
};

static void run_calls(uv_async_t *handle)
{
    struct loop *loop = handle->data;
    pthread_mutex_lock(&loop->lock);
    struct loop_call *call = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    pthread_mutex_unlock(&loop->lock);
    while (call != NULL) {
        struct loop_call *next = call->next; /* fn may free the call */
        call->fn(call);
        call = next;
    }
}

/* libuv makes pipes for a loop, and aborts where it cannot have the first. */
static int try_pipes(void)
{
    int fds[2][2];
    size_t n = 0;
    int rc = 0;
    while (rc == 0 && n < 2) {
        rc = pipe2(fds[n], O_CLOEXEC) == 0 ? 0 : -errno;
        if (rc == 0) n++;
    }
    while (n > 0) {
        n--;
        close(fds[n][0]);
        close(fds[n][1]);
    }
    return rc;
}

struct loop *loop_new(struct err *e)
{
    struct loop *loop = mem_new(1, sizeof(*loop));
    if (loop == NULL) {
        err_set(e, -ENOMEM, "out of memory for the event loop");
        return NULL;
    }
    int rc = try_pipes();
    if (rc == 0) rc = uv_loop_init(&loop->uv);
    if (rc < 0) {
        err_set(e, rc, "cannot make an event loop: %s", uv_strerror(rc));
        mem_free(loop);
        return NULL;
    }
    rc = pool_make(&loop->uv, e);
    if (rc < 0) {
        uv_loop_close(&loop->uv);
        mem_free(loop);
        return NULL;
    }
    rc = uv_async_init(&loop->uv, &loop->wake, run_calls);
    if (rc < 0) {
        err_set(e, rc, "cannot make the event loop's wake-up: %s", uv_strerror(rc));
        uv_loop_close(&loop->uv);
        mem_free(loop);
        return NULL;
    }
    loop->wake.data = loop;
    loop->last = &loop->first;
    pthread_mutex_init(&loop->lock, NULL);
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) return;
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    uv_loop_close(&loop->uv);
    pthread_mutex_destroy(&loop->lock);
    mem_free(loop);
}

uv_loop_t *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

void loop_post(struct loop *loop, struct loop_call *call)
{
    call->next = NULL;
    pthread_mutex_lock(&loop->lock);
    *loop->last = call;
    loop->last = &call->next;
    /* Inside the lock, so that loop_free() cannot come between the append and the wake-up. */
    uv_async_send(&loop->wake);
    pthread_mutex_unlock(&loop->lock);
}
