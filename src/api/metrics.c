/* GET /metrics, and the process's own metrics, the standard process_* set, which are read from
 * /proc when somebody asks.
 *
 * The loop renders, some hundred lines. One scrape is answered at once; those that come soon after
 * it wait a moment, and some of them get the same text, so that no number of clients who read
 * metrics in a loop takes more than a small part of the loop's time from those who classify. */
#include "config.h"

#include "metrics.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api_private.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/log_sink.h"
#include "handlers.h"

static struct metric *single(struct metrics *metrics, enum metric_kind kind, const char *name,
                             const char *help)
{
    return metric_series(metrics_add(metrics, kind, name, help, NULL, NULL, 0), NULL);
}

void process_metrics_init(struct process_metrics *m, struct metrics *all)
{
    m->upload_bytes = single(all, METRIC_GAUGE, "autodidact_upload_bytes",
                             "Memory of requests' bodies, of http.upload_max_bytes.");
    m->log_lost = single(all, METRIC_COUNTER, "autodidact_log_lost_total",
                         "Lines of the log that could not be written in time.");
    m->cpu_seconds =
        single(all, METRIC_COUNTER, "process_cpu_seconds_total", "User and system CPU time.");
    m->open_fds = single(all, METRIC_GAUGE, "process_open_fds", "Open file descriptors.");
    m->max_fds = single(all, METRIC_GAUGE, "process_max_fds", "File descriptors that may be open.");
    m->resident = single(all, METRIC_GAUGE, "process_resident_memory_bytes", "Resident memory.");
    m->virtual_memory =
        single(all, METRIC_GAUGE, "process_virtual_memory_bytes", "Virtual memory.");
    m->start_time = single(all, METRIC_GAUGE, "process_start_time_seconds",
                           "When the process started, in seconds since 1970.");
    metric_set(m->start_time, (double)clock_real() / 1e9);
}

/* A counter that is kept elsewhere. */
static void raise_to(struct metric *counter, double value)
{
    double more = value - metric_value(counter);
    if (more > 0) metric_add(counter, more);
}

static double open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) return 0;
    double n = -3; /* ".", ".." and the directory itself */
    while (readdir(dir) != NULL) n++;
    closedir(dir);
    return n;
}

static void read_process(struct process_metrics *m)
{
    struct rusage usage;
    struct rlimit limit;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
        raise_to(m->cpu_seconds, cpu);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) metric_set(m->max_fds, (double)limit.rlim_cur);
    metric_set(m->open_fds, open_fds());
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long long total, resident;
    if (f == NULL) return;
    if (fscanf(f, "%llu %llu", &total, &resident) == 2) {
        double page = (double)sysconf(_SC_PAGESIZE);
        metric_set(m->virtual_memory, (double)total * page);
        metric_set(m->resident, (double)resident * page);
    }
    fclose(f);
}

/* ---- scrapes ---- */

enum { SCRAPES_AT_ONCE = 8, SCRAPES_PAUSE_MS = 5 };

struct scrape {
    struct exchange *x;
    struct scrape *next;
};

static int render(struct api *api, struct buf *out)
{
    metric_set(api->process.upload_bytes, (double)server_upload_bytes(api->below.public_server));
    raise_to(api->process.log_lost, (double)log_sink_lost());
    read_process(&api->process);
    counts_models(&api->service.counts, api->below.engine);
    engine_show_learned(api->below.engine);
    return metrics_render(api->below.metrics, out);
}

static void answer(struct exchange *x, const struct buf *text, int rc)
{
    struct buf body;
    buf_init(&body, text->max);
    if (rc == 0) rc = buf_append(&body, text->data, text->size);
    if (rc == 0)
        exchange_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
    else
        exchange_problem(x, 503, "out of memory for the metrics");
    buf_release(&body);
}

/* The next ones, with what is true now. */
static void answer_some(void *arg)
{
    struct scrapes *s = arg;
    struct buf text;
    s->pausing = s->first != NULL;
    if (s->first == NULL) return;
    buf_init(&text, (size_t)64 << 20);
    int rc = render(s->api, &text);
    for (int i = 0; i < SCRAPES_AT_ONCE && s->first != NULL; i++) {
        struct scrape *scrape = s->first;
        s->first = scrape->next;
        answer(scrape->x, &text, rc);
        mem_free(scrape);
    }
    if (s->first == NULL) s->last = &s->first;
    buf_release(&text);
    loop_timer_start(s->timer, SCRAPES_PAUSE_MS, 0);
}

void metrics_get(struct exchange *x, void *arg)
{
    struct api *api = arg;
    struct scrapes *s = &api->scrapes;
    struct scrape *scrape = mem_new(1, sizeof(*scrape));
    if (scrape == NULL) {
        exchange_problem(x, 503, "out of memory for the metrics");
        return;
    }
    scrape->x = x;
    *s->last = scrape;
    s->last = &scrape->next;
    if (!s->pausing) answer_some(s);
}

int scrapes_init(struct scrapes *s, struct api *api, struct err *e)
{
    *s = (struct scrapes){.api = api, .last = &s->first};
    s->timer = loop_timer_new(api->below.loop, answer_some, s);
    return s->timer != NULL ? 0 : err_set(e, -ENOMEM, "out of memory for the metrics");
}

void scrapes_release(struct scrapes *s)
{
    loop_timer_free(s->timer);
}
