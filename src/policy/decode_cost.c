/* Each factor is estimated as one that wanders off 1 and is drawn back (an Ornstein-Uhlenbeck
 * process) from measurements whose error grows with what is measured: a Kalman filter that keeps
 * the diagonal only (Welch and Bishop, "An introduction to the Kalman filter", 1995). So a term
 * that makes up most of a measurement gets most of the correction: small images teach what an image
 * costs at least, photographs what a byte does, and neither spoils the other. Who is unsure learns
 * fast, and without evidence becomes unsure again on the way back to the prior.
 *
 * A measurement counts as at most twice and at least half of what was predicted: a process that was
 * stopped for a second is no price. */
#include "config.h"

#include "policy/decode_cost.h"

#include <math.h>

#include "base/clock.h"

/* Half of what was learned is forgotten in so long. Others who use the machine come and go in
 * minutes, and nobody shall suffer longer than that from what somebody else sent. */
static const double half_life_s = 20;
static const double pace_half_life_s = 5; /* who is beside whom changes faster */
static const double prior_variance = 0.1; /* of a factor: the prior is right within a third or so */
static const double noise = 0.3;          /* of a measurement, relative */
static const double ratio_min = 0.5, ratio_max = 2;
static const double factor_min = 0.05, factor_max = 20;
static const double pace_rate = 0.2, pace_max = 20;

/* Nanoseconds, fitted to libjpeg-turbo 2.1 and stb_image 2.28 as decode_run() uses them, on one
 * core of an AMD EPYC (Zen 5) at images of 32x32 to 4000x3000, from smooth to noise, resized to
 * 32x32 and 224x224. Most are within a fifth, PNGs within a factor of two: what inflate takes for a
 * byte depends on how it was deflated. */
static const double prior_ns[DECODE_FORMATS][DECODE_TERMS] = {
    /*                    image, byte, sample, pixel, output */
    [DECODE_JPEG] = {3000, 6.3, 0.07, 4.3, 8},
    [DECODE_JPEG_SCANS] = {5000, 20, 0.15, 4, 8},
    [DECODE_PNG] = {2000, 4.5, 1.8, 0, 8},
    [DECODE_RAW] = {1500, 0, 0.9, 0, 8},
};

const char *decode_format_name(enum decode_format format)
{
    static const char *const names[DECODE_FORMATS] = {"JPEG", "JPEG", "PNG", "input"};
    return names[format];
}

/* Seconds of each term by the prior; returns their sum. */
static double terms_of(const struct decode_cost *cost, const struct decode_size *size,
                       double ret_s[DECODE_TERMS])
{
    const double counts[DECODE_TERMS] = {1, (double)size->bytes, (double)size->samples,
                                         (double)size->pixels, (double)size->outputs};
    double sum = 0;
    for (int t = 0; t < DECODE_TERMS; t++) {
        ret_s[t] = cost->slowness * counts[t] * prior_ns[size->format][t] / (double)CLOCK_SECOND;
        sum += ret_s[t];
    }
    return sum;
}

/* What is left of a deviation after that time. */
static double left_of(int64_t since_ns, int64_t now_ns, double half_life)
{
    double s = (double)(now_ns - since_ns) / (double)CLOCK_SECOND;
    return s > 0 ? exp2(-s / half_life) : 1;
}

void decode_cost_init(struct decode_cost *cost, double slowness)
{
    cost->slowness = slowness;
    for (int f = 0; f < DECODE_FORMATS; f++) {
        struct decode_learned *l = &cost->learned[f];
        for (int t = 0; t < DECODE_TERMS; t++) {
            l->factor[t] = 1;
            l->variance[t] = prior_variance;
        }
        l->at_ns = 0;
    }
}

double decode_cost_prior(const struct decode_cost *cost, const struct decode_size *size)
{
    double s[DECODE_TERMS];
    return terms_of(cost, size, s);
}

double decode_cost(const struct decode_cost *cost, const struct decode_size *size, int64_t now_ns)
{
    const struct decode_learned *l = &cost->learned[size->format];
    double s[DECODE_TERMS], sum = terms_of(cost, size, s), change = 0;
    for (int t = 0; t < DECODE_TERMS; t++) change += s[t] * (l->factor[t] - 1);
    return sum + left_of(l->at_ns, now_ns, half_life_s) * change;
}

static void age(struct decode_learned *l, int64_t now_ns)
{
    double left = left_of(l->at_ns, now_ns, half_life_s);
    for (int t = 0; t < DECODE_TERMS; t++) {
        l->factor[t] = 1 + left * (l->factor[t] - 1);
        l->variance[t] = prior_variance + left * left * (l->variance[t] - prior_variance);
    }
    l->at_ns = now_ns;
}

static double between(double low, double x, double high)
{
    return x < low ? low : x > high ? high : x;
}

void decode_cost_learn(struct decode_cost *cost, const struct decode_size *size, double took_s,
                       int64_t now_ns)
{
    struct decode_learned *l = &cost->learned[size->format];
    double s[DECODE_TERMS], predicted = 0, spread = 0;
    if (!(terms_of(cost, size, s) > 0)) return;
    age(l, now_ns);
    for (int t = 0; t < DECODE_TERMS; t++) {
        predicted += s[t] * l->factor[t];
        spread += s[t] * s[t] * l->variance[t];
    }
    spread += noise * noise * predicted * predicted;
    double surprise = predicted * (between(ratio_min, took_s / predicted, ratio_max) - 1);
    for (int t = 0; t < DECODE_TERMS; t++) {
        double gain = s[t] * l->variance[t] / spread;
        l->factor[t] = between(factor_min, l->factor[t] + gain * surprise, factor_max);
        l->variance[t] *= 1 - gain * s[t];
    }
}

void decode_pace_init(struct decode_pace *pace)
{
    *pace = (struct decode_pace){1, 0};
}

double decode_pace(const struct decode_pace *pace, int64_t now_ns)
{
    return 1 + left_of(pace->at_ns, now_ns, pace_half_life_s) * (pace->factor - 1);
}

void decode_pace_learn(struct decode_pace *pace, double took_s, double cpu_s, int64_t now_ns)
{
    if (!(cpu_s > 0)) return;
    double before = decode_pace(pace, now_ns);
    pace->factor = before + pace_rate * (between(1, took_s / cpu_s, pace_max) - before);
    pace->at_ns = now_ns;
}
