/* GET /metrics, and the process's own metrics, the standard process_* set, which are read from
 * /proc when somebody asks. The loop renders: a scrape is some hundred lines. */
#include "config.h"

#include "metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api_private.h"
#include "base/clock.h"
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

void metrics_get(struct exchange *x, void *arg)
{
    struct api *api = arg;
    struct buf body;
    metric_set(api->process.upload_bytes, (double)server_upload_bytes(api->below.public_server));
    raise_to(api->process.log_lost, (double)log_sink_lost());
    read_process(&api->process);
    counts_models(&api->service.counts, api->below.engine);
    buf_init(&body, (size_t)64 << 20);
    if (metrics_render(api->below.metrics, &body) == 0)
        exchange_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
    else
        exchange_problem(x, 500, "out of memory for the metrics");
    buf_release(&body);
}
