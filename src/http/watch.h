/* The watch over sockets: one epoll descriptor for all connections of a server, edge-triggered, so
 * that a connection costs one system call in its life instead of some for each request. Loop
 * thread. */
#ifndef HTTP_WATCH_H
#define HTTP_WATCH_H

#include <uv.h>

#include "base/err.h"

struct watch {
    int fd;
    uv_poll_t poll; /* has the caller's data; its callback calls watch_each() */
};

enum {
    WATCH_READABLE = 1, /* something has come, or an end */
    WATCH_WRITABLE = 2, /* there is room again */
    WATCH_END = 4,      /* the client has closed its half: after what has come there is an end */
    WATCH_LOST = 8,     /* reset, or closed on both sides */
};

int watch_open(struct watch *w, uv_loop_t *loop, struct err *e);
void watch_close(struct watch *w); /* after uv_close() of poll; zeroed is fine */

/* Watches a socket; `data` is what watch_each() gives for it. 0 or a negative errno. Off again
 * before the socket is closed, since a child that is being forked may hold a copy. */
int watch_add(struct watch *w, int socket, void *data);
void watch_remove(struct watch *w, int socket);

/* Calls news(data, WATCH_ bits) for each socket where something has changed. Nothing that has been
 * added may be freed meanwhile. Returns how many there were: more may wait. */
int watch_each(struct watch *w, void (*news)(void *data, unsigned bits));

#endif
