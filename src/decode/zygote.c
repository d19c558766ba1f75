/* See zygote.h. A helper is started and waited for until it is in its sandbox, which takes a
 * millisecond or two; then it is announced. One that ends is replaced at once; one that cannot be
 * started, is let go of at once, or ends before it has begun with a job (whoever kills it, as when
 * memory is short, would do so again) is tried again after a pause that doubles. */
#include "config.h"

#include "zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/title.h"
#include "region.h"

enum {
    READY_MS = 10000, /* for a helper to enter its sandbox */
    PAUSE_MIN_MS = 10,
    PAUSE_MAX_MS = 5000,
};

struct charge {
    pid_t pid; /* 0: to be started; else: */
    int region;
    bool stopped;
    int64_t not_before_ns;
    int pause_ms;
};

struct zygote {
    struct zygote_options options;
    int socket, children; /* the daemon; a signalfd */
    unsigned n;
    struct charge *charges;
};

/* ---- news ---- */

static void tell(const struct zygote *z, const struct zygote_news *news, const int *fds)
{
    union {
        struct cmsghdr header; /* for its alignment */
        char bytes[CMSG_SPACE(ZYGOTE_FDS * sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec data = {(void *)(uintptr_t)news, sizeof(*news)};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    if (fds != NULL) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(ZYGOTE_FDS * sizeof(int));
        memcpy(CMSG_DATA(c), fds, ZYGOTE_FDS * sizeof(int));
    }
    /* Nobody there: the end of the socket says so, too. */
    ssize_t ignored = sendmsg(z->socket, &message, MSG_NOSIGNAL);
    (void)ignored;
}

int zygote_receive(int socket, struct zygote_news *ret_news, int ret_fds[ZYGOTE_FDS])
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(ZYGOTE_FDS * sizeof(int))];
    } control;
    struct iovec data = {ret_news, sizeof(*ret_news)};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t n;
    do {
        n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof(*ret_news)) return -EPIPE;
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    size_t n_fds = c != NULL ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
    if (c != NULL) memcpy(ret_fds, CMSG_DATA(c), n_fds * sizeof(int));
    if (ret_news->event != ZYGOTE_STARTED || n_fds == ZYGOTE_FDS) return 0;
    /* Too many open files: some were lost on the way. */
    while (n_fds > 0) close(ret_fds[--n_fds]);
    return -EMFILE;
}

/* ---- starting ---- */

struct start {
    int region, ours, theirs, pidfd;
};

static void close_all(const struct start *s)
{
    if (s->region >= 0) close(s->region);
    if (s->ours >= 0) close(s->ours);
    if (s->theirs >= 0) close(s->theirs);
    if (s->pidfd >= 0) close(s->pidfd);
}

/* Until it has said that it is in its sandbox. */
static int wait_until_ready(const struct zygote *z, const struct start *s,
                            struct sandbox_posture *ret_posture, struct err *e)
{
    struct region region;
    struct pollfd socket = {.fd = s->ours, .events = POLLIN};
    char byte;
    int n;
    do {
        n = poll(&socket, 1, READY_MS);
    } while (n < 0 && errno == EINTR);
    bool ready = n == 1 && recv(s->ours, &byte, 1, MSG_DONTWAIT) == 1;
    int rc = region_map(s->region, z->options.helper.input_max, z->options.helper.output_max,
                        &region, e);
    if (rc < 0) return rc;
    *ret_posture = region.head->posture;
    if (!ready && region.head->outcome.code < 0)
        rc = err_set(e, region.head->outcome.code, "%s", region.head->outcome.text);
    else if (!ready)
        rc = err_set(e, -ECHILD, "a helper ended before it was ready, or took longer than %d s",
                     READY_MS / 1000);
    region_unmap(&region);
    return rc;
}

static int fork_helper(const struct zygote *z, unsigned number, const struct start *s, pid_t *ret)
{
    pid_t pid = fork();
    if (pid == 0)
        helper_main(&z->options.helper, number + 1, number >= z->options.foreground, s->region,
                    s->theirs);
    *ret = pid;
    return pid > 0 ? 0 : -errno;
}

static int start_helper(struct zygote *z, unsigned number, struct zygote_news *news)
{
    struct start s = {-1, -1, -1, -1};
    struct err *e = &news->error;
    int sockets[2];
    pid_t pid = 0;
    int rc = region_make(z->options.helper.input_max, z->options.helper.output_max, &s.region, e);
    if (rc < 0) goto out;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
        rc = err_set(e, -errno, "cannot make a socket for a helper: %s", err_text(-errno));
        goto out;
    }
    s.ours = sockets[0];
    s.theirs = sockets[1];
    rc = fork_helper(z, number, &s, &pid);
    if (rc < 0) {
        err_set(e, rc, "cannot fork a helper: %s", err_text(rc));
        goto out;
    }
    close(s.theirs); /* so that its end is seen */
    s.theirs = -1;
    s.pidfd = pidfd_open(pid, 0);
    if (s.pidfd < 0)
        rc = err_set(e, -errno, "cannot watch a helper: %s", err_text(-errno));
    else
        rc = wait_until_ready(z, &s, &news->posture, e);
    if (rc < 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        goto out;
    }
    z->charges[number].pid = news->pid = pid;
    news->event = ZYGOTE_STARTED;
    tell(z, news, (const int[ZYGOTE_FDS]){s.region, s.ours, s.pidfd});
    z->charges[number].region = s.region;
    s.region = -1;
out:
    close_all(&s);
    return rc;
}

static void put_off(struct charge *c)
{
    c->pause_ms = c->pause_ms == 0 ? PAUSE_MIN_MS : 2 * c->pause_ms;
    if (c->pause_ms > PAUSE_MAX_MS) c->pause_ms = PAUSE_MAX_MS;
    c->not_before_ns = clock_now() + c->pause_ms * CLOCK_MS;
}

/* Those that are missing and whose pause is over. The time until the next one's is. */
static int start_missing(struct zygote *z)
{
    int64_t next_ns = INT64_MAX;
    for (unsigned i = 0; i < z->n; i++) {
        struct charge *c = &z->charges[i];
        if (c->pid == 0 && c->not_before_ns <= clock_now()) {
            struct zygote_news news = {.event = ZYGOTE_FAILED, .number = i};
            c->stopped = false;
            if (start_helper(z, i, &news) < 0) {
                tell(z, &news, NULL);
                put_off(c);
            }
        }
        if (c->pid == 0 && c->not_before_ns < next_ns) next_ns = c->not_before_ns;
    }
    if (next_ns == INT64_MAX) return -1;
    int64_t wait_ns = next_ns - clock_now();
    return wait_ns > 0 ? (int)(wait_ns / CLOCK_MS) + 1 : 0;
}

/* ---- watching ---- */

/* Whether it has had a job. A helper may lie, and so have the next one started later. */
static bool has_begun(const struct charge *c)
{
    char begun = 0;
    ssize_t n = pread(c->region, &begun, 1, offsetof(struct region_head, begun));
    return n == 1 && begun != 0;
}

static void ended(struct zygote *z, unsigned number, const siginfo_t *info)
{
    struct charge *c = &z->charges[number];
    struct zygote_news news = {
        .event = ZYGOTE_ENDED,
        .number = number,
        .pid = c->pid,
        .stopped = c->stopped,
        .signal = info->si_code == CLD_EXITED ? 0 : info->si_status,
    };
    tell(z, &news, NULL);
    /* With 0 it ends when the daemon has let go of it, who could not take it, then. */
    bool let_go = info->si_code == CLD_EXITED && info->si_status == 0;
    if (let_go || !has_begun(c))
        put_off(c);
    else
        c->pause_ms = 0;
    close(c->region);
    c->pid = 0;
}

static unsigned charge_of(const struct zygote *z, pid_t pid)
{
    unsigned i = 0;
    while (i < z->n && z->charges[i].pid != pid) i++;
    return i;
}

/* A helper that was stopped would keep its job: it is given up at once. */
static void look_at_children(struct zygote *z)
{
    struct signalfd_siginfo ignored;
    siginfo_t info;
    while (read(z->children, &ignored, sizeof(ignored)) > 0) continue;
    for (;;) {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG) != 0 || info.si_pid == 0) return;
        unsigned number = charge_of(z, info.si_pid);
        if (number == z->n) continue;
        if (info.si_code == CLD_STOPPED || info.si_code == CLD_TRAPPED) {
            z->charges[number].stopped = true;
            kill(info.si_pid, SIGKILL);
        } else {
            ended(z, number, &info);
        }
    }
}

/* ---- life ---- */

static void __attribute__((noreturn)) end(const struct zygote *z, int code)
{
    for (unsigned i = 0; i < z->n; i++)
        if (z->charges[i].pid > 0) kill(z->charges[i].pid, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0) continue;
    _exit(code);
}

/* All signals wait: those that people send are the daemon's, and children are read about. A group
 * of its own, so that a terminal's do not reach it. */
static int settle(struct zygote *z)
{
    sigset_t all, child;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    signal(SIGCHLD, SIG_DFL);
    setpgid(0, 0);
    z->socket = fcntl(z->socket, F_DUPFD_CLOEXEC, 3);
    if (z->socket < 0 || dup3(z->socket, 3, O_CLOEXEC) < 0) return -errno;
    z->socket = 3;
    close(0);
    close(1);
    if (strcmp(AD_SANITIZER, "no") == 0) close(2);
    closefrom(4);
    title_set("decode", "autodidactd: starts the decoders");
    z->children = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
    return z->children < 0 ? -errno : 0;
}

static void __attribute__((noreturn)) zygote_main(struct zygote *z)
{
    if (settle(z) < 0) _exit(1);
    for (;;) {
        struct pollfd fds[2] = {{.fd = z->socket, .events = POLLIN},
                                {.fd = z->children, .events = POLLIN}};
        int timeout_ms = start_missing(z);
        if (poll(fds, 2, timeout_ms) < 0 && errno != EINTR) end(z, 1);
        if (fds[0].revents != 0) end(z, 0); /* it never says anything: it is gone */
        look_at_children(z);
    }
}

int zygote_start(const struct zygote_options *options, pid_t *ret_pid, int *ret_socket,
                 struct err *e)
{
    struct zygote z = {.options = *options, .n = options->foreground + options->background};
    int sockets[2];
    z.charges = mem_new(z.n, sizeof(*z.charges));
    if (z.charges == NULL) return err_set(e, -ENOMEM, "out of memory for the decoder");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
        int code = -errno;
        mem_free(z.charges);
        return err_set(e, code, "cannot make a socket for the decoder: %s", err_text(code));
    }
    z.socket = sockets[1];
    pid_t pid = fork();
    if (pid == 0) zygote_main(&z);
    int code = -errno;
    close(sockets[1]);
    mem_free(z.charges);
    if (pid < 0) {
        close(sockets[0]);
        return err_set(e, code, "cannot fork a process for the decoder: %s", err_text(code));
    }
    *ret_pid = pid;
    *ret_socket = sockets[0];
    return 0;
}
