/* Plain sockets. */
#include "config.h"

#include "transport.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t plain_receive(struct transport *t, void *data, size_t size)
{
    ssize_t n;
    do n = recv(t->fd, data, size, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t plain_send(struct transport *t, const struct iovec *pieces, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)count};
    ssize_t n;
    do n = sendmsg(t->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static void plain_finish(struct transport *t)
{
    shutdown(t->fd, SHUT_WR);
}

static void plain_close(struct transport *t)
{
    close(t->fd);
    t->fd = -1;
}

void transport_init_plain(struct transport *t, int fd)
{
    static const struct transport_kind plain = {plain_receive, plain_send, plain_finish,
                                                plain_close};
    *t = (struct transport){.kind = &plain, .fd = fd};
}
