/* Counters, gauges and histograms: where they are kept. metric_text.c writes them out.
 *
 * A family is a small hash table of series. Series are only ever added, never moved or freed before
 * the registry is: so finding one, adding to one and writing all of them out take no lock, and only
 * making a new one does. A value is the bits of a double, changed by compare-and-exchange: exact
 * for whole numbers up to 2^53. Left out: summaries, timestamps, exemplars. */
#include "config.h"

#include "base/metric.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "metric_store.h"

/* What callers without a family write to; nobody reads it. */
static struct metric sink;

static double from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint64_t to_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static void add(_Atomic uint64_t *bits, double value)
{
    uint64_t old = atomic_load_explicit(bits, memory_order_relaxed), new_bits;
    do {
        new_bits = to_bits(from_bits(old) + value);
    } while (!atomic_compare_exchange_weak_explicit(bits, &old, new_bits, memory_order_relaxed,
                                                    memory_order_relaxed));
}

struct metrics *metrics_new(void)
{
    struct metrics *metrics = mem_new(1, sizeof(*metrics));
    if (metrics == NULL) return NULL;
    pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

static void free_family(struct metric_family *family)
{
    struct metric *series = family->first;
    while (series != NULL) {
        struct metric *next = series->next;
        mem_free(series);
        series = next;
    }
    mem_free(family->other);
    pthread_mutex_destroy(&family->lock);
    mem_free(family);
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL) return;
    struct metric_family *family = metrics->first;
    while (family != NULL) {
        struct metric_family *next = family->next;
        free_family(family);
        family = next;
    }
    pthread_mutex_destroy(&metrics->lock);
    mem_free(metrics);
}

/* A series with its counts and copied label values in one block. */
static struct metric *new_series(struct metric_family *family, const char *const *values)
{
    size_t text = 0;
    for (size_t i = 0; i < family->n_labels; i++) text += strlen(values[i]) + 1;
    size_t n_counts = family->kind == METRIC_HISTOGRAM ? family->n_buckets + 1 : 0;
    size_t fixed = sizeof(struct metric) + n_counts * sizeof(_Atomic uint64_t); /* both bounded */
    struct metric *series = mem_new(fixed + text, 1);
    if (series == NULL) return NULL;
    series->family = family;
    char *p = (char *)series + fixed;
    for (size_t i = 0; i < family->n_labels; i++) {
        size_t size = strlen(values[i]) + 1;
        memcpy(p, values[i], size);
        series->values[i] = p;
        p += size;
    }
    return series;
}

struct metric_family *metrics_add(struct metrics *metrics, enum metric_kind kind, const char *name,
                                  const char *help, const char *const *labels,
                                  const double *buckets, size_t n_buckets)
{
    static const char *const others[METRIC_LABELS_MAX] = {"other", "other", "other", "other",
                                                          "other"};
    struct metric_family *family = mem_new(1, sizeof(*family));
    if (family == NULL) return NULL;
    family->kind = kind;
    family->name = name;
    family->help = help;
    family->labels = labels;
    while (labels != NULL && labels[family->n_labels] != NULL) family->n_labels++;
    assert(family->n_labels <= METRIC_LABELS_MAX && "too many labels in a family");
    if (kind == METRIC_HISTOGRAM) {
        family->buckets = buckets;
        family->n_buckets = n_buckets;
        /* The bucket +Inf is always there. */
        if (n_buckets > 0 && isinf(buckets[n_buckets - 1])) family->n_buckets--;
        assert(family->n_buckets <= METRIC_BUCKETS_MAX && "too many buckets in a family");
    }
    family->other = new_series(family, others);
    if (family->other == NULL) {
        mem_free(family);
        return NULL;
    }
    /* Without labels it is the only series, and shows 0 from the start. */
    atomic_store(&family->other->shown, family->n_labels == 0);
    pthread_mutex_init(&family->lock, NULL);

    pthread_mutex_lock(&metrics->lock);
    struct metric_family *_Atomic *end = &metrics->first;
    for (struct metric_family *f; (f = atomic_load(end)) != NULL; end = &f->next) {
        assert(strcmp(f->name, name) != 0 && "a family of this name exists");
    }
    atomic_store(end, family);
    pthread_mutex_unlock(&metrics->lock);
    return family;
}

/* FNV-1a over the values and their ends. */
static size_t hash_values(const struct metric_family *family, const char *const *values)
{
    uint32_t hash = UINT32_C(2166136261);
    for (size_t i = 0; i < family->n_labels; i++) {
        const char *s = values[i];
        do {
            hash = (hash ^ (unsigned char)*s) * UINT32_C(16777619);
        } while (*s++ != '\0');
    }
    return hash % METRIC_HASH_SIZE;
}

static struct metric *find_series(struct metric_family *family, size_t hash,
                                  const char *const *values)
{
    struct metric *series = atomic_load(&family->table[hash]);
    for (; series != NULL; series = series->next_in_table) {
        size_t i = 0;
        while (i < family->n_labels && strcmp(series->values[i], values[i]) == 0) i++;
        if (i == family->n_labels) return series;
    }
    return NULL;
}

/* Finds the series or makes it; NULL when there is no room or no memory. */
static struct metric *find_or_make(struct metric_family *family, const char *const *values)
{
    size_t hash = hash_values(family, values);
    struct metric *series = find_series(family, hash, values);
    if (series != NULL) return series;

    pthread_mutex_lock(&family->lock);
    series = find_series(family, hash, values); /* another thread may have been faster */
    if (series == NULL && family->n_series < METRIC_SERIES_MAX) {
        series = new_series(family, values);
        if (series != NULL) {
            series->next_in_table = atomic_load(&family->table[hash]);
            atomic_store(&family->table[hash], series);
            atomic_store(family->last != NULL ? &family->last->next : &family->first, series);
            family->last = series;
            family->n_series++;
        }
    }
    pthread_mutex_unlock(&family->lock);
    return series;
}

struct metric *metric_series(struct metric_family *family, const char *const *values)
{
    if (family == NULL) return &sink;
    if (family->n_labels == 0) return family->other;
    struct metric *series = find_or_make(family, values);
    if (series == NULL) series = family->other;
    /* Also when it was forgotten: its model has been loaded again. */
    if (!atomic_load_explicit(&series->shown, memory_order_relaxed)) {
        atomic_store(&series->shown, true);
    }
    return series;
}

void metric_add(struct metric *metric, double value)
{
    add(&metric->bits, value);
}

void metric_set(struct metric *metric, double value)
{
    atomic_store_explicit(&metric->bits, to_bits(value), memory_order_relaxed);
}

void metric_observe(struct metric *metric, double value)
{
    const struct metric_family *family = metric->family;
    if (family == NULL || family->kind != METRIC_HISTOGRAM) return;
    if (isnan(value)) return; /* one would make the sum useless for ever */
    size_t i = 0;
    while (i < family->n_buckets && value > family->buckets[i]) i++;
    atomic_fetch_add_explicit(&metric->counts[i], 1, memory_order_relaxed);
    add(&metric->bits, value);
}

double metric_sum(const struct metric *metric)
{
    return from_bits(atomic_load_explicit(&metric->bits, memory_order_relaxed));
}

double metric_value(const struct metric *metric)
{
    const struct metric_family *family = metric->family;
    if (family == NULL || family->kind != METRIC_HISTOGRAM) return metric_sum(metric);
    uint64_t count = 0;
    for (size_t i = 0; i <= family->n_buckets; i++) {
        count += atomic_load_explicit(&metric->counts[i], memory_order_relaxed);
    }
    return (double)count;
}

void metric_forget(struct metric_family *family, const char *label, const char *value)
{
    if (family == NULL) return;
    size_t i = 0;
    while (i < family->n_labels && strcmp(family->labels[i], label) != 0) i++;
    if (i == family->n_labels) return;
    for (struct metric *series = family->first; series != NULL; series = series->next) {
        if (strcmp(series->values[i], value) == 0) atomic_store(&series->shown, false);
    }
}
