/* Small bodies are unpacked at once as far as they stay small; the loop has better to do than to
 * follow a large one, or a small one that unfolds. What is being unpacked counts among the bodies
 * in memory only when it is; until then there is one at most for each thread of the pool. */
#include "config.h"

#include "coded_body.h"

#include <errno.h>

#include "base/mem.h"
#include "connection.h"
#include "unpack.h"

/* What inflate takes half a millisecond for, of what comes in and of what comes out. */
enum { INLINE_PACKED_MAX = 64 << 10, INLINE_UNPACKED_MAX = 256 << 10 };

struct coded_body {
    uv_work_t work;
    struct exchange *x;
    struct unpacker *unpacker;
    struct buf unpacked;
    int rc; /* of unpacker_run() */
    struct err error;
};

static void coded_body_free(struct coded_body *b)
{
    if (b == NULL) return;
    unpacker_free(b->unpacker);
    buf_release(&b->unpacked);
    mem_free(b);
}

/* The body is what was in it from now on; whether there is room for that, as uploads_fit(). */
static int take_over(struct exchange *x, struct buf *unpacked)
{
    struct connection *c = connection_of(x);
    uploads_release(c);
    x->body = *unpacked;
    buf_init(unpacked, 0);
    return uploads_change(c, 0, x->body.capacity);
}

static void go_on(struct coded_body *b)
{
    struct exchange *x = b->x;
    int room = UPLOADS_FIT;
    if (connection_of(x)->state == CONNECTION_ABANDONED) {
        exchange_problem(x, 499, "the client hung up");
    } else if (b->rc < 0) {
        exchange_problem_err(x, &b->error);
    } else {
        room = take_over(x, &b->unpacked);
        if (room == UPLOADS_FIT)
            x->route->handler(x, x->route->arg);
        else
            exchange_refuse_upload(x, room);
    }
    coded_body_free(b);
}

/* On a thread of the pool. */
static void unpack(uv_work_t *work)
{
    struct coded_body *b = work->data;
    b->rc = unpacker_run(b->unpacker, SIZE_MAX, &b->unpacked, &b->error);
}

static void unpacked(uv_work_t *work, int status)
{
    struct coded_body *b = work->data;
    if (status < 0) b->rc = err_set(&b->error, ERR_BUSY, "the server is shutting down");
    go_on(b);
}

void coded_body_handle(struct exchange *x)
{
    const size_t size = x->body.size;
    struct coded_body *b = mem_new(1, sizeof(*b));
    if (b != NULL) b->unpacker = unpacker_new(x->coding, x->body.data, size);
    if (b == NULL || b->unpacker == NULL) {
        coded_body_free(b);
        exchange_problem(x, 503, "out of memory for the body");
        return;
    }
    b->x = x;
    b->work.data = b;
    b->rc = 1;
    buf_init(&b->unpacked, x->body_max);
    if (size <= INLINE_PACKED_MAX)
        b->rc = unpacker_run(b->unpacker, INLINE_UNPACKED_MAX, &b->unpacked, &b->error);
    if (b->rc == 1 && uv_queue_work(loop_uv(server_loop(connection_of(x)->server)), &b->work,
                                    unpack, unpacked) == 0)
        return;
    if (b->rc == 1) b->rc = err_set(&b->error, ERR_BUSY, "out of memory for the body");
    go_on(b);
}
