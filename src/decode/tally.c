/* See tally.h. The format is what an input's first bytes say; pixels and numbers, which are not
 * decoded, have words of their own. */
#include "config.h"

#include "tally.h"

#include <stdio.h>

#include "image/format.h"

static const char *const formats[TALLY_FORMATS] = {"jpeg", "png", "other", "pixels", "numbers"};
static const struct {
    const char *name, *text;
} losses[TALLY_LOSSES] = {
    [TALLY_CRASH] = {"crash", "it crashed"},
    [TALLY_FORBIDDEN] = {"forbidden", "it made a system call that the sandbox forbids"},
    [TALLY_KILLED] = {"killed", "somebody killed it"},
    [TALLY_STOPPED] = {"stopped", "somebody stopped it"},
    [TALLY_TIMEOUT] = {"timeout", "it took longer than it may"},
    [TALLY_DEADLINE] = {"deadline", "it did not stop at a deadline"},
    [TALLY_CANCELLED] = {"cancelled", "it did not stop when its job was given up"},
    [TALLY_NONSENSE] = {"nonsense", "its answer made no sense"},
};
static const char *const loss_labels[] = {"reason", NULL};
static const char *const sandbox_labels[] = {"seccomp", "landlock", "memory_bytes", NULL};
static const char *const format_labels[] = {"format", NULL};
/* From a thumbnail to the time limit. */
static const double buckets[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                 0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};

static void init_helpers(struct tally *tally, struct metrics *metrics)
{
    struct metric_family *started = NULL, *alive = NULL, *lost = NULL;
    tally->sandbox = NULL;
    if (metrics != NULL) {
        tally->sandbox = metrics_add(
            metrics, METRIC_GAUGE, "autodidact_sandbox_info",
            "What keeps the decoding of images apart: seccomp on or off, the ABI of landlock or "
            "off, the bytes that a helper may take or unlimited.",
            sandbox_labels, NULL, 0);
        alive = metrics_add(metrics, METRIC_GAUGE, "autodidact_decode_helpers",
                            "Processes that decode images.", NULL, NULL, 0);
        started = metrics_add(metrics, METRIC_COUNTER, "autodidact_decode_helpers_started_total",
                              "Processes that decode images, started.", NULL, NULL, 0);
        lost = metrics_add(metrics, METRIC_COUNTER, "autodidact_decode_helpers_lost_total",
                           "Processes that decode images, lost.", loss_labels, NULL, 0);
    }
    tally->alive = metric_series(alive, NULL);
    tally->started = metric_series(started, NULL);
    for (int r = 0; r < TALLY_LOSSES; r++) tally->lost[r] = metric_series(lost, &losses[r].name);
}

void tally_init(struct tally *tally, struct metrics *metrics)
{
    init_helpers(tally, metrics);
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

void tally_posture(struct tally *tally, const struct sandbox_posture *posture)
{
    char landlock[16] = "off", memory[32] = "unlimited";
    if (posture != NULL && posture->landlock > 0)
        snprintf(landlock, sizeof(landlock), "%d", posture->landlock);
    if (posture != NULL && posture->memory_bytes > 0)
        snprintf(memory, sizeof(memory), "%zu", posture->memory_bytes);
    const char *const values[] = {posture != NULL ? "on" : "off", landlock, memory};
    metric_set(metric_series(tally->sandbox, values), 1);
}

void tally_started(struct tally *tally)
{
    metric_add(tally->started, 1);
    metric_add(tally->alive, 1);
}

void tally_lost(struct tally *tally, enum tally_loss loss)
{
    metric_add(tally->lost[loss], 1);
    metric_add(tally->alive, -1);
}

const char *tally_loss_text(enum tally_loss loss)
{
    return losses[loss].text;
}
