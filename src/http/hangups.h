/* The watch for clients that hang up: one epoll descriptor for all connections of a server. It says
 * once that a client has closed its end, and costs nothing while none does. Loop thread. */
#ifndef HTTP_HANGUPS_H
#define HTTP_HANGUPS_H

#include <uv.h>

#include "base/err.h"

struct hangups {
    int fd;
    uv_poll_t poll; /* has the caller's data; on_poll calls hangups_each() */
};

int hangups_open(struct hangups *h, uv_loop_t *loop, struct err *e);
void hangups_close(struct hangups *h); /* after uv_close() of poll; zeroed is fine */

/* Watches a socket; `data` is what hangups_each() gives for it. Off again before the socket is
 * closed, since a child that is being forked may hold a copy. */
void hangups_add(struct hangups *h, int socket, void *data);
void hangups_remove(struct hangups *h, int socket);

/* For one that has been said: says it again, at the next turn of the loop. */
void hangups_repeat(struct hangups *h, int socket, void *data);

/* Calls ended(data) for each connection whose client has closed its end. No connection may be freed
 * meanwhile. */
void hangups_each(struct hangups *h, void (*ended)(void *data));

#endif
