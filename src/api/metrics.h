/* The process's own metrics. */
#ifndef API_METRICS_H
#define API_METRICS_H

#include "base/metric.h"

struct process_metrics {
    struct metric *upload_bytes; /* of the public server's bodies */
    struct metric *log_lost;
    struct metric *cpu_seconds, *open_fds, *max_fds, *resident, *virtual_memory, *start_time;
};

void process_metrics_init(struct process_metrics *process, struct metrics *metrics);

#endif
