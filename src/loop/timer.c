/* Timers. libuv closes a handle in a later turn, which is why they lie on the heap: their owners
 * need not wait for that. */
#include "config.h"

#include "loop/timer.h"

#include "base/mem.h"

struct loop_timer {
    uv_timer_t uv;
    void (*fn)(void *arg);
    void *arg;
};

struct loop_timer *loop_timer_new(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    struct loop_timer *timer = mem_new(1, sizeof(*timer));
    if (timer == NULL) return NULL;
    uv_timer_init(loop_uv(loop), &timer->uv);
    timer->uv.data = timer;
    timer->fn = fn;
    timer->arg = arg;
    return timer;
}

static void closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void loop_timer_free(struct loop_timer *timer)
{
    if (timer != NULL) uv_close((uv_handle_t *)&timer->uv, closed);
}

static void over(uv_timer_t *uv)
{
    struct loop_timer *timer = uv->data;
    timer->fn(timer->arg);
}

void loop_timer_start(struct loop_timer *timer, int64_t after_ms, int64_t every_ms)
{
    uv_timer_start(&timer->uv, over, (uint64_t)(after_ms > 0 ? after_ms : 0), (uint64_t)every_ms);
}

void loop_timer_stop(struct loop_timer *timer)
{
    uv_timer_stop(&timer->uv);
}
