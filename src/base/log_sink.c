/* The log's queue and thread.
 *
 * The queue is a ring of bytes, since lines end themselves; the thread takes whole lines out of it
 * into a buffer of its own and writes without the lock. Only the thread closes a file that it may
 * be writing to: a file that is opened waits beside it until it comes by. */
#include "config.h"

#include "base/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "log_line.h"

enum { RING_SIZE = 256 * 1024, CHUNK_SIZE = 32 * 1024 };
_Static_assert((int)CHUNK_SIZE >= (int)LOG_LINE_MAX, "every line fits");

static struct {
    pthread_mutex_t lock; /* leaf: guards what follows */
    pthread_cond_t wake;  /* the thread: there is something, or it is to end */
    pthread_cond_t rest;  /* who flushes: all is written, or the thread has ended */
    char *ring;
    size_t first, used;
    int next_fd; /* to be written to from now on, or -1 */
    bool stops, writes, ended;
    uint64_t told; /* of those that were lost */
    pthread_t thread;

    int fd; /* the thread's, or the main thread's where there is none */
    char path[PATH_MAX];
    atomic_bool has_thread;
    atomic_uint_fast64_t lost;
    atomic_size_t pending; /* bytes that are not written yet, for signal handlers */
} sink = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .rest = PTHREAD_COND_INITIALIZER,
          .next_fd = -1,
          .fd = STDERR_FILENO};

/* ---- writing ---- */

/* How much was written: less than all where that failed. */
static size_t write_all(int fd, const char *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = write(fd, data + done, size - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            /* Somebody who shares the terminal or pipe made it so. */
            struct pollfd pfd = {.fd = fd, .events = POLLOUT};
            poll(&pfd, 1, -1);
        } else if (n == 0 || errno != EINTR) {
            break;
        }
    }
    return done;
}

static size_t count_lines(const char *data, size_t size)
{
    size_t n = 0;
    for (const char *end = data + size; (data = memchr(data, '\n', (size_t)(end - data))) != NULL;
         data++)
        n++;
    return n;
}

static void change_fd(int fd)
{
    if (sink.fd > STDERR_FILENO) close(sink.fd);
    sink.fd = fd;
}

/* ---- the queue ---- */

static void put(const char *data, size_t size)
{
    size_t at = (sink.first + sink.used) % RING_SIZE;
    size_t most = RING_SIZE - at < size ? RING_SIZE - at : size;
    memcpy(sink.ring + at, data, most);
    memcpy(sink.ring, data + most, size - most);
    sink.used += size;
    atomic_fetch_add(&sink.pending, size);
}

/* Whole lines, as many as fit; there is at least one. */
static size_t take(char *chunk)
{
    size_t n = sink.used < CHUNK_SIZE ? sink.used : CHUNK_SIZE;
    size_t most = RING_SIZE - sink.first < n ? RING_SIZE - sink.first : n;
    memcpy(chunk, sink.ring + sink.first, most);
    memcpy(chunk + most, sink.ring, n - most);
    while (n > 0 && chunk[n - 1] != '\n') n--;
    sink.first = (sink.first + n) % RING_SIZE;
    sink.used -= n;
    return n;
}

/* With the lock. */
static void enqueue(enum log_level level, const char *line, size_t size)
{
    size_t room = level <= LOG_WARNING ? RING_SIZE : RING_SIZE / 4 * 3;
    if (sink.used > room || size > room - sink.used) {
        atomic_fetch_add(&sink.lost, 1);
        return;
    }
    put(line, size);
    pthread_cond_signal(&sink.wake);
}

/* With the lock. Only after something could be written, so that no message is about the loss of the
 * one before. */
static void tell_losses(void)
{
    static char line[LOG_LINE_MAX]; /* the thread's */
    char text[100];
    uint64_t lost = atomic_load(&sink.lost);
    if (lost == sink.told) return;
    snprintf(text, sizeof(text),
             "%llu lines of the log were lost: they could not be written in time",
             (unsigned long long)(lost - sink.told));
    sink.told = lost;
    enqueue(LOG_WARNING, line, log_line(line, LOG_WARNING, text));
}

static void *write_lines(void *arg)
{
    static char chunk[CHUNK_SIZE];
    bool torn = false; /* the last line ends in its middle */
    (void)arg;
    pthread_mutex_lock(&sink.lock);
    for (;;) {
        while (sink.used == 0 && sink.next_fd < 0 && !sink.stops)
            pthread_cond_wait(&sink.wake, &sink.lock);
        if (sink.next_fd >= 0) {
            change_fd(sink.next_fd);
            sink.next_fd = -1;
            torn = false;
        }
        if (sink.used == 0 && sink.stops) break;
        if (sink.used == 0) continue;
        size_t n = take(chunk);
        sink.writes = true;
        pthread_mutex_unlock(&sink.lock);
        size_t done = 0;
        if (!torn || write_all(sink.fd, "\n", 1) == 1) done = write_all(sink.fd, chunk, n);
        if (done > 0) torn = chunk[done - 1] != '\n';
        atomic_fetch_add(&sink.lost, count_lines(chunk + done, n - done));
        atomic_fetch_sub(&sink.pending, n);
        pthread_mutex_lock(&sink.lock);
        if (done == n) tell_losses();
        sink.writes = false;
        if (sink.used == 0) pthread_cond_broadcast(&sink.rest);
    }
    sink.ended = true;
    pthread_cond_broadcast(&sink.rest);
    pthread_mutex_unlock(&sink.lock);
    return NULL;
}

void log_sink_write(enum log_level level, const char *line, size_t size)
{
    if (!atomic_load(&sink.has_thread)) {
        if (write_all(sink.fd, line, size) < size) atomic_fetch_add(&sink.lost, 1);
        return;
    }
    pthread_mutex_lock(&sink.lock);
    enqueue(level, line, size);
    pthread_mutex_unlock(&sink.lock);
}

uint64_t log_sink_lost(void)
{
    return atomic_load(&sink.lost);
}

/* ---- files ---- */

static void use(int fd)
{
    if (!atomic_load(&sink.has_thread)) {
        change_fd(fd);
        return;
    }
    pthread_mutex_lock(&sink.lock);
    if (sink.next_fd > STDERR_FILENO) close(sink.next_fd); /* which it never came to */
    sink.next_fd = fd;
    pthread_cond_signal(&sink.wake);
    pthread_mutex_unlock(&sink.lock);
}

static int open_path(const char *path, struct err *e)
{
    if (path[0] == '\0') return STDERR_FILENO;
    /* A FIFO that nobody reads is an error, and nothing to wait for. */
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    return fd >= 0 ? fd : err_set(e, -errno, "cannot open %s: %s", path, err_text(-errno));
}

int log_sink_open(const char *path, struct err *e)
{
    if (strlen(path) >= sizeof(sink.path)) return err_set(e, -ENAMETOOLONG, "the path is too long");
    int fd = open_path(path, e);
    if (fd < 0) return fd;
    strcpy(sink.path, path);
    use(fd);
    return 0;
}

int log_sink_reopen(struct err *e)
{
    int fd = open_path(sink.path, e);
    if (fd < 0) return fd;
    use(fd);
    return 0;
}

bool log_sink_has_file(void)
{
    return sink.path[0] != '\0';
}

bool log_sink_is_terminal(void)
{
    return !log_sink_has_file() && isatty(STDERR_FILENO) == 1;
}

/* ---- the thread's life ---- */

int log_sink_start(struct err *e)
{
    sigset_t all, before;
    if (atomic_load(&sink.has_thread)) return 0;
    sink.ring = mem_new(RING_SIZE, 1);
    if (sink.ring == NULL) return err_set(e, -ENOMEM, "out of memory for the log");
    sink.first = sink.used = 0;
    sink.stops = sink.ended = false;
    sigfillset(&all); /* signals are for the loop's thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = -pthread_create(&sink.thread, NULL, write_lines, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc < 0) {
        mem_free(sink.ring);
        return err_set(e, rc, "cannot start the log's thread: %s", err_text(rc));
    }
    pthread_setname_np(sink.thread, "log");
    atomic_store(&sink.has_thread, true);
    return 0;
}

/* With the lock. Whether it came true: nothing left, or, with `ended`, the thread gone. */
static bool wait_for(bool ended, int64_t timeout_ns)
{
    int64_t end = clock_now() + timeout_ns;
    const struct timespec until = {.tv_sec = (time_t)(end / CLOCK_SECOND),
                                   .tv_nsec = (long)(end % CLOCK_SECOND)};
    int rc = 0;
    while (rc == 0 && (ended ? !sink.ended : sink.used > 0 || sink.writes))
        rc = pthread_cond_clockwait(&sink.rest, &sink.lock, CLOCK_MONOTONIC, &until);
    return rc == 0;
}

bool log_sink_flush(int64_t timeout_ns)
{
    if (!atomic_load(&sink.has_thread)) return true;
    pthread_mutex_lock(&sink.lock);
    bool done = wait_for(false, timeout_ns);
    pthread_mutex_unlock(&sink.lock);
    return done;
}

void log_sink_stop(int64_t timeout_ns)
{
    if (!atomic_load(&sink.has_thread)) return;
    pthread_mutex_lock(&sink.lock);
    sink.stops = true;
    pthread_cond_signal(&sink.wake);
    bool ended = wait_for(true, timeout_ns);
    pthread_mutex_unlock(&sink.lock);
    if (!ended) return; /* it hangs in a write(), and with the process it ends */
    pthread_join(sink.thread, NULL);
    atomic_store(&sink.has_thread, false);
    mem_free(sink.ring);
    sink.ring = NULL;
}

/* ---- crashes ---- */

/* Only what may be called in a signal handler; the disposition has been reset. */
static void on_crash(int number)
{
    enum { TRIES = 20, PAUSE_NS = 10000000 };
    for (int i = 0; i < TRIES && atomic_load(&sink.pending) > 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    raise(number);
}

void log_sink_outlive_crashes(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sigaction action;
        if (sigaction(numbers[i], NULL, &action) != 0 || action.sa_handler != SIG_DFL) continue;
        action = (struct sigaction){.sa_handler = on_crash, .sa_flags = SA_RESETHAND};
        sigaction(numbers[i], &action, NULL);
    }
}
