/* Edges of an epoll descriptor of our own: a uv_poll for each connection would be started and
 * stopped for each request, three system calls. */
#include "config.h"

#include "watch.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

int watch_open(struct watch *w, uv_loop_t *loop, struct err *e)
{
    w->fd = epoll_create1(EPOLL_CLOEXEC);
    if (w->fd < 0) return err_set(e, -errno, "cannot watch connections: %s", err_text(-errno));
    int rc = uv_poll_init(loop, &w->poll, w->fd);
    if (rc == 0) return 0;
    watch_close(w);
    return err_set(e, rc, "cannot watch connections: %s", uv_strerror(rc));
}

void watch_close(struct watch *w)
{
    if (w->fd > 0) close(w->fd);
    w->fd = 0;
}

int watch_add(struct watch *w, int socket, void *data)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = data};
    return epoll_ctl(w->fd, EPOLL_CTL_ADD, socket, &event) < 0 ? -errno : 0;
}

void watch_remove(struct watch *w, int socket)
{
    /* One that could not be added is no news. */
    (void)epoll_ctl(w->fd, EPOLL_CTL_DEL, socket, NULL);
}

static unsigned bits_of(uint32_t events)
{
    unsigned bits = 0;
    if ((events & EPOLLIN) != 0) bits |= WATCH_READABLE;
    if ((events & EPOLLOUT) != 0) bits |= WATCH_WRITABLE;
    if ((events & EPOLLRDHUP) != 0) bits |= WATCH_END | WATCH_READABLE;
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) bits |= WATCH_LOST;
    return bits;
}

int watch_each(struct watch *w, void (*news)(void *data, unsigned bits))
{
    struct epoll_event events[64]; /* what does not fit comes at the next turn */
    int n = epoll_wait(w->fd, events, sizeof(events) / sizeof(events[0]), 0);
    for (int i = 0; i < n; i++) news(events[i].data.ptr, bits_of(events[i].events));
    return n;
}
