/* Edges of an epoll descriptor of our own: a uv_poll for each connection would be started and
 * stopped for each request, three system calls. */
#include "config.h"

#include "hangups.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"

int hangups_open(struct hangups *h, uv_loop_t *loop, struct err *e)
{
    h->fd = epoll_create1(EPOLL_CLOEXEC);
    if (h->fd < 0) return err_set(e, -errno, "cannot watch for hang-ups: %s", err_text(-errno));
    int rc = uv_poll_init(loop, &h->poll, h->fd);
    if (rc == 0) return 0;
    hangups_close(h);
    return err_set(e, rc, "cannot watch for hang-ups: %s", uv_strerror(rc));
}

void hangups_close(struct hangups *h)
{
    if (h->fd > 0) close(h->fd);
    h->fd = 0;
}

static void change(struct hangups *h, int operation, int socket, void *data)
{
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = data};
    if (epoll_ctl(h->fd, operation, socket, &event) < 0)
        log_warning("no watch for hang-ups: %s", strerror(errno));
}

void hangups_add(struct hangups *h, int socket, void *data)
{
    change(h, EPOLL_CTL_ADD, socket, data);
}

void hangups_repeat(struct hangups *h, int socket, void *data)
{
    change(h, EPOLL_CTL_MOD, socket, data);
}

void hangups_remove(struct hangups *h, int socket)
{
    /* One that could not be added is no news. */
    (void)epoll_ctl(h->fd, EPOLL_CTL_DEL, socket, NULL);
}

void hangups_each(struct hangups *h, void (*ended)(void *data))
{
    struct epoll_event events[64]; /* what does not fit comes at the next turn */
    int n = epoll_wait(h->fd, events, sizeof(events) / sizeof(events[0]), 0);
    for (int i = 0; i < n; i++) ended(events[i].data.ptr);
}
