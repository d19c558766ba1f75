/* The service's own metrics and GET /metrics. Their names are part of the
 * interface: they are added, never changed. The standard process_* set is
 * read from /proc when somebody asks. The loop renders: a scrape is some hundred lines. */
#include "config.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "classify.h"

/* Prometheus wants a border at each objective; these are where deadlines tend to be (facts C). */
static const double seconds[] = {.0005, .001, .0025, .005, .01, .02, .025,
                                 .05,   .1,   .25,   .5,   1,   2.5, 10};

static struct metric *single(struct metrics *metrics, enum metric_kind kind, const char *name,
                             const char *help)
{
    return metric_series(metrics_add(metrics, kind, name, help, NULL, NULL, 0), NULL);
}

int service_metrics_init(struct service *s, struct err *e)
{
    static const char *const by_request[] = {"model", "classifier", "reason", "code", NULL};
    static const char *const by_classifier[] = {"model", "classifier", NULL};
    static const char *const by_result[] = {"result", NULL}, *const by_reason[] = {"reason", NULL};
    static const char *const by_version[] = {"model", "version", "sha256", NULL};
    struct service_metrics *m = &s->m;
    struct metrics *all = s->metrics;
    m->requests = metrics_add(all, METRIC_COUNTER, "autodidact_requests_total",
                              "Requests to classify that were answered.", by_request, NULL, 0);
    m->duration = metrics_add(all, METRIC_HISTOGRAM, "autodidact_request_duration_seconds",
                              "From the request line to the answer, of requests answered with 200.",
                              by_classifier, seconds, sizeof(seconds) / sizeof(seconds[0]));
    m->deadlines =
        metrics_add(all, METRIC_COUNTER, "autodidact_deadlines_total",
                    "Requests with a deadline, by what became of it.", by_result, NULL, 0);
    m->refused =
        metrics_add(all, METRIC_COUNTER, "autodidact_refused_total",
                    "Requests refused although they were well formed.", by_reason, NULL, 0);
    m->model_info = metrics_add(all, METRIC_GAUGE, "autodidact_model_info",
                                "The versions that are served.", by_version, NULL, 0);
    if (m->requests == NULL || m->duration == NULL || m->deadlines == NULL || m->refused == NULL ||
        m->model_info == NULL)
        return err_set(e, -ENOMEM, "out of memory for the metrics");
    m->in_flight = single(all, METRIC_GAUGE, "autodidact_requests_in_flight",
                          "Requests to classify that are being worked on.");
    m->upload_bytes = single(all, METRIC_GAUGE, "autodidact_upload_bytes",
                             "Memory of requests' bodies, of http.upload_max_bytes.");
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
    for (int i = 0; i < 2; i++)
        metric_add(metric_series(m->deadlines, (const char *[]){i == 0 ? "met" : "missed", NULL}),
                   0);
    return 0;
}

void count_refused(struct service *s, const char *reason)
{
    metric_add(metric_series(s->m.refused, (const char *[]){reason, NULL}), 1);
}

void count_request(struct task *task, int classifier, bool answered, enum sla_reason reason,
                   int code)
{
    struct service *s = task->service;
    const struct version *version = task->request.version;
    char code_text[12];
    if (task->counted) return;
    task->counted = true;
    snprintf(code_text, sizeof(code_text), "%d", code);
    /* A name that a client made up is no label: only a model that exists has one. */
    const char *name = version != NULL ? version_model(version)->name : "none";
    const char *who = answered ? model_classifier_name(classifier) : "none";
    const char *why = answered ? sla_reason_name(reason) : "none";
    metric_add(metric_series(s->m.requests, (const char *[]){name, who, why, code_text, NULL}), 1);
    if (answered)
        metric_observe(metric_series(s->m.duration, (const char *[]){name, who, NULL}),
                       (double)(clock_now() - task->request.arrival_ns) / 1e9);
}

void count_models(struct service *s)
{
    enum { NAMES = 256 };
    const char *names[NAMES];
    size_t n = engine_model_names(s->engine, names, NAMES);
    for (size_t i = 0; i < n && i < NAMES; i++) {
        struct version *version = engine_version(s->engine, names[i]);
        if (version == NULL) continue;
        const struct model *model = version_model(version);
        char number[24];
        snprintf(number, sizeof(number), "%lld", (long long)version_number(version));
        metric_forget(s->m.model_info, "model", model->name);
        metric_set(metric_series(s->m.model_info,
                                 (const char *[]){model->name, number, model->sha256, NULL}),
                   1);
        version_unref(version);
    }
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

static void read_process(struct service_metrics *m)
{
    struct rusage usage;
    struct rlimit limit;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
        double more = cpu - metric_value(m->cpu_seconds);
        if (more > 0) metric_add(m->cpu_seconds, more);
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

void service_metrics_get(struct exchange *x, void *arg)
{
    struct service *s = arg;
    struct buf body;
    metric_set(s->m.upload_bytes, (double)server_upload_bytes(s->server));
    read_process(&s->m);
    count_models(s);
    buf_init(&body, (size_t)64 << 20);
    if (metrics_render(s->metrics, &body) == 0)
        exchange_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
    else
        exchange_problem(x, 500, "out of memory for the metrics");
    buf_release(&body);
}
