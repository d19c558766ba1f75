/* The logarithm of each factor is estimated as one that wanders off 0 and is drawn back (an
 * Ornstein-Uhlenbeck process) from measurements: a Kalman filter that keeps the diagonal only
 * (Welch and Bishop, "An introduction to the Kalman filter", 1995). Who is unsure learns fast, and
 * without evidence becomes unsure again on the way back to the prior.
 *
 * A photograph teaches what photographs take and nothing of thumbnails, nor a flood of those what a
 * photograph takes: an image touches the two decades that its prior lies between. Factors for
 * bytes, samples and pixels instead would be shared by all sizes, and what is sent most would set
 * them.
 *
 * A measurement counts as at most twice and at least half of what was predicted, since a process
 * that was stopped for a second is no price; and whom it surprised stays unsure, in case it is one.
 */
#include "config.h"

#include "policy/decode_cost.h"

#include <math.h>

#include "base/clock.h"

/* Half of what was learned is forgotten in so long. Others who use the machine come and go in
 * minutes, and nobody shall suffer longer than that from what somebody else sent. */
static const double half_life_s = 20;
static const double pace_half_life_s = 5; /* who is beside whom changes faster */
static const int64_t moment_ns = CLOCK_MS;
static const double prior_variance = 0.15; /* most priors are right within a half */
static const double noise_variance = 0.09; /* and most measurements within a third */
static const double surprise_max = 0.69;   /* log 2 */
static const double log_factor_max = 3;    /* 20 times */
static const double pace_rate = 0.2, pace_max = 20;

/* Nanoseconds, fitted to libjpeg-turbo 2.1 and stb_image 2.28 as decode_run() uses them, on one
 * core of an AMD EPYC (Zen 5) at images of 32x32 to 4000x3000, from smooth to noise, resized to
 * 32x32 and 224x224. Most JPEGs in one scan are within a fifth, the others within a factor of two:
 * what inflate takes for a byte depends on how it was deflated, and a scan may say much of its
 * samples or nothing. */
static const struct {
    double image, byte, sample, pixel, output;
} prior_ns[DECODE_FORMATS] = {
    [DECODE_JPEG] = {3000, 6.3, 0.07, 4.3, 8},
    [DECODE_JPEG_SCANS] = {5000, 18, 0.25, 4, 8},
    [DECODE_PNG] = {2000, 4.5, 1.8, 0, 8},
    [DECODE_RAW] = {1500, 0, 0.9, 0, 8},
};

const char *decode_format_name(enum decode_format format)
{
    static const char *const names[DECODE_FORMATS] = {"JPEG", "JPEG", "PNG", "input"};
    return names[format];
}

/* What is left of a deviation after that time. Within a moment it is all of it. */
static double left_of(int64_t since_ns, int64_t now_ns, double half_life)
{
    if (now_ns - since_ns < moment_ns) return 1;
    return exp2((double)(since_ns - now_ns) / (half_life * (double)CLOCK_SECOND));
}

void decode_cost_init(struct decode_cost *cost, double slowness)
{
    cost->slowness = slowness;
    for (int f = 0; f < DECODE_FORMATS; f++) {
        struct decode_learned *l = &cost->learned[f];
        for (int d = 0; d < DECODE_DECADES; d++) {
            l->log_factor[d] = 0;
            l->variance[d] = prior_variance;
        }
        l->at_ns = 0;
    }
}

double decode_cost_prior(const struct decode_cost *cost, const struct decode_size *size)
{
    double ns = prior_ns[size->format].image + prior_ns[size->format].byte * (double)size->bytes +
                prior_ns[size->format].sample * (double)size->samples +
                prior_ns[size->format].pixel * (double)size->pixels +
                prior_ns[size->format].output * (double)size->outputs;
    return cost->slowness * ns / (double)CLOCK_SECOND;
}

static double between(double low, double x, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* The decade below, and how near (0..1) the prior is to the one above. */
static int decade_of(double prior_s, double *ret_above)
{
    double place = between(0, log10(prior_s) + DECODE_DECADES - 1, DECODE_DECADES - 1);
    int below = place < DECODE_DECADES - 1 ? (int)place : DECODE_DECADES - 2;
    *ret_above = place - below;
    return below;
}

double decode_cost(const struct decode_cost *cost, const struct decode_size *size, int64_t now_ns)
{
    const struct decode_learned *l = &cost->learned[size->format];
    double prior = decode_cost_prior(cost, size), above;
    if (!(prior > 0)) return 0;
    int d = decade_of(prior, &above);
    double log_factor = l->log_factor[d] + above * (l->log_factor[d + 1] - l->log_factor[d]);
    return prior * exp(left_of(l->at_ns, now_ns, half_life_s) * log_factor);
}

static void age(struct decode_learned *l, int64_t now_ns)
{
    double left = left_of(l->at_ns, now_ns, half_life_s);
    if (left == 1) return;
    for (int d = 0; d < DECODE_DECADES; d++) {
        l->log_factor[d] *= left;
        l->variance[d] = prior_variance + left * left * (l->variance[d] - prior_variance);
    }
    l->at_ns = now_ns;
}

void decode_cost_learn(struct decode_cost *cost, const struct decode_size *size, double took_s,
                       int64_t now_ns)
{
    struct decode_learned *l = &cost->learned[size->format];
    double prior = decode_cost_prior(cost, size), above;
    if (!(prior > 0) || !(took_s > 0)) return;
    age(l, now_ns);
    int below = decade_of(prior, &above);
    const double weight[2] = {1 - above, above};
    double *factor = l->log_factor + below, *variance = l->variance + below;
    double off = log(took_s / prior) - weight[0] * factor[0] - weight[1] * factor[1];
    double surprise = between(-surprise_max, off, surprise_max);
    double spread =
        weight[0] * weight[0] * variance[0] + weight[1] * weight[1] * variance[1] + noise_variance;
    for (int k = 0; k < 2; k++) {
        double gain = weight[k] * variance[k] / spread;
        factor[k] = between(-log_factor_max, factor[k] + gain * surprise, log_factor_max);
        if (surprise == off) variance[k] *= 1 - gain * weight[k];
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
    if (now_ns - pace->at_ns >= moment_ns) pace->at_ns = now_ns;
}
