/* What lies between a connection and its client beside libmicrohttpd's own reading and writing: a
 * look at what has arrived, a late answer, and hanging up. One table of functions for each kind of
 * connection; a connection is asked through its table only, so that another kind (TLS) needs
 * nothing else. Loop thread. */
#ifndef HTTP_TRANSPORT_H
#define HTTP_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

struct transport;

enum transport_view {
    TRANSPORT_EMPTY, /* nothing is there */
    TRANSPORT_BYTES, /* bytes wait to be read */
    TRANSPORT_END,   /* the client's end is closed or broken, and all before it has been read */
};

struct transport_kind {
    enum transport_view (*peek)(const struct transport *t);
    /* All of it at once, without waiting: 0 or a negative errno. */
    int (*send_all)(const struct transport *t, const void *data, size_t size);
    void (*shut)(const struct transport *t); /* in both directions; libmicrohttpd closes it then */
};

struct transport {
    const struct transport_kind *kind;
    int fd;        /* watched for hang-ups (hangups.h) */
    bool end_seen; /* by that watch; something may still lie before the end */
};

/* TCP or a UNIX socket as it is. */
void transport_init_plain(struct transport *t, int fd);

#endif
