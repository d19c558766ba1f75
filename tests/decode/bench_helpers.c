/* What it adds that images are decoded by another process: the time of a job on its caller's
 * thread, in this process and by a helper, one after the other with pauses, as lone requests come.
 *
 *     bench_helpers FILE [JOBS [PAUSE_US]] */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "decode/decoder.h"

enum { SIDE = 32, JOBS = 2000, PAUSE_US = 1000, INPUT_MAX = 64 << 20 };

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void report(const char *name, int64_t *times, size_t n)
{
    qsort(times, n, sizeof(*times), compare);
    printf("%-12s median %7.1f us, 90 %% within %7.1f us, fastest %7.1f us\n", name,
           (double)times[n / 2] / 1e3, (double)times[n * 9 / 10] / 1e3, (double)times[0] / 1e3);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench_helpers FILE [JOBS [PAUSE_US]]\n");
        return 2;
    }
    size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : JOBS;
    useconds_t pause_us = argc > 3 ? (useconds_t)strtoul(argv[3], NULL, 10) : PAUSE_US;
    static float output[SIDE * SIDE * 3];
    struct decoder_options options = {.foreground = 1,
                                      .background = 1,
                                      .time_max_ns = 60 * CLOCK_SECOND,
                                      .input_max = INPUT_MAX,
                                      .output_max = sizeof(output),
                                      .memory_max = image_limits_default.memory_max};
    struct decoder *decoders[2];
    struct err e = {0};
    char *bytes;
    size_t size;
    options.sandbox = true; /* first, while there is one thread */
    int rc = file_read(argv[1], INPUT_MAX, &bytes, &size, &e);
    if (rc == 0) rc = decoder_new(&options, NULL, &decoders[1], &e);
    options.sandbox = false;
    if (rc == 0) rc = decoder_new(&options, NULL, &decoders[0], &e);
    int64_t *times[2] = {mem_new(n + 1, sizeof(int64_t)), mem_new(n + 1, sizeof(int64_t))};
    if (rc < 0 || times[0] == NULL || times[1] == NULL) {
        fprintf(stderr, "bench_helpers: %s\n", rc < 0 ? e.text : "out of memory");
        return 1;
    }
    struct decode_job job = {
        .work = {.kind = INPUT_ENCODED,
                 .input_bytes = size,
                 .limits = image_limits_default,
                 .preprocess = {.width = SIDE, .height = SIDE, .std = {1, 1, 1}}},
        .input = bytes,
        .output = output};
    for (size_t i = 0; i < 2 * n; i++) {
        usleep(pause_us);
        int64_t start = clock_now();
        decode_job_run(decoders[i % 2], &job);
        times[i % 2][i / 2] = clock_now() - start;
        if (job.status < 0) {
            fprintf(stderr, "bench_helpers: %s\n", job.error.text);
            return 1;
        }
    }
    report("here", times[0], n);
    report("by a helper", times[1], n);
    for (int i = 0; i < 2; i++) {
        decoder_free(decoders[i]);
        mem_free(times[i]);
    }
    mem_free(bytes);
    return 0;
}
