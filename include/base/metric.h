/* Counters, gauges and histograms for Prometheus. A family has a fixed list of label names; its
 * series are found by their values and live as long as the registry, so that a hot path looks its
 * series up once and then only adds atomically. The number of series of a family is bounded: past
 * it one series with all values "other" takes the rest. Any thread. */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
enum { METRIC_LABELS_MAX = 5, METRIC_BUCKETS_MAX = 32, METRIC_SERIES_MAX = 1000 };

struct metrics; /* the registry */
struct metric_family;
struct metric; /* one series */

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

/* Adds a family. labels: NULL-terminated names, or NULL for none. buckets: increasing upper bounds
 * (histograms only). Strings and arrays must outlive the registry. NULL when out of memory. */
struct metric_family *metrics_add(struct metrics *metrics, enum metric_kind kind, const char *name,
                                  const char *help, const char *const *labels,
                                  const double *buckets, size_t n_buckets);

/* The series with these label values (as many as the family has names; copied). Never NULL: out of
 * memory gives the shared "other" series. NULL family gives a sink, so that callers need no checks.
 */
struct metric *metric_series(struct metric_family *family, const char *const *values);

void metric_add(struct metric *metric, double value);     /* counter, gauge */
void metric_set(struct metric *metric, double value);     /* gauge; counter kept elsewhere */
void metric_observe(struct metric *metric, double value); /* histogram */
double metric_value(const struct metric *metric);         /* counter, gauge; histogram: its count */

/* Removes the series whose label `label` equals `value` from the output (an unloaded model). Who
 * holds one may go on using it; metric_series() shows it again, with the value that it had. */
void metric_forget(struct metric_family *family, const char *label, const char *value);

/* Text exposition format 0.0.4 of all families, in the order of their registration. */
int metrics_render(struct metrics *metrics, struct buf *out);

#endif
