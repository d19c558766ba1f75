/* Streams. What is written waits in a buffer until the connection takes it; while
 * there is nothing to take the connection pauses, and writing wakes it. */
#include "config.h"

#include "http/stream.h"

#include <errno.h>
#include <string.h>

#include "connection.h"

ssize_t stream_take(struct exchange *x, char *to, size_t size)
{
    struct stream *s = &x->stream;
    size_t left = s->waiting.size - s->taken, n = left < size ? left : size;
    if (s->broken) return -EPIPE;
    if (n == 0) return s->ended ? 0 : -EAGAIN;
    memcpy(to, s->waiting.data + s->taken, n);
    s->taken += n;
    if (s->taken == s->waiting.size) {
        if (s->waiting.capacity > STREAM_WAITING_MAX)
            buf_release(&s->waiting);
        else
            buf_clear(&s->waiting);
        s->taken = 0;
    }
    return (ssize_t)n;
}

/* Has the connection send on. */
static void wake(struct connection *c)
{
    if (c->state != CONNECTION_PAUSED) return;
    connection_enter(c, CONNECTION_SENDING);
    server_ready(c);
}

int exchange_stream(struct exchange *x, const char *content_type, exchange_fn *closed, void *arg)
{
    struct connection *c = connection_of(x);
    int rc = exchange_add_header(x, "Content-Type", "%s", content_type);
    if (rc == 0) rc = exchange_add_header(x, "Cache-Control", "no-store");
    if (rc < 0) return -ENOMEM;
    x->stream = (struct stream){.open = true, .closed = closed, .arg = arg};
    buf_init(&x->stream.waiting, STREAM_WAITING_MAX);
    exchange_reply(x, 200, NULL, NULL);
    if (server_is_closing(c->server)) exchange_stream_end(x);
    return 0;
}

int exchange_stream_write(struct exchange *x, const void *data, size_t size)
{
    struct stream *s = &x->stream;
    if (!s->open || s->ended || s->broken) return 0;
    if (s->taken > 0) { /* make room at the front, so that the bound is on what waits */
        memmove(s->waiting.data, s->waiting.data + s->taken, s->waiting.size - s->taken);
        s->waiting.size -= s->taken;
        s->taken = 0;
    }
    /* The bound is on what a client leaves waiting, not on what a writer has to say at once. */
    bool full = s->waiting.size > STREAM_WAITING_MAX;
    s->waiting.max = STREAM_WAITING_MAX + size;
    int rc = full ? ERR_LIMIT : buf_append(&s->waiting, data, size);
    if (rc < 0) s->broken = true; /* with what waits, it has no more use */
    wake(connection_of(x));
    return rc;
}

void exchange_stream_end(struct exchange *x)
{
    if (!x->stream.open || x->stream.ended) return;
    x->stream.ended = true;
    wake(connection_of(x));
}

void stream_closed(struct exchange *x)
{
    struct stream s = x->stream;
    if (!s.open) return;
    x->stream.open = false;
    s.closed(x, s.arg);
    buf_release(&s.waiting);
}
