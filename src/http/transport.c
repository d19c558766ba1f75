/* Plain sockets. */
#include "config.h"

#include "transport.h"

#include <errno.h>
#include <sys/socket.h>

static enum transport_view plain_peek(const struct transport *t)
{
    char byte;
    ssize_t n = recv(t->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0) return TRANSPORT_BYTES;
    bool waits = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
    return waits ? TRANSPORT_EMPTY : TRANSPORT_END;
}

static int plain_send_all(const struct transport *t, const void *data, size_t size)
{
    ssize_t n = send(t->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) return -errno;
    return (size_t)n == size ? 0 : -EAGAIN;
}

static void plain_shut(const struct transport *t)
{
    shutdown(t->fd, SHUT_RDWR);
}

void transport_init_plain(struct transport *t, int fd)
{
    static const struct transport_kind plain = {plain_peek, plain_send_all, plain_shut};
    *t = (struct transport){.kind = &plain, .fd = fd};
}
