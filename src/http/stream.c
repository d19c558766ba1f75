/* Streams, over libmicrohttpd's content reader.
 *
 * A reader that has nothing to give suspends its connection, or libmicrohttpd would ask it again at
 * every turn of the loop; writing resumes it. While it is suspended connection.c watches for the
 * client's hanging up; while it sends, the deadline for taking an answer runs. */
#include "config.h"

#include "http/stream.h"

#include <errno.h>
#include <string.h>

#include "connection.h"

enum { BLOCK_SIZE = 4096 };

/* From libmicrohttpd, inside of MHD_run(). */
static ssize_t read_stream(void *arg, uint64_t position, char *buffer, size_t size)
{
    (void)position;
    struct connection *c = arg;
    struct stream *s = &c->x.stream;
    if (s->broken || c->state == CONNECTION_CUT) return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t left = s->waiting.size - s->taken, n = left < size ? left : size;
    if (n > 0) {
        memcpy(buffer, s->waiting.data + s->taken, n);
        s->taken += n;
        if (s->taken == s->waiting.size) {
            buf_clear(&s->waiting);
            s->taken = 0;
        }
        return (ssize_t)n;
    }
    if (s->ended) return MHD_CONTENT_READER_END_OF_STREAM;
    connection_enter(c, CONNECTION_PAUSED);
    return 0;
}

/* Lets libmicrohttpd ask the reader again. */
static void wake(struct connection *c)
{
    if (c->state == CONNECTION_PAUSED) connection_enter(c, CONNECTION_SENDING);
}

int exchange_stream(struct exchange *x, const char *content_type, exchange_fn *closed, void *arg)
{
    struct connection *c = connection_of(x);
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, read_stream, c, NULL);
    if (response == NULL) return -ENOMEM;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    x->stream = (struct stream){.open = true, .closed = closed, .arg = arg};
    buf_init(&x->stream.waiting, STREAM_WAITING_MAX);
    exchange_reply_response(x, 200, response);
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
    int rc = buf_append(&s->waiting, data, size);
    if (rc < 0) s->broken = true;
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
