/* Streams: an answer whose body is written bit by bit, for server-sent events. On the loop thread.
 *
 * exchange_stream() answers with status 200; from then on the exchange is written to and ended
 * instead of answered. However it ends (the writer ends it, the client hangs up or is too slow, the
 * server drains), closed() is called exactly once, from the loop and never from within a call here;
 * then the pointer is dead. */
#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include <stddef.h>

#include "http/exchange.h"

enum { STREAM_WAITING_MAX = 1 << 20 }; /* bytes that a slow client may leave waiting */

/* -ENOMEM: it has not been answered. Headers added before go out. */
int exchange_stream(struct exchange *x, const char *content_type, exchange_fn *closed, void *arg);

/* ERR_LIMIT when more than STREAM_WAITING_MAX is waiting already: the stream ends without the rest.
 * Nothing happens after its end. */
int exchange_stream_write(struct exchange *x, const void *data, size_t size);

/* What has been written still goes out. */
void exchange_stream_end(struct exchange *x);

#endif
