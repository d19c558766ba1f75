/* Child processes.
 *
 * uv_spawn() cannot set a parent-death signal, priority or OOM score before the program starts, so
 * the child is made here: vfork(), which neither copies the page tables of a large process nor runs
 * the fork handlers of OpenBLAS, then system calls only, then execve(). An error on the way comes
 * back through a pipe that a successful execve() closes. SIGCHLD is libuv's; the pid is waited for
 * by number, so that other children of the program are left alone. */
#include "config.h"

#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lines.h"

struct child {
    pid_t pid;
    struct child_calls calls;
    void *arg;
    int out_fd; /* the reading end of its stdout */
    uv_poll_t out;
    uv_signal_t sigchld;
    struct lines lines;
    char bytes[16 << 10];
    bool out_ended, exited;
    int open_handles;
    int exit_code, signal;
};

/* ---- the way into the new program ---- */

struct start {
    const struct child_options *options;
    int null, out, log, failure; /* descriptors */
    pid_t parent;
};

/* Runs in the child, on the parent's memory: system calls only, nothing may be changed. */
static void __attribute__((noreturn)) enter(const struct start *s)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != s->parent) _exit(127); /* the parent died before the line above */
    const struct sched_param none_asked = {.sched_priority = 0};
    /* Either way the slice of the thread that forked is not inherited. */
    sched_setscheduler(0, s->options->idle ? SCHED_IDLE : SCHED_OTHER, &none_asked);
    setpriority(PRIO_PROCESS, 0, s->options->niceness);
    int oom = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (oom >= 0) {
        ssize_t ignored = write(oom, "1000", 4);
        (void)ignored;
        close(oom);
    }
    umask(077);
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    if (dup2(s->null, 0) >= 0 && dup2(s->out, 1) >= 0 && dup2(s->log, 2) >= 0 &&
        chdir(s->options->directory) == 0) {
        struct sigaction action = {.sa_handler = SIG_DFL};
        for (int i = 1; i < NSIG; i++) sigaction(i, &action, NULL);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execve(s->options->argv[0], (char *const *)(uintptr_t)s->options->argv, environ);
    }
    int why = errno;
    ssize_t ignored = write(s->failure, &why, sizeof(why));
    (void)ignored;
    _exit(127);
}

static pid_t __attribute__((noinline)) fork_child(const struct start *s)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* no handler of ours may run in the child */
    pid_t pid = vfork();
    if (pid == 0) enter(s);
    int why = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = why;
    return pid;
}

static int spawn(const struct child_options *options, int out, pid_t *ret_pid)
{
    struct start s = {options, -1, out, -1, -1, getpid()};
    int failure[2] = {-1, -1}, rc = 0, why = 0;
    s.null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    s.log = open(options->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s.null < 0 || s.log < 0 || pipe2(failure, O_CLOEXEC) < 0) {
        rc = -errno;
        goto end;
    }
    s.failure = failure[1];
    pid_t pid = fork_child(&s);
    if (pid < 0) {
        rc = -errno;
        goto end;
    }
    close(failure[1]);
    failure[1] = -1;
    ssize_t n;
    do {
        n = read(failure[0], &why, sizeof(why));
    } while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof(why)) {
        rc = why > 0 ? -why : -EIO;
        waitpid(pid, NULL, 0);
    } else {
        *ret_pid = pid;
    }
end:
    if (s.null >= 0) close(s.null);
    if (s.log >= 0) close(s.log);
    if (failure[0] >= 0) close(failure[0]);
    if (failure[1] >= 0) close(failure[1]);
    return rc;
}

/* ---- following it ---- */

/* The descriptor is ours and not a uv_pipe's, so that it is closed where tools that watch threads
 * see it. */
static void handle_closed(uv_handle_t *handle)
{
    struct child *child = handle->data;
    if (--child->open_handles > 0) return;
    close(child->out_fd);
    mem_free(child);
}

static void close_handles(struct child *child)
{
    uv_close((uv_handle_t *)&child->out, handle_closed);
    uv_close((uv_handle_t *)&child->sigchld, handle_closed);
}

static void check_end(struct child *child)
{
    if (!child->out_ended || !child->exited) return;
    child->calls.ended(child->arg, child->exit_code, child->signal);
    close_handles(child);
}

static void hand_on_line(void *arg, const char *text, size_t size)
{
    struct child *child = arg;
    child->calls.line(child->arg, text, size);
}

/* One buffer a turn: a child that prints without end does not hold the loop. */
static void on_readable(uv_poll_t *handle, int status, int events)
{
    (void)events;
    struct child *child = handle->data;
    ssize_t n = status < 0 ? 0 : read(child->out_fd, child->bytes, sizeof(child->bytes));
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n > 0) {
        lines_feed(&child->lines, child->bytes, (size_t)n, hand_on_line, child);
        return;
    }
    uv_poll_stop(handle);
    lines_end(&child->lines, hand_on_line, child);
    child->out_ended = true;
    check_end(child);
}

static void on_sigchld(uv_signal_t *handle, int number)
{
    (void)number;
    struct child *child = handle->data;
    siginfo_t info = {0};
    int status;
    if (child->exited || waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
        info.si_pid == 0) {
        return;
    }
    /* Its own children hold its stdout. They go while the pid, not waited for yet, cannot be
     * another's. */
    kill(-child->pid, SIGKILL);
    if (waitpid(child->pid, &status, 0) < 0) status = 0;
    child->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    child->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    child->exited = true;
    check_end(child);
}

int child_start(struct loop *loop, const struct child_options *options,
                const struct child_calls *calls, void *arg, struct child **ret_child, struct err *e)
{
    int out[2] = {-1, -1};
    struct child *child = mem_new(1, sizeof(*child));
    int rc = child == NULL ? -ENOMEM : pipe2(out, O_CLOEXEC) < 0 ? -errno : 0;
    /* Makes it non-blocking; our end alone. */
    if (rc == 0) rc = uv_poll_init(loop_uv(loop), &child->out, out[0]);
    if (rc < 0) {
        if (out[0] >= 0) close(out[0]);
        mem_free(child);
        goto out;
    }
    child->calls = *calls;
    child->arg = arg;
    child->out_fd = out[0];
    child->out.data = child->sigchld.data = child;
    lines_init(&child->lines);
    child->open_handles = 1;
    rc = uv_signal_init(loop_uv(loop), &child->sigchld);
    if (rc < 0) {
        uv_close((uv_handle_t *)&child->out, handle_closed);
        goto out;
    }
    child->open_handles = 2;
    /* Before there is anything to miss. */
    rc = uv_signal_start(&child->sigchld, on_sigchld, SIGCHLD);
    if (rc == 0) rc = uv_poll_start(&child->out, UV_READABLE, on_readable);
    if (rc == 0) rc = spawn(options, out[1], &child->pid);
    if (rc < 0) close_handles(child);
out:
    if (out[1] >= 0) close(out[1]);
    if (rc < 0) return err_set(e, rc, "cannot start %s: %s", options->argv[0], err_text(rc));
    *ret_child = child;
    return 0;
}

void child_signal(struct child *child, int number)
{
    if (!child->exited) kill(-child->pid, number);
}

long child_pid(const struct child *child)
{
    return (long)child->pid;
}
