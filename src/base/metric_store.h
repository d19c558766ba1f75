/* How metric.c keeps what metric_text.c writes out. Lists grow at their end by one atomic store of
 * a finished node, so that they can be walked at any time without a lock. */
#ifndef BASE_METRIC_STORE_H
#define BASE_METRIC_STORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metric.h"

enum { METRIC_HASH_SIZE = 64 };

struct metric {
    const struct metric_family *family; /* NULL: the sink */
    struct metric *_Atomic next;        /* in the order of their making */
    struct metric *next_in_table;
    atomic_bool shown;     /* false: forgotten, or "other" and never needed */
    _Atomic uint64_t bits; /* of a double: the value; of a histogram the sum */
    const char *values[METRIC_LABELS_MAX];
    _Atomic uint64_t counts[]; /* a histogram's n_buckets + 1, each alone, not cumulated */
};

struct metric_family {
    struct metric_family *_Atomic next;
    enum metric_kind kind;
    const char *name, *help;
    const char *const *labels;
    const double *buckets;
    size_t n_labels, n_buckets;
    struct metric *other; /* all that finds no place; the only series when there are no labels */
    struct metric *_Atomic first;
    struct metric *_Atomic table[METRIC_HASH_SIZE];
    pthread_mutex_t lock; /* making series: guards last and n_series */
    struct metric *last;
    size_t n_series;
};

struct metrics {
    struct metric_family *_Atomic first;
    pthread_mutex_t lock; /* adding families */
};

/* The value of a counter or gauge, the sum of a histogram. */
double metric_sum(const struct metric *metric);

#endif
