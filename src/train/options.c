/* The options of a training: defaults, limits, texts.
 *
 * Limits are wide: they keep out what cannot be meant or computed, not what is unwise. */
#include "config.h"

#include "train/options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "data/batch.h"
#include "train/preset.h"

/* Below, the logarithms of mixup's gamma numbers leave what a double can tell apart; Beta(A, A) is
 * 0 or 1 long before. */
#define MIXUP_MIN 1e-6
#define MIXUP_MAX 1000.0

void train_options_default(struct train_options *ret_options)
{
    *ret_options = (struct train_options){
        .method = method_find("byot"),
        .distillation = method_find("byot")->defaults,
        .epochs = 200,
        .batch = 128,
        .warmup = 2,
        .schedule = {.kind = SCHEDULE_COSINE},
        .lr = 0.1,
        .momentum = 0.9,
        .weight_decay = 5e-4,
        .augment = AUGMENT_CROP | AUGMENT_FLIP,
        .holdout = 5000,
    };
}

static int check_int(const char *name, int64_t value, int64_t min, int64_t max, struct err *e)
{
    if (value >= min && value <= max) return 0;
    return err_set(e, ERR_RANGE, "--%s %lld: it takes a whole number from %lld to %lld", name,
                   (long long)value, (long long)min, (long long)max);
}

static int check_real(const char *name, double value, double min, double max, struct err *e)
{
    if (value >= min && value <= max) return 0;
    return err_set(e, ERR_RANGE, "--%s %g: it takes a number from %g to %g", name, value, min, max);
}

int train_options_check(const struct train_options *o, struct err *e)
{
    const struct distillation *d = &o->distillation;
    int rc = check_int("epochs", o->epochs, 1, 1000000, e);
    if (rc == 0) rc = check_int("batch", o->batch, 2, 65536, e);
    if (rc == 0) rc = check_int("warmup", o->warmup, 0, 1000000, e);
    if (rc == 0) rc = check_int("holdout", o->holdout, 0, INT32_MAX, e);
    if (rc == 0) rc = check_real("lr", o->lr, 0, 1e9, e);
    if (rc == 0) rc = check_real("momentum", o->momentum, 0, 0.999999, e);
    if (rc == 0) rc = check_real("weight-decay", o->weight_decay, 0, 1, e);
    if (rc == 0) rc = check_real("temperature", d->temperature, 0.01, 1000, e);
    if (rc == 0) rc = check_real("alpha", d->alpha, 0, 1, e);
    if (rc == 0) rc = check_real("lambda", d->lambda, 0, 1e6, e);
    if (rc == 0) rc = check_real("beta", d->beta, 0, 1e9, e);
    if (rc == 0) rc = check_real("label-smoothing", o->label_smoothing, 0, 1, e);
    if (rc < 0 || o->mixup == 0 || (o->mixup >= MIXUP_MIN && o->mixup <= MIXUP_MAX)) return rc;
    return err_set(e, ERR_RANGE, "--mixup %g: it takes 0, or a number from %g to %g", o->mixup,
                   MIXUP_MIN, MIXUP_MAX);
}

static struct train_text *next_text(struct train_text *texts, size_t *n, const char *name)
{
    texts[*n].name = name;
    texts[*n].implied = false;
    return &texts[(*n)++];
}

static void add_real(struct train_text *texts, size_t *n, const char *name, double value)
{
    _Static_assert((int)TRAIN_TEXT_MAX >= (int)TEXT_NUMBER_MAX, "a number fits");
    text_double(value, next_text(texts, n, name)->value);
}

static void add_int(struct train_text *texts, size_t *n, const char *name, int64_t value)
{
    snprintf(next_text(texts, n, name)->value, TRAIN_TEXT_MAX, "%lld", (long long)value);
}

static void add_seed(struct train_text *texts, size_t *n, const char *name, uint64_t value)
{
    snprintf(next_text(texts, n, name)->value, TRAIN_TEXT_MAX, "%llu", (unsigned long long)value);
}

static void add_string(struct train_text *texts, size_t *n, const char *name, const char *value)
{
    snprintf(next_text(texts, n, name)->value, TRAIN_TEXT_MAX, "%s", value);
}

/* The last text need not be said. */
static void imply(struct train_text *texts, size_t n, bool is_default)
{
    texts[n - 1].implied = is_default;
}

static void add_hint(struct train_text *texts, size_t *n, const struct distillation *d)
{
    char exits[HINT_EXITS_TEXT_MAX];
    add_string(texts, n, "hint", hint_name(d->hint));
    imply(texts, *n, d->hint == LOSS_HINT_MEAN);
    hint_exits_format(d->hint_exits, exits);
    add_string(texts, n, "hint-exits", exits);
    imply(texts, *n, d->hint_exits == 0);
}

size_t train_options_texts(const struct train_options *o,
                           struct train_text ret_texts[TRAIN_TEXTS_MAX])
{
    size_t n = 0;
    char text[SCHEDULE_TEXT_MAX];
    _Static_assert((int)SCHEDULE_TEXT_MAX >= (int)AUGMENT_TEXT_MAX, "either fits");
    add_string(ret_texts, &n, "method", o->method->name);
    add_int(ret_texts, &n, "epochs", o->epochs);
    add_int(ret_texts, &n, "batch", o->batch);
    add_real(ret_texts, &n, "lr", o->lr);
    add_real(ret_texts, &n, "momentum", o->momentum);
    add_real(ret_texts, &n, "weight-decay", o->weight_decay);
    schedule_format(&o->schedule, text);
    add_string(ret_texts, &n, "schedule", text);
    add_int(ret_texts, &n, "warmup", o->warmup);
    augment_format(o->augment, text);
    add_string(ret_texts, &n, "augment", text);
    add_real(ret_texts, &n, "label-smoothing", o->label_smoothing);
    imply(ret_texts, n, o->label_smoothing == 0);
    add_real(ret_texts, &n, "mixup", o->mixup);
    imply(ret_texts, n, o->mixup == 0);
    if (method_distils(o->method)) {
        add_real(ret_texts, &n, "temperature", o->distillation.temperature);
        add_real(ret_texts, &n, "alpha", o->distillation.alpha);
        add_string(ret_texts, &n, "kd-scale", o->distillation.kd_scale ? "on" : "off");
    }
    if (method_hints(o->method)) add_real(ret_texts, &n, "lambda", o->distillation.lambda);
    if (o->method->self_distillation) add_hint(ret_texts, &n, &o->distillation);
    if (method_attends(o->method)) add_real(ret_texts, &n, "beta", o->distillation.beta);
    add_int(ret_texts, &n, "holdout", o->holdout);
    add_seed(ret_texts, &n, "holdout-seed", o->holdout_seed);
    add_seed(ret_texts, &n, "seed", o->seed);
    return n;
}
