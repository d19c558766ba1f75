/* Plain sockets.
 *
 * What has come lies in the socket until the loop reads it, which under load is milliseconds later.
 * Linux notes of each packet when it came (SO_TIMESTAMPNS) and gives with what is read the time of
 * the last packet in it. A time is of the clock that may be set, so it is taken as an age, and one
 * that cannot be is none. */
#include "config.h"

#include "transport.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static const int64_t age_max_ns = 10 * CLOCK_SECOND;

/* How long ago, as the message says; 0 where it does not. */
static int64_t age_of(struct msghdr *message)
{
    const struct cmsghdr *note = CMSG_FIRSTHDR(message);
    if (note == NULL || note->cmsg_level != SOL_SOCKET || note->cmsg_type != SCM_TIMESTAMPNS)
        return 0;
    struct timespec came;
    memcpy(&came, CMSG_DATA(note), sizeof(came));
    int64_t age_ns = clock_real() - (came.tv_sec * CLOCK_SECOND + came.tv_nsec);
    return age_ns > 0 && age_ns < age_max_ns ? age_ns : 0;
}

static ssize_t plain_receive(struct transport *t, void *data, size_t size, int64_t *ret_came_ns)
{
    char control[CMSG_SPACE(sizeof(struct timespec))];
    struct iovec piece = {data, size};
    struct msghdr message;
    ssize_t n;
    do {
        message = (struct msghdr){.msg_iov = &piece,
                                  .msg_iovlen = 1,
                                  .msg_control = control,
                                  .msg_controllen = sizeof(control)};
        n = recvmsg(t->fd, &message, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return -errno;
    *ret_came_ns = clock_now() - age_of(&message);
    return n;
}

static bool plain_holds(const struct transport *t)
{
    int bytes = 0; /* a UNIX socket has no such number */
    return ioctl(t->fd, SIOCOUTQNSD, &bytes) == 0 && bytes > 0;
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
    static const struct transport_kind plain = {plain_receive, plain_send, plain_holds,
                                                plain_finish, plain_close};
    *t = (struct transport){.kind = &plain, .fd = fd};
}

void transport_note_arrivals(int listener)
{
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
}
