/* The text exposition format 0.0.4 of Prometheus: a pure function of what the registry holds.
 *
 * A histogram's _count is the sum of the buckets as they were read, so that one reply agrees with
 * itself while others observe. Timestamps are left out: the time of the scrape is meant. */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/metric.h"
#include "base/text.h"
#include "metric_store.h"

enum { NUMBER_MAX = TEXT_NUMBER_MAX };

/* The shortest text that reads back as the same number; whole numbers without an exponent where
 * they are exact. */
static const char *format_number(double value, char text[NUMBER_MAX])
{
    if (isnan(value)) return "NaN";
    if (isinf(value)) return value > 0 ? "+Inf" : "-Inf";
    if (value == 0.0) return "0"; /* of either sign */
    if (fabs(value) <= 0x1p53 && value == trunc(value)) {
        snprintf(text, NUMBER_MAX, "%.0f", value);
        return text;
    }
    return text_double(value, text);
}

/* Text with backslash and newline escaped, and the quote where it would end the text. */
static int put_escaped(struct buf *out, const char *text, bool quoted)
{
    int rc = 0;
    for (const char *s = text; *s != '\0' && rc == 0; s++) {
        if (*s == '\\') {
            rc = buf_puts(out, "\\\\");
        } else if (*s == '\n') {
            rc = buf_puts(out, "\\n");
        } else if (*s == '"' && quoted) {
            rc = buf_puts(out, "\\\"");
        } else {
            rc = buf_append(out, s, 1);
        }
    }
    return rc;
}

/* One line: the name with its suffix, the labels, le last if there is one, the value. */
static int put_sample(struct buf *out, const struct metric *series, const char *suffix,
                      const char *le, const char *value)
{
    const struct metric_family *family = series->family;
    const char *separator = "{";
    int rc = buf_printf(out, "%s%s", family->name, suffix);
    for (size_t i = 0; i < family->n_labels && rc == 0; i++) {
        rc = buf_printf(out, "%s%s=\"", separator, family->labels[i]);
        if (rc == 0) rc = put_escaped(out, series->values[i], true);
        if (rc == 0) rc = buf_puts(out, "\"");
        separator = ",";
    }
    if (rc == 0 && le != NULL) {
        rc = buf_printf(out, "%sle=\"%s\"", separator, le);
        separator = ",";
    }
    if (rc == 0 && *separator == ',') rc = buf_puts(out, "}");
    return rc < 0 ? rc : buf_printf(out, " %s\n", value);
}

static int put_histogram(struct buf *out, const struct metric *series)
{
    const struct metric_family *family = series->family;
    char le[NUMBER_MAX], count[NUMBER_MAX] = "0", sum[NUMBER_MAX];
    uint64_t so_far = 0;
    int rc = 0;
    for (size_t i = 0; i <= family->n_buckets && rc == 0; i++) {
        double bound = i < family->n_buckets ? family->buckets[i] : INFINITY;
        so_far += atomic_load_explicit(&series->counts[i], memory_order_relaxed);
        snprintf(count, sizeof(count), "%" PRIu64, so_far);
        rc = put_sample(out, series, "_bucket", format_number(bound, le), count);
    }
    if (rc == 0) rc = put_sample(out, series, "_sum", NULL, format_number(metric_sum(series), sum));
    return rc < 0 ? rc : put_sample(out, series, "_count", NULL, count);
}

static int put_series(struct buf *out, const struct metric *series)
{
    if (!atomic_load(&series->shown)) return 0;
    if (series->family->kind == METRIC_HISTOGRAM) return put_histogram(out, series);
    char number[NUMBER_MAX];
    return put_sample(out, series, "", NULL, format_number(metric_sum(series), number));
}

static int put_family(struct buf *out, const struct metric_family *family)
{
    static const char *const kinds[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
    int rc = buf_printf(out, "# HELP %s ", family->name);
    if (rc == 0) rc = put_escaped(out, family->help, false);
    if (rc == 0) rc = buf_printf(out, "\n# TYPE %s %s\n", family->name, kinds[family->kind]);
    const struct metric *series = atomic_load(&family->first);
    for (; series != NULL && rc == 0; series = atomic_load(&series->next)) {
        rc = put_series(out, series);
    }
    return rc < 0 ? rc : put_series(out, family->other);
}

int metrics_render(struct metrics *metrics, struct buf *out)
{
    int rc = 0;
    const struct metric_family *family = atomic_load(&metrics->first);
    for (; family != NULL && rc == 0; family = atomic_load(&family->next)) {
        rc = put_family(out, family);
    }
    return rc;
}
