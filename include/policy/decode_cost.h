/* What decoding costs: from the sizes that an image's header says to seconds. For
 * each format so much for an image, a byte, a sample, a pixel (the prior), times a factor that is
 * learned while running, apart for what is short and for what is long. What was learned ages:
 * without evidence it returns to the prior, so that nothing odd is believed for long. Time is an
 * argument. Not thread-safe. */
#ifndef POLICY_DECODE_COST_H
#define POLICY_DECODE_COST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum decode_format {
    DECODE_JPEG,       /* in one scan */
    DECODE_JPEG_SCANS, /* progressive, or a component a scan */
    DECODE_PNG,
    DECODE_RAW, /* pixels or numbers: resized and normalised only */
    DECODE_FORMATS
};
const char *decode_format_name(enum decode_format format); /* "JPEG", "JPEG", "PNG", "input" */

/* One image, as far as it matters here. */
struct decode_size {
    enum decode_format format;
    int width, height;   /* as people see it; for messages */
    uint64_t bytes;      /* that go through an entropy decoder or inflate */
    uint64_t samples;    /* that it makes of them, in all scans */
    uint64_t pixels;     /* of the decoded image */
    uint64_t outputs;    /* pixels of the network's input, where these are resized */
    size_t memory_bytes; /* that decoding takes, input and output included */
    bool estimated;      /* the header does not tell the samples for sure */
};

enum { DECODE_DECADES = 7 }; /* of seconds by the prior: 1 us, 10 us .. 1 s */

struct decode_cost {
    double slowness;
    struct decode_learned {
        double log_factor[DECODE_DECADES]; /* on the prior; between the decades a line */
        double variance[DECODE_DECADES];   /* of it: how unsure that is */
        int64_t at_ns;
    } learned[DECODE_FORMATS];
};

/* slowness: how many times longer this machine takes than the one that the prior was measured on;
 * 0: decoding costs nothing, whatever is learned. */
void decode_cost_init(struct decode_cost *cost, double slowness);

/* Seconds by the prior alone, which nobody can teach anything else. */
double decode_cost_prior(const struct decode_cost *cost, const struct decode_size *size);

/* The same with what was learned. */
double decode_cost(const struct decode_cost *cost, const struct decode_size *size, int64_t now_ns);

/* An image of these sizes was decoded in so many seconds. */
void decode_cost_learn(struct decode_cost *cost, const struct decode_size *size, double took_s,
                       int64_t now_ns);

/* How much longer than on a processor of its own something takes, because others are at work
 * beside it: learned from what took so long by the clock and had so much of a processor, at least
 * 1, and ages towards 1. */
struct decode_pace {
    double factor;
    int64_t at_ns;
};
void decode_pace_init(struct decode_pace *pace);
double decode_pace(const struct decode_pace *pace, int64_t now_ns);
void decode_pace_learn(struct decode_pace *pace, double took_s, double cpu_s, int64_t now_ns);

#endif
