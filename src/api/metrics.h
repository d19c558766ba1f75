/* GET /metrics, and the process's own metrics. Loop thread. */
#ifndef API_METRICS_H
#define API_METRICS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/metric.h"
#include "loop/timer.h"

struct process_metrics {
    struct metric *upload_bytes; /* of the public server's bodies */
    struct metric *log_lost;
    struct metric *cpu_seconds, *open_fds, *max_fds, *resident, *virtual_memory, *start_time;
};

struct api;

/* The scrapes that wait to be answered. */
struct scrapes {
    struct api *api;
    struct loop_timer *timer;
    struct scrape *first, **last;
    bool pausing; /* the timer runs */
};

int scrapes_init(struct scrapes *scrapes, struct api *api, struct err *e);
void scrapes_release(struct scrapes *scrapes); /* all have been answered; zeroed is fine */

void process_metrics_init(struct process_metrics *process, struct metrics *metrics);

#endif
