/* See helper.h. What it does before the sandbox is to let go of all that it has of the daemon. */
#include "config.h"

#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/slice.h"
#include "base/title.h"
#include "region.h"

enum {
    SOCKET = 0,
    NICENESS = 10,           /* more than the daemon's in the background: a tenth of what it gets */
    MAPPED_FROM = 128 << 10, /* blocks that go back to the system when they are freed */
    SPARE_BYTES = 128 << 20, /* for resizing, and what malloc keeps */
};

static bool is_sanitized(void)
{
    return strcmp(AD_SANITIZER, "no") != 0;
}

static int close_others(int *region, int socket)
{
    /* The region's place must not be one of those that are about to be exchanged. */
    int high = fcntl(*region, F_DUPFD, 3);
    if (high < 0 || dup2(socket, SOCKET) < 0) return -errno;
    if (dup2(high, 3) < 0) return -errno;
    *region = 3;
    close(1);
    if (!is_sanitized()) close(2); /* else for reports */
    closefrom(4);
    return 0;
}

/* No handler of the daemon's may run here. Ctrl-C and a service manager's SIGTERM are its own: it
 * finishes what it has begun. */
static void settle_signals(void)
{
    static const int ignored[] = {SIGTERM, SIGINT,  SIGQUIT, SIGHUP,  SIGUSR1,
                                  SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU, SIGALRM};
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int i = 1; i < NSIG; i++) sigaction(i, &action, NULL);
    action.sa_handler = SIG_IGN;
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        sigaction(ignored[i], &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* When memory runs out, a helper is less than the daemon. */
static void offer_to_oom_killer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t ignored = write(fd, "1000", 4);
    (void)ignored;
    close(fd);
}

static int prepare(const struct helper_options *options, unsigned number, bool background,
                   struct region_head *head)
{
    char name[16], title[64];
    snprintf(name, sizeof(name), "decode %u", number);
    snprintf(title, sizeof(title), "autodidactd: decode %u%s", number,
             background ? " (background)" : "");
    title_set(name, title);
    settle_signals();
    offer_to_oom_killer();
    if (background)
        setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + NICENESS);
    else
        slice_set(SLICE_SHORT_NS);
    mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
    mallopt(M_TRIM_THRESHOLD, MAPPED_FROM);
    size_t memory = options->memory_max / 4 * 5 + SPARE_BYTES;
    return sandbox_enter(memory, &head->posture, &head->outcome);
}

static bool is_to_stop(void *arg)
{
    const struct region_head *head = arg;
    return atomic_load(&head->stop);
}

static bool say_done(void)
{
    return write(SOCKET, "", 1) == 1;
}

static bool wait_for_job(void)
{
    char byte;
    ssize_t n;
    do {
        n = read(SOCKET, &byte, 1);
    } while (n < 0 && errno == EINTR);
    return n == 1;
}

void helper_main(const struct helper_options *options, unsigned number, bool background, int fd,
                 int socket)
{
    struct region region;
    struct arena *scratch = NULL;
    if (close_others(&fd, socket) < 0 ||
        region_map(fd, options->input_max, options->output_max, &region, NULL) < 0)
        _exit(1);
    close(fd);
    struct region_head *head = region.head;
    if (prepare(options, number, background, head) < 0) _exit(1);
    const struct decode_stop stop = {is_to_stop, head};
    for (bool goes_on = say_done(); goes_on && wait_for_job(); goes_on = say_done()) {
        const struct decode_work work = head->work;
        int64_t start = clock_now(), cpu_start = clock_cpu();
        atomic_store(&head->begun, true);
        head->outcome.code = 0;
        decode_run(&work, region.input, region.output, &scratch, &stop, &head->outcome);
        head->cpu_ns = clock_cpu() - cpu_start;
        head->took_ns = clock_now() - start;
    }
    _exit(0);
}
