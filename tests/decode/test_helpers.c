/* Helpers that decode, and what becomes of jobs when one crashes, is killed or stopped, when a job
 * is given up or its time is over, when the zygote dies, or the daemon: every job is answered once,
 * the others go on, a helper that is lost is replaced. */
#include "config.h"

#include "decode/decoder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <seccomp.h>
#include <zlib.h>

#include "../image/vectors.h"
#include "base/clock.h"
#include "base/mem.h"

enum {
    SIDE = 8,
    FLOATS = SIDE * SIDE * 3,
    INPUT_MAX = 1 << 20,
    PIDS_MAX = 64,
    PATIENCE_MS = 60000, /* for what comes at once, on a machine that is busy */
    LARGE_SIDE = 6000,
};

static const bool is_sanitized = sizeof(AD_SANITIZER) != sizeof("no");

/* ---- jobs ---- */

struct test_job {
    struct decode_job job;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int done;
    float output[FLOATS];
};

static void on_done(struct decode_job *job)
{
    struct test_job *t = job->owner;
    pthread_mutex_lock(&t->lock);
    t->done++;
    pthread_cond_broadcast(&t->cond);
    pthread_mutex_unlock(&t->lock);
}

static void job_init(struct test_job *t, const void *input, size_t size)
{
    *t = (struct test_job){
        .job = {.work = {.kind = INPUT_ENCODED,
                         .input_bytes = size,
                         .limits = image_limits_default,
                         .preprocess = {.width = SIDE, .height = SIDE, .std = {1, 1, 1}}},
                .input = input,
                .output = t->output,
                .done = on_done,
                .owner = t},
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .cond = PTHREAD_COND_INITIALIZER,
    };
}

static int job_wait(struct test_job *t)
{
    pthread_mutex_lock(&t->lock);
    while (t->done == 0) pthread_cond_wait(&t->cond, &t->lock);
    pthread_mutex_unlock(&t->lock);
    assert_int_equal(t->done, 1);
    return t->job.status;
}

static int job_run(struct decoder *decoder, struct test_job *t)
{
    decoder_submit(decoder, &t->job);
    return job_wait(t);
}

/* A grey PNG that takes a good part of a second to decode, and cannot be interrupted. */
static uint8_t *large_png(size_t *ret_size)
{
    static const uint8_t head[] = {137, 'P', 'N', 'G', '\r', '\n', 26, '\n'};
    const size_t row = LARGE_SIDE + 1, raw = row * LARGE_SIDE;
    uLongf packed = compressBound(raw);
    uint8_t *pixels = calloc(raw, 1), *png = malloc(packed + 100), *at = png;
    assert_non_null(pixels);
    assert_non_null(png);
    struct {
        const char *type;
        const uint8_t *data;
        size_t size;
    } chunks[3] = {{"IHDR", NULL, 13}, {"IDAT", NULL, 0}, {"IEND", NULL, 0}};
    const uint8_t header[13] = {
        0, 0, LARGE_SIDE >> 8, LARGE_SIDE & 255, 0, 0, LARGE_SIDE >> 8, LARGE_SIDE & 255, 8};
    for (size_t i = 0; i < raw; i++) pixels[i] = i % row == 0 ? 0 : (uint8_t)(i >> 7);
    uint8_t *data = malloc(packed);
    assert_int_equal(compress2(data, &packed, pixels, raw, 1), Z_OK);
    chunks[0].data = header;
    chunks[1].data = data;
    chunks[1].size = packed;
    memcpy(at, head, sizeof(head));
    at += sizeof(head);
    for (int c = 0; c < 3; c++) {
        uint32_t size = (uint32_t)chunks[c].size;
        for (int b = 0; b < 4; b++) at[b] = (uint8_t)(size >> (24 - 8 * b));
        memcpy(at + 4, chunks[c].type, 4);
        if (size > 0) memcpy(at + 8, chunks[c].data, size);
        uint32_t sum = (uint32_t)crc32(0, at + 4, size + 4);
        for (int b = 0; b < 4; b++) at[8 + size + b] = (uint8_t)(sum >> (24 - 8 * b));
        at += 12 + size;
    }
    *ret_size = (size_t)(at - png);
    free(pixels);
    free(data);
    return png;
}

/* ---- processes ---- */

static void pause_ms(long ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

struct process {
    char name[32], state;
    pid_t parent;
    unsigned long ticks; /* of processor time */
};

/* /proc/PID/stat; the name stands in brackets. */
static bool read_stat(pid_t pid, struct process *ret)
{
    char path[64], line[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    bool ok = fgets(line, sizeof(line), file) != NULL;
    fclose(file);
    char *open = ok ? strchr(line, '(') : NULL, *close = ok ? strrchr(line, ')') : NULL;
    if (open == NULL || close == NULL) return false;
    snprintf(ret->name, sizeof(ret->name), "%.*s", (int)(close - open - 1), open + 1);
    return sscanf(close + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu", &ret->state,
                  &ret->parent, &ret->ticks) == 3;
}

/* Living children; of those with a name that begins so. */
static size_t children_of(pid_t parent, const char *prefix, pid_t pids[PIDS_MAX])
{
    size_t n = 0;
    DIR *proc = opendir("/proc");
    assert_non_null(proc);
    for (struct dirent *entry; (entry = readdir(proc)) != NULL && n < PIDS_MAX;) {
        struct process p;
        pid_t pid = atoi(entry->d_name);
        if (!isdigit((unsigned char)entry->d_name[0]) || !read_stat(pid, &p)) continue;
        if (p.parent == parent && p.state != 'Z' && strncmp(p.name, prefix, strlen(prefix)) == 0)
            pids[n++] = pid;
    }
    closedir(proc);
    return n;
}

static pid_t zygote_of(pid_t daemon)
{
    pid_t pids[PIDS_MAX];
    assert_int_equal(children_of(daemon, "decode", pids), 1);
    return pids[0];
}

/* Helpers have names with numbers: of all, or of one. 0: there is none now. */
static pid_t helper(unsigned number)
{
    pid_t pids[PIDS_MAX];
    char name[16];
    snprintf(name, sizeof(name), "decode %u", number);
    return children_of(zygote_of(getpid()), name, pids) > 0 ? pids[0] : 0;
}

static void wait_for_new(unsigned number, pid_t old)
{
    for (int ms = 0; ms < PATIENCE_MS; ms += 5, pause_ms(5)) {
        pid_t now = helper(number);
        if (now != 0 && now != old) return;
    }
    fail_msg("helper %u is not replaced", number);
}

/* ---- the decoder ---- */

struct fixture {
    struct decoder *decoder;
    struct metrics *metrics;
    uint8_t *small, *large;
    size_t small_size, large_size;
    atomic_int reports;
    char last_report[600];
};

static void on_report(void *arg, const char *message)
{
    struct fixture *f = arg;
    snprintf(f->last_report, sizeof(f->last_report), "%s", message);
    atomic_fetch_add(&f->reports, 1);
}

static struct decoder_options options_of(unsigned seats)
{
    return (struct decoder_options){.foreground = seats,
                                    .background = 1,
                                    .time_max_ns = 600 * CLOCK_SECOND,
                                    .sandbox = true,
                                    .input_max = INPUT_MAX,
                                    .output_max = FLOATS * sizeof(float),
                                    .memory_max = image_limits_default.memory_max};
}

static void start(struct fixture *f, unsigned seats, int64_t time_max_ns)
{
    struct decoder_options options = options_of(seats);
    struct err e = {.code = 0};
    if (time_max_ns > 0) options.time_max_ns = time_max_ns;
    options.report = on_report;
    options.report_arg = f;
    atomic_store(&f->reports, 0);
    f->metrics = metrics_new();
    if (decoder_new(&options, f->metrics, &f->decoder, &e) < 0) fail_msg("%s", e.text);
}

static void stop(struct fixture *f)
{
    decoder_free(f->decoder);
    metrics_free(f->metrics);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left */
}

static int set_up(void **state)
{
    static struct fixture f;
    f.small = vector_read("rgb8.png", &f.small_size);
    f.large = large_png(&f.large_size);
    *state = &f;
    return f.large_size <= INPUT_MAX ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    mem_free(f->small);
    free(f->large);
    return 0;
}

/* The line of a metric that begins so. */
static double metric_of(struct fixture *f, const char *line)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    assert_int_equal(metrics_render(f->metrics, &text), 0);
    const char *at = strstr(buf_text(&text), line);
    if (at == NULL) fail_msg("no %s", line);
    double value = atof(at + strlen(line));
    buf_release(&text);
    return value;
}

static void wait_for_metric(struct fixture *f, const char *line, double value)
{
    for (int ms = 0; ms < PATIENCE_MS && metric_of(f, line) < value; ms += 5) pause_ms(5);
    if (metric_of(f, line) != value) fail_msg("%s%g, not %g", line, metric_of(f, line), value);
}

#define LOST(reason) "\nautodidact_decode_helpers_lost_total{reason=\"" reason "\"} "

/* A large job in the background, which helper 2 is busy with when this returns. */
static void begin_large(struct fixture *f, struct test_job *t)
{
    struct process before, now;
    pid_t pid = helper(2);
    job_init(t, f->large, f->large_size);
    t->job.background = true;
    assert_true(read_stat(pid, &before));
    decoder_submit(f->decoder, &t->job);
    do {
        pause_ms(2);
        assert_true(read_stat(pid, &now));
    } while (now.ticks < before.ticks + 2);
}

static void check_small(struct fixture *f)
{
    struct test_job t;
    job_init(&t, f->small, f->small_size);
    if (job_run(f->decoder, &t) != 0) fail_msg("%s", t.job.error.text);
}

static void check_replaced(struct fixture *f, pid_t old)
{
    struct test_job t;
    wait_for_new(2, old);
    job_init(&t, f->small, f->small_size);
    t.job.background = true;
    if (job_run(f->decoder, &t) != 0) fail_msg("%s", t.job.error.text);
    check_small(f);
}

/* ---- tests ---- */

/* Good and bad images alike. */
static void they_do_what_the_daemon_would(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"rgb8.png",  "grey.jpg",     "cmyk.jpg", "arithmetic.jpg",
                                        "grey1.png", "bad_zlib.png", "cut.jpg",  "bomb.png"};
    struct decoder *here;
    start(f, 1, 0);
    struct decoder_options options = options_of(1);
    options.sandbox = false;
    assert_int_equal(decoder_new(&options, NULL, &here, NULL), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct test_job a, b;
        size_t size;
        uint8_t *bytes = vector_read(names[i], &size);
        job_init(&a, bytes, size);
        job_init(&b, bytes, size);
        decode_job_run(f->decoder, &a.job);
        decode_job_run(here, &b.job);
        assert_int_equal(a.job.status, b.job.status);
        assert_int_equal(a.job.error.code, b.job.error.code);
        if (a.job.status < 0) assert_string_equal(a.job.error.text, b.job.error.text);
        if (a.job.status == 0) assert_memory_equal(a.output, b.output, sizeof(a.output));
        if (a.job.status == 0) assert_true(a.job.cpu_ns > 0);
        mem_free(bytes);
    }
    assert_non_null(strstr(decoder_posture(f->decoder), "seccomp"));
    assert_non_null(strstr(decoder_posture(here), "without"));
    decoder_free(here);
    stop(f);
}

static void what_does_not_fit_is_refused(void **state)
{
    struct fixture *f = *state;
    struct test_job t;
    uint8_t *much = calloc(INPUT_MAX + 1, 1);
    start(f, 1, 0);
    job_init(&t, much, INPUT_MAX + 1);
    assert_int_equal(job_run(f->decoder, &t), ERR_LIMIT);
    job_init(&t, f->small, f->small_size);
    t.job.work.preprocess.width = SIDE + 1;
    assert_int_equal(job_run(f->decoder, &t), ERR_LIMIT);
    check_small(f);
    stop(f);
    free(much);
}

/* What the kernel says of one: it has given up everything, and has its job's socket and no other
 * descriptor. */
static void they_are_in_the_sandbox(void **state)
{
    struct fixture *f = *state;
    static const char *const lines[] = {"Seccomp:\t2", "NoNewPrivs:\t1", "Threads:\t1",
                                        "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"};
    char path[64], status[4096], entry[32];
    start(f, 2, 0);
    for (unsigned number = 1; number <= 3; number++) {
        snprintf(path, sizeof(path), "/proc/%d/status", (int)helper(number));
        FILE *file = fopen(path, "re");
        assert_non_null(file);
        status[fread(status, 1, sizeof(status) - 1, file)] = '\0';
        fclose(file);
        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
            if (is_sanitized && i == 2) continue; /* which has a thread of its own */
            if (geteuid() != 0 && i == 4) continue;
            if (strstr(status, lines[i]) == NULL) fail_msg("not %s:\n%s", lines[i], status);
        }
        snprintf(path, sizeof(path), "/proc/%d/fd", (int)helper(number));
        DIR *fds = opendir(path);
        if (fds == NULL && geteuid() != 0) continue; /* it is not dumpable */
        assert_non_null(fds);
        for (struct dirent *fd; (fd = readdir(fds)) != NULL;) {
            snprintf(entry, sizeof(entry), "%.20s", fd->d_name);
            if (is_sanitized && strcmp(entry, "2") == 0) continue;
            if (entry[0] != '.' && strcmp(entry, "0") != 0) fail_msg("descriptor %s", entry);
        }
        closedir(fds);
    }
    stop(f);
}

/* One is ended in the middle of a job by a signal: a small job beside it goes on, and so does what
 * comes next. */
static void end_in_the_middle(struct fixture *f, int signal, int want, const char *lost)
{
    struct test_job t;
    start(f, 1, 0);
    pid_t pid = helper(2);
    begin_large(f, &t);
    assert_int_equal(t.done, 0);
    kill(pid, signal);
    check_small(f);
    if (job_wait(&t) != want) fail_msg("%d, not %d: %s", t.job.status, want, t.job.error.text);
    assert_int_equal(t.job.error.code, want);
    wait_for_metric(f, lost, 1);
    check_replaced(f, pid);
    assert_true(metric_of(f, "\nautodidact_decode_helpers ") == 2);
    assert_true(metric_of(f, "\nautodidact_decode_helpers_started_total ") == 3);
    assert_int_equal(atomic_load(&f->reports), 1);
    assert_true(decoder_is_able(f->decoder));
    stop(f);
}

static void a_crash_costs_its_job(void **state)
{
    end_in_the_middle(*state, SIGSEGV, ERR_FORMAT, LOST("crash"));
}

static void a_forbidden_call_costs_its_job(void **state)
{
    end_in_the_middle(*state, SIGSYS, ERR_FORMAT, LOST("forbidden"));
}

static void one_that_is_killed_costs_its_job(void **state)
{
    end_in_the_middle(*state, SIGKILL, ERR_BUSY, LOST("killed"));
}

static void one_that_is_stopped_costs_its_job(void **state)
{
    end_in_the_middle(*state, SIGSTOP, ERR_BUSY, LOST("stopped"));
}

/* What people send to a group, and a terminal or a service manager to all. */
static void signals_that_are_the_daemons_do_nothing(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP};
    struct fixture *f = *state;
    struct test_job t;
    start(f, 1, 0);
    pid_t pid = helper(2);
    begin_large(f, &t);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        kill(zygote_of(getpid()), signals[i]);
        kill(pid, signals[i]);
    }
    assert_int_equal(job_wait(&t), 0);
    assert_int_equal(helper(2), pid);
    stop(f);
}

/* One that ended between two jobs costs none. */
static void one_that_ended_idle_costs_nothing(void **state)
{
    struct fixture *f = *state;
    start(f, 1, 0);
    for (int i = 0; i < 5; i++) {
        pid_t pid = helper(1);
        kill(pid, SIGKILL);
        check_small(f);
        wait_for_new(1, pid);
    }
    wait_for_metric(f, LOST("killed"), 5);
    stop(f);
}

/* Whoever kills one that has done nothing yet would kill the next one as well. */
static void those_killed_on_sight_come_more_slowly(void **state)
{
    struct fixture *f = *state;
    start(f, 1, 0);
    int kills = 0;
    for (int64_t end = clock_now() + 2 * CLOCK_SECOND; clock_now() < end; pause_ms(1)) {
        pid_t pid = helper(2);
        if (pid != 0 && kill(pid, SIGKILL) == 0) kills++;
    }
    assert_true(kills > 0);
    /* Pauses of 10, 20 .. 1280 ms; without them hundreds are started. */
    assert_true(metric_of(f, "\nautodidact_decode_helpers_started_total ") <= 2 + 8);
    check_replaced(f, 0);
    stop(f);
}

static void a_deadline_ends_it(void **state)
{
    struct fixture *f = *state;
    struct test_job t;
    start(f, 1, 0);
    pid_t pid = helper(2);
    job_init(&t, f->large, f->large_size);
    t.job.background = true;
    t.job.deadline_ns = clock_now() + 10 * CLOCK_MS;
    assert_int_equal(job_run(f->decoder, &t), ERR_DEADLINE);
    wait_for_metric(f, LOST("deadline"), 1);
    check_replaced(f, pid);
    /* Over before it begins: nobody is lost. */
    job_init(&t, f->small, f->small_size);
    t.job.deadline_ns = clock_now();
    assert_int_equal(job_run(f->decoder, &t), ERR_DEADLINE);
    wait_for_metric(f, LOST("deadline"), 1);
    stop(f);
}

static void the_time_limit_ends_it(void **state)
{
    struct fixture *f = *state;
    struct test_job t;
    start(f, 1, 20 * CLOCK_MS);
    job_init(&t, f->large, f->large_size);
    t.job.background = true;
    assert_int_equal(job_run(f->decoder, &t), ERR_BUSY);
    wait_for_metric(f, LOST("timeout"), 1);
    stop(f);
}

static void cancelling_ends_it(void **state)
{
    struct fixture *f = *state;
    struct test_job first, second;
    start(f, 1, 0);
    pid_t pid = helper(2);
    begin_large(f, &first);
    job_init(&second, f->large, f->large_size); /* waits for the seat */
    second.job.background = true;
    decoder_submit(f->decoder, &second.job);
    decoder_cancel(f->decoder, &second.job);
    decoder_cancel(f->decoder, &first.job);
    assert_int_equal(job_wait(&first), ERR_CANCELLED);
    assert_int_equal(job_wait(&second), ERR_CANCELLED);
    wait_for_metric(f, LOST("cancelled"), 1);
    check_replaced(f, pid);
    stop(f);
}

/* Jobs of four threads, and somebody who kills at random: every job is answered once, by a result
 * or by what says that its helper was ended. */
enum { STORM_JOBS = 400, STORM_THREADS = 4 };

struct storm {
    struct fixture *fixture;
    unsigned seed;
    int good, lost, others;
};

static void *submit_many(void *arg)
{
    struct storm *s = arg;
    for (int i = 0; i < STORM_JOBS / STORM_THREADS; i++) {
        struct test_job t;
        job_init(&t, s->fixture->small, s->fixture->small_size);
        t.job.background = rand_r(&s->seed) % 4 == 0;
        if (rand_r(&s->seed) % 8 == 0) t.job.deadline_ns = clock_now() + CLOCK_SECOND / 10000;
        if (rand_r(&s->seed) % 2 == 0)
            job_run(s->fixture->decoder, &t);
        else
            decode_job_run(s->fixture->decoder, &t.job);
        s->good += t.job.status == 0;
        s->lost +=
            t.job.status == ERR_BUSY || t.job.status == ERR_FORMAT || t.job.status == ERR_DEADLINE;
        s->others += t.job.status != 0 && t.job.error.code != t.job.status;
    }
    return NULL;
}

static void every_job_is_answered_once(void **state)
{
    struct fixture *f = *state;
    struct storm storms[STORM_THREADS];
    pthread_t threads[STORM_THREADS];
    unsigned seed = 7;
    start(f, 2, 0);
    for (int i = 0; i < STORM_THREADS; i++) {
        storms[i] = (struct storm){.fixture = f, .seed = (unsigned)i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, &storms[i]), 0);
    }
    for (int i = 0; i < 40; i++) {
        static const int signals[] = {SIGKILL, SIGSEGV, SIGSTOP, SIGABRT};
        pid_t pid = helper(1 + (unsigned)rand_r(&seed) % 3);
        if (pid > 0) kill(pid, signals[rand_r(&seed) % 4]);
        pause_ms(5);
    }
    int answered = 0;
    for (int i = 0; i < STORM_THREADS; i++) {
        pthread_join(threads[i], NULL);
        answered += storms[i].good + storms[i].lost;
        assert_int_equal(storms[i].others, 0);
    }
    assert_int_equal(answered, STORM_JOBS);
    wait_for_metric(f, "\nautodidact_decode_helpers ", 3);
    check_small(f);
    stop(f);
}

/* Those that it has started go on; then there are none. */
static void without_the_zygote_the_others_go_on(void **state)
{
    struct fixture *f = *state;
    struct test_job t;
    pid_t helpers[PIDS_MAX];
    start(f, 1, 0);
    pid_t zygote = zygote_of(getpid());
    size_t n = children_of(zygote, "decode", helpers);
    assert_int_equal(n, 2);
    kill(zygote, SIGKILL);
    for (int ms = 0; ms < PATIENCE_MS && atomic_load(&f->reports) == 0; ms += 5) pause_ms(5);
    assert_non_null(strstr(f->last_report, "start the daemon anew"));
    for (int i = 0; i < 10; i++) check_small(f);
    assert_true(decoder_is_able(f->decoder));
    for (size_t i = 0; i < n; i++) kill(helpers[i], SIGKILL);
    job_init(&t, f->small, f->small_size);
    for (int i = 0; i < 3; i++) { /* the first may find out by losing its job */
        job_init(&t, f->small, f->small_size);
        assert_int_equal(job_run(f->decoder, &t), ERR_BUSY);
    }
    assert_non_null(strstr(t.job.error.text, "no process"));
    assert_false(decoder_is_able(f->decoder));
    /* Nobody tells of this end, but the job that found it; helper 2 had none. */
    assert_true(metric_of(f, LOST("killed")) == 1);
    assert_true(metric_of(f, "\nautodidact_decode_helpers ") == 1);
    stop(f);
}

static _Noreturn void be_a_daemon(int out)
{
    struct decoder *decoder;
    const struct decoder_options options = options_of(2);
    if (decoder_new(&options, NULL, &decoder, NULL) < 0) _exit(1);
    ssize_t ignored = write(out, "x", 1);
    (void)ignored;
    for (;;) pause();
}

/* However they end, no process stays. They become ours, so that their ends can be waited
 * for. */
static void all_end(bool zygote_dies_too, int want)
{
    int out[2];
    char byte;
    pid_t helpers[PIDS_MAX];
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_int_equal(pipe(out), 0);
    pid_t daemon = fork();
    if (daemon == 0) be_a_daemon(out[1]);
    assert_int_equal(read(out[0], &byte, 1), 1);
    pid_t zygote = zygote_of(daemon);
    assert_int_equal(children_of(zygote, "decode", helpers), 3);
    if (zygote_dies_too) kill(zygote, SIGKILL);
    kill(daemon, SIGKILL);
    int ended = 0;
    while (waitpid(-1, NULL, 0) > 0) ended++;
    assert_int_equal(ended, want);
    for (int i = 0; i < 3; i++) assert_int_equal(kill(helpers[i], 0), -1);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    close(out[0]);
    close(out[1]);
}

static void when_the_daemon_dies_all_end(void **state)
{
    (void)state;
    all_end(false, 2); /* the zygote waits for the helpers */
    all_end(true, 5);
}

/* ---- a system that gives less ---- */

/* In a child in which a system call fails: the message of decoder_new(), or its posture. */
static void start_without(int call, int with_errno, char ret_text[ERR_TEXT_MAX])
{
    int out[2];
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct decoder *decoder = NULL;
        struct err e = {.code = 0};
        const struct decoder_options options = options_of(1);
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
        seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)with_errno), call, 0);
        seccomp_load(filter);
        seccomp_release(filter);
        int rc = decoder_new(&options, NULL, &decoder, &e);
        const char *text = rc < 0 ? e.text : decoder_posture(decoder);
        ssize_t ignored = write(out[1], text, strlen(text));
        (void)ignored;
        decoder_free(decoder);
        _exit(waitpid(-1, NULL, WNOHANG) == -1 ? 0 : 1); /* no process may be left */
    }
    close(out[1]);
    int status;
    ssize_t n = read(out[0], ret_text, ERR_TEXT_MAX - 1);
    ret_text[n > 0 ? n : 0] = '\0';
    close(out[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0) fail_msg("status %x after: %s", (unsigned)status, ret_text);
}

static void what_the_system_does_not_give_is_named(void **state)
{
    (void)state;
    static const struct {
        int call, with_errno;
        const char *words;
    } rows[] = {
        {SCMP_SYS(clone), EAGAIN, "cannot fork"},
        {SCMP_SYS(memfd_create), ENOMEM, "cannot share memory"},
        {SCMP_SYS(socketpair), EMFILE, "socket"},
        {SCMP_SYS(pidfd_open), ENOSYS, "cannot watch"},
        {SCMP_SYS(eventfd2), EMFILE, "cannot start the decoder"},
        {SCMP_SYS(seccomp), EPERM, "decode.sandbox = off"},
        {SCMP_SYS(capset), EPERM, "capabilities"},
        {SCMP_SYS(landlock_create_ruleset), ENOSYS, "seccomp, no landlock"},
        {SCMP_SYS(landlock_restrict_self), EPERM, "seccomp, no landlock"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[ERR_TEXT_MAX];
        start_without(rows[i].call, rows[i].with_errno, text);
        if (strstr(text, rows[i].words) == NULL) fail_msg("row %zu: %s", i, text);
    }
}

static void memory_may_be_short(void **state)
{
    (void)state;
    unsigned n = 1;
    for (int rc = -ENOMEM; rc != 0; n++) {
        struct decoder *decoder = NULL;
        struct err e = {.code = 0};
        const struct decoder_options options = options_of(1);
        assert_true(n < 50);
        mem_fail_at(n);
        rc = decoder_new(&options, NULL, &decoder, &e);
        mem_fail_at(0);
        assert_true(rc == 0 || rc == -ENOMEM);
        decoder_free(decoder);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    }
    assert_true(n > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_do_what_the_daemon_would),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(they_are_in_the_sandbox),
        cmocka_unit_test(a_crash_costs_its_job),
        cmocka_unit_test(a_forbidden_call_costs_its_job),
        cmocka_unit_test(one_that_is_killed_costs_its_job),
        cmocka_unit_test(one_that_is_stopped_costs_its_job),
        cmocka_unit_test(signals_that_are_the_daemons_do_nothing),
        cmocka_unit_test(one_that_ended_idle_costs_nothing),
        cmocka_unit_test(those_killed_on_sight_come_more_slowly),
        cmocka_unit_test(a_deadline_ends_it),
        cmocka_unit_test(the_time_limit_ends_it),
        cmocka_unit_test(cancelling_ends_it),
        cmocka_unit_test(every_job_is_answered_once),
        cmocka_unit_test(without_the_zygote_the_others_go_on),
        cmocka_unit_test(when_the_daemon_dies_all_end),
        cmocka_unit_test(what_the_system_does_not_give_is_named),
        cmocka_unit_test(memory_may_be_short),
    };
    return cmocka_run_group_tests_name("helpers", tests, set_up, tear_down);
}
