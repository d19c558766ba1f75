/* See tally.h. The format is what an input's first bytes say; pixels and numbers, which are not
 * decoded, have words of their own. */
#include "config.h"

#include "tally.h"

#include "image/format.h"

static const char *const formats[TALLY_FORMATS] = {"jpeg", "png", "other", "pixels", "numbers"};
static const char *const format_labels[] = {"format", NULL};
/* From a thumbnail to the time limit. */
static const double buckets[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                 0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};

void tally_init(struct tally *tally, struct metrics *metrics)
{
    struct metric_family *seconds = NULL, *bytes = NULL, *pixels = NULL;
    if (metrics != NULL) {
        seconds = metrics_add(metrics, METRIC_HISTOGRAM, "autodidact_decode_duration_seconds",
                              "Time that inputs of requests took to decode and to resize, without "
                              "waiting.",
                              format_labels, buckets, sizeof(buckets) / sizeof(buckets[0]));
        bytes = metrics_add(metrics, METRIC_COUNTER, "autodidact_decode_bytes_total",
                            "Bytes of inputs that were decoded.", format_labels, NULL, 0);
        pixels = metrics_add(metrics, METRIC_COUNTER, "autodidact_decode_pixels_total",
                             "Pixels of inputs that were decoded.", format_labels, NULL, 0);
    }
    for (int f = 0; f < TALLY_FORMATS; f++) {
        tally->seconds[f] = metric_series(seconds, &formats[f]);
        tally->bytes[f] = metric_series(bytes, &formats[f]);
        tally->pixels[f] = metric_series(pixels, &formats[f]);
    }
}

static int format_of(const struct decode_job *job)
{
    if (job->work.kind == INPUT_U8) return 3;
    if (job->work.kind == INPUT_F32) return 4;
    switch (image_format_of(job->input, job->work.input_bytes)) {
    case IMAGE_JPEG:
        return 0;
    case IMAGE_PNG:
        return 1;
    default:
        return 2;
    }
}

void tally_decoded(struct tally *tally, const struct decode_job *job)
{
    int f = format_of(job);
    metric_observe(tally->seconds[f], (double)job->took_ns / 1e9);
    metric_add(tally->bytes[f], (double)job->work.input_bytes);
    metric_add(tally->pixels[f], (double)job->pixels);
}
