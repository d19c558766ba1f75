/* What lies between a connection and its client: receiving, sending, and the end. One table of
 * functions for each kind of connection; a connection is asked through its table only, so that
 * another kind (TLS) needs nothing else. Nothing waits. Loop thread. */
#ifndef HTTP_TRANSPORT_H
#define HTTP_TRANSPORT_H

#include <sys/types.h>
#include <sys/uio.h>

struct transport;

struct transport_kind {
    /* Bytes received; 0: the client has closed its half; -EAGAIN, or another negative errno when
     * the connection is lost. */
    ssize_t (*receive)(struct transport *t, void *data, size_t size);
    /* Bytes taken of the pieces, maybe fewer than there are; -EAGAIN, or another negative errno. */
    ssize_t (*send)(struct transport *t, const struct iovec *pieces, int count);
    void (*finish)(struct transport *t); /* says that no more will be sent */
    void (*close)(struct transport *t);
};

struct transport {
    const struct transport_kind *kind;
    int fd; /* watched (watch.h) */
};

/* TCP or a UNIX socket as it is, which is taken over. */
void transport_init_plain(struct transport *t, int fd);

#endif
