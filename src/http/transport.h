/* What lies between a connection and its client: receiving, sending, and the end. One table of
 * functions for each kind of connection; a connection is asked through its table only, so that
 * another kind (TLS) needs nothing else. Nothing waits. Loop thread. */
#ifndef HTTP_TRANSPORT_H
#define HTTP_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct transport;

struct transport_kind {
    /* Bytes received, with the time (clock_now()) at which the last of them had come, as far as
     * the system knows it; 0: the client has closed its half; -EAGAIN, or another negative errno
     * when the connection is lost. */
    ssize_t (*receive)(struct transport *t, void *data, size_t size, int64_t *ret_came_ns);
    /* Bytes taken of the pieces, maybe fewer than there are; -EAGAIN, or another negative errno. */
    ssize_t (*send)(struct transport *t, const struct iovec *pieces, int count);
    /* Whether some of what was taken has not left the machine yet: the client's window is full, or
     * the network's. */
    bool (*holds)(const struct transport *t);
    void (*finish)(struct transport *t); /* says that no more will be sent */
    void (*close)(struct transport *t);
};

struct transport {
    const struct transport_kind *kind;
    int fd; /* watched (watch.h) */
};

/* TCP or a UNIX socket as it is, which is taken over. */
void transport_init_plain(struct transport *t, int fd);

/* Has the system note when what the listener's connections receive comes. Where it does not, that
 * is the time of reading. */
void transport_note_arrivals(int listener);

#endif
