/* See canary.h. The images are black, white and grey, slopes, waves and noise: of what a camera can
 * deliver the ends and the middle, smooth and rough. They are made as bytes and normalised as any
 * other, always the same ones, and each is computed alone, so that a version passes or fails
 * whatever the machine. Left out: whether the answers are right, which no made image can tell. */
#include "config.h"

#include "canary.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "nn/loss.h"

enum { BLACK, WHITE, GREY, SLOPE, WAVES, FINE_WAVES, NOISE, IMAGES };

static const char *const names[IMAGES] = {
    [BLACK] = "black", [WHITE] = "white",           [GREY] = "grey",   [SLOPE] = "a slope",
    [WAVES] = "waves", [FINE_WAVES] = "fine waves", [NOISE] = "noise",
};

static double wave(double periods, double at, int channel)
{
    return 0.5 + 0.5 * sin(2 * M_PI * (periods * at + channel / 3.0));
}

/* In 0..1; x and y from 0 to 1. */
static double value_at(int image, double x, double y, int channel, struct rng *rng)
{
    switch (image) {
    case BLACK:
        return 0;
    case WHITE:
        return 1;
    case GREY:
        return 0.5;
    case SLOPE:
        return channel == 0 ? x : channel == 1 ? y : 1 - (x + y) / 2;
    case WAVES:
        return wave(2, x, channel) * wave(1, y, channel);
    case FINE_WAVES:
        return wave(9, x + y, channel);
    default:
        return rng_uniform(rng);
    }
}

int canary_images(void)
{
    return IMAGES;
}

const char *canary_image(const struct preprocess *p, int index, float *ret_input)
{
    struct rng rng;
    rng_init(&rng, 0, RNG_CANARY, 0, 0);
    for (int y = 0; y < p->height; y++) {
        for (int x = 0; x < p->width; x++, ret_input += 3) {
            uint8_t pixel[3];
            for (int c = 0; c < 3; c++)
                pixel[c] = (uint8_t)(255 * value_at(index, (double)x / p->width,
                                                    (double)y / p->height, c, &rng));
            preprocess_normalise(p, pixel, 1, ret_input);
        }
    }
    return names[index];
}

/* What the classifiers computed for the first image, and whether they computed something else for
 * another one. */
struct canary {
    const struct model *model;
    int classes;
    float *logits, *sum, *probabilities; /* [classes] */
    float *first;                        /* [classifiers][classes], the ensemble last */
    bool differs[SPEC_SECTIONS_MAX + 1];
};

/* place: the classifier's among all. */
static int look(struct canary *canary, int classifier, int place, int image, const float *logits,
                struct err *e)
{
    const int n = canary->classes;
    float *first = canary->first + (size_t)place * (size_t)n;
    for (int c = 0; c < n; c++) {
        if (isfinite(logits[c])) continue;
        return err_set(e, ERR_UNSUPPORTED,
                       "classifier %s computes %g for class %d of a test image (%s), which is not "
                       "finite",
                       model_classifier_name(classifier), (double)logits[c], c, names[image]);
    }
    loss_softmax(n, logits, model_temperature(canary->model, classifier), canary->probabilities);
    for (int c = 0; c < n; c++) {
        if (isfinite(canary->probabilities[c])) continue;
        return err_set(e, ERR_UNSUPPORTED,
                       "classifier %s gives class %d of a test image (%s) the probability %g",
                       model_classifier_name(classifier), c, names[image],
                       (double)canary->probabilities[c]);
    }
    if (image == 0)
        memcpy(first, logits, (size_t)n * sizeof(*first));
    else if (memcmp(first, logits, (size_t)n * sizeof(*first)) != 0)
        canary->differs[place] = true;
    return 0;
}

/* It never answers, whatever it computes. */
static bool is_untrained(const struct canary *canary, int exit)
{
    return (canary->model->training.untrained >> exit & 1) != 0;
}

static int compute(struct canary *canary, struct exec *exec, int image, struct err *e)
{
    const int sections = net_sections(canary->model->net), n = canary->classes;
    int members = 0;
    canary_image(&canary->model->preprocess, image, exec_input(exec, 0));
    memset(canary->sum, 0, (size_t)n * sizeof(*canary->sum));
    for (int s = 0; s < sections; s++) {
        exec_section(exec, s, 1, s > 0);
        if (is_untrained(canary, s)) continue;
        exec_head(exec, s, 0, 1, canary->logits);
        members++;
        int rc = look(canary, s, s, image, canary->logits, e);
        if (rc < 0) return rc;
        for (int c = 0; c < n; c++) canary->sum[c] += canary->logits[c];
    }
    for (int c = 0; c < n; c++) canary->sum[c] /= (float)members;
    return look(canary, MODEL_ENSEMBLE, sections, image, canary->sum, e);
}

static int run(struct canary *canary, struct exec *exec, struct err *e)
{
    const int sections = net_sections(canary->model->net);
    for (int image = 0; image < IMAGES; image++) {
        int rc = compute(canary, exec, image, e);
        if (rc < 0) return rc;
    }
    for (int s = 0; s <= sections; s++) {
        if (canary->differs[s] || (s < sections && is_untrained(canary, s))) continue;
        const float *first = canary->first + (size_t)s * (size_t)canary->classes;
        return err_set(e, ERR_UNSUPPORTED,
                       "classifier %s computes the same for %d different test images (%g for class "
                       "0, ..): it looks at none",
                       model_classifier_name(s < sections ? s : MODEL_ENSEMBLE), IMAGES,
                       (double)first[0]);
    }
    return 0;
}

int canary_check(const struct model *model, struct exec *exec, struct err *e)
{
    const size_t n = (size_t)net_classes(model->net);
    struct canary canary = {.model = model, .classes = (int)n};
    canary.logits = mem_new(n, sizeof(float));
    canary.sum = mem_new(n, sizeof(float));
    canary.probabilities = mem_new(n, sizeof(float));
    canary.first = mem_new((size_t)net_sections(model->net) + 1, n * sizeof(float));
    int rc = canary.logits == NULL || canary.sum == NULL || canary.probabilities == NULL ||
                     canary.first == NULL
                 ? err_set(e, -ENOMEM, "out of memory for the test images")
                 : run(&canary, exec, e);
    mem_free(canary.first);
    mem_free(canary.probabilities);
    mem_free(canary.sum);
    mem_free(canary.logits);
    return rc;
}
