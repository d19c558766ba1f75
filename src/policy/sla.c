/* What a request asks for (doc/sla.md), from headers and body members to native values. One table
 * has a row for each thing that can be said; header and member share its parser, so that they
 * cannot differ. Numbers are read by a parser of our own: strtod() follows the locale and takes
 * "inf", "0x1p3" and blanks. Left out: what the values mean for a network (way.c) and for the time
 * (desk.c). */
#include "config.h"

#include "policy/sla.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* Longer times are taken as this one (some 30 years), so that no sum overflows. */
#define BOUND_MAX_NS (INT64_C(1000000000) * CLOCK_SECOND)

enum { URGENCY_DEFAULT = 3, URGENCY_MAX = 7, VALUE_SHOWN_MAX = 40 };

/* A stretch of text that need not end in a NUL. */
struct span {
    const char *at;
    size_t size;
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool same_name(const char *a, const char *b)
{
    for (; *a != '\0' && lower(*a) == lower(*b); a++, b++) continue;
    return lower(*a) == lower(*b);
}

static bool starts_with_name(const char *text, const char *prefix)
{
    for (; *prefix != '\0'; text++, prefix++) {
        if (lower(*text) != lower(*prefix)) return false;
    }
    return true;
}

static struct span trim(struct span s)
{
    while (s.size > 0 && (s.at[0] == ' ' || s.at[0] == '\t')) s.at++, s.size--;
    while (s.size > 0 && (s.at[s.size - 1] == ' ' || s.at[s.size - 1] == '\t')) s.size--;
    return s;
}

static struct span span_of(const char *text)
{
    return trim((struct span){text, text != NULL ? strlen(text) : 0});
}

static bool span_is(struct span s, const char *text)
{
    return s.size == strlen(text) && memcmp(s.at, text, s.size) == 0;
}

/* What stands before the next separator that does not stand in quotes; rest moves behind it. */
static struct span cut(struct span *rest, char separator)
{
    struct span piece = {rest->at, 0};
    bool quoted = false;
    while (piece.size < rest->size) {
        char c = rest->at[piece.size];
        if (quoted && c == '\\' && piece.size + 1 < rest->size) {
            piece.size++;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (c == separator && !quoted) {
            break;
        }
        piece.size++;
    }
    size_t used = piece.size < rest->size ? piece.size + 1 : piece.size;
    rest->at += used;
    rest->size -= used;
    return trim(piece);
}

/* Digits only, at most max_digits of them. */
static bool parse_integer(struct span s, size_t max_digits, int64_t *ret_value)
{
    if (s.size == 0 || s.size > max_digits || max_digits > 18) return false;
    int64_t value = 0;
    for (size_t i = 0; i < s.size; i++) {
        if (!is_digit(s.at[i])) return false;
        value = value * 10 + (s.at[i] - '0');
    }
    *ret_value = value;
    return true;
}

/* digits [ "." digits ] [ exponent, where it is allowed ]. No sign, no blanks, no locale. */
static bool parse_decimal(struct span s, bool exponent_allowed, double *ret_value)
{
    enum { LENGTH_MAX = 400, MANTISSA_DIGITS = 18, SCALE_MAX = 400 };
    if (s.size == 0 || s.size > LENGTH_MAX) return false;
    uint64_t mantissa = 0;
    int digits = 0, scale = 0;
    size_t i = 0;
    for (bool fraction = false;; fraction = true) {
        size_t first = i;
        for (; i < s.size && is_digit(s.at[i]); i++) {
            if (digits < MANTISSA_DIGITS) {
                mantissa = mantissa * 10 + (uint64_t)(s.at[i] - '0');
                if (mantissa > 0) digits++;
                if (fraction) scale--;
            } else if (!fraction) {
                scale++;
            }
        }
        if (i == first) return false;
        if (fraction || i == s.size || s.at[i] != '.') break;
        i++;
    }
    if (exponent_allowed && i < s.size && lower(s.at[i]) == 'e') {
        i++;
        bool negative = i < s.size && s.at[i] == '-';
        if (i < s.size && (s.at[i] == '-' || s.at[i] == '+')) i++;
        int64_t exponent;
        if (!parse_integer((struct span){s.at + i, s.size - i}, 4, &exponent)) return false;
        scale += negative ? -(int)exponent : (int)exponent;
        i = s.size;
    }
    if (i != s.size) return false;
    if (scale > SCALE_MAX) scale = SCALE_MAX;
    if (scale < -SCALE_MAX) scale = -SCALE_MAX;
    double value = (double)mantissa;
    /* Powers of ten up to 10^22 are exact, so that usual values are rounded once. */
    for (; scale < 0 && value != 0; scale += scale < -22 ? 22 : -scale) {
        value /= pow(10.0, scale < -22 ? 22 : -scale);
    }
    for (; scale > 0 && value != 0 && isfinite(value); scale -= scale > 22 ? 22 : scale) {
        value *= pow(10.0, scale > 22 ? 22 : scale);
    }
    *ret_value = value;
    return true;
}

static int64_t bounded_ns(double ns)
{
    if (ns >= (double)BOUND_MAX_NS) return BOUND_MAX_NS;
    return ns < 1 ? 1 : llround(ns);
}

/* Each parser reads one value into a struct sla; false: not what the row takes. */

static bool parse_classifier(struct span s, bool in_body, struct sla *sla)
{
    (void)in_body;
    int64_t number;
    sla->exit = 0;
    if (span_is(s, "deepest")) {
        sla->classifier = SLA_DEEPEST;
    } else if (span_is(s, "ensemble")) {
        sla->classifier = SLA_ENSEMBLE;
    } else if (span_is(s, "auto")) {
        sla->classifier = SLA_AUTO;
    } else if (s.size > 9 && span_is((struct span){s.at, 9}, "ensemble:") &&
               parse_integer((struct span){s.at + 9, s.size - 9}, 4, &number) && number >= 2 &&
               s.at[9] != '0') {
        sla->classifier = SLA_RUNNING;
        sla->exit = (int)number - 1;
    } else if (parse_integer(s, 4, &number) && number >= 1 && s.at[0] != '0') {
        sla->classifier = SLA_EXIT;
        sla->exit = (int)number - 1;
    } else {
        return false;
    }
    return true;
}

static bool parse_deadline(struct span s, bool in_body, struct sla *sla)
{
    double ms;
    if (!parse_decimal(s, in_body, &ms) || !(ms > 0)) return false;
    sla->deadline_ns = bounded_ns(ms * (double)CLOCK_MS);
    return true;
}

static bool parse_fraction(struct span s, bool in_body, double *ret_value)
{
    double value;
    if (!parse_decimal(s, in_body, &value) || value > 1) return false;
    *ret_value = value;
    return true;
}

static bool parse_min_confidence(struct span s, bool in_body, struct sla *sla)
{
    return parse_fraction(s, in_body, &sla->min_confidence);
}

static bool parse_min_accuracy(struct span s, bool in_body, struct sla *sla)
{
    return parse_fraction(s, in_body, &sla->min_accuracy);
}

static bool parse_max_loss(struct span s, bool in_body, struct sla *sla)
{
    sla->has_max_loss = parse_fraction(s, in_body, &sla->max_loss);
    return sla->has_max_loss;
}

static bool parse_on_miss(struct span s, bool in_body, struct sla *sla)
{
    (void)in_body;
    sla->fail_on_miss = span_is(s, "fail");
    return sla->fail_on_miss || span_is(s, "degrade");
}

static bool parse_urgency(struct span s, struct sla *sla)
{
    int64_t urgency;
    if (!parse_integer(s, 1, &urgency) || urgency > URGENCY_MAX) return false;
    sla->urgency = (int)urgency;
    return true;
}

/* RFC 9218 section 4 is a structured dictionary (RFC 8941): of its members only u is for us, and as
 * there the last u counts. Without any, the urgency stays as it is. */
static bool parse_priority(struct span s, bool in_body, struct sla *sla)
{
    if (in_body && s.size == 1) return parse_urgency(s, sla);
    while (s.size > 0) {
        struct span member = cut(&s, ',');
        struct span value = cut(&member, ';');
        struct span key = cut(&value, '=');
        if (span_is(key, "u") && !parse_urgency(value, sla)) return false;
    }
    return true;
}

static const struct row {
    const char *header, *member, *takes;
    bool (*parse)(struct span value, bool in_body, struct sla *sla);
} rows[SLA_MEMBERS] = {
    [SLA_M_CLASSIFIER] =
        {"SLA-Classifier", "classifier",
         "the number of a classifier from 1, deepest, ensemble, ensemble:K or auto",
         parse_classifier},
    [SLA_M_DEADLINE_MS] = {"SLA-Deadline-Ms", "deadline_ms",
                           "a decimal number of milliseconds greater than 0", parse_deadline},
    [SLA_M_MIN_CONFIDENCE] = {"SLA-Min-Confidence", "min_confidence",
                              "a decimal number from 0 to 1", parse_min_confidence},
    [SLA_M_MIN_ACCURACY] = {"SLA-Min-Accuracy", "min_accuracy", "a decimal number from 0 to 1",
                            parse_min_accuracy},
    [SLA_M_MAX_LOSS] = {"SLA-Max-Loss", "max_loss", "a decimal number from 0 to 1", parse_max_loss},
    [SLA_M_ON_MISS] = {"SLA-On-Miss", "on_miss", "degrade or fail", parse_on_miss},
    [SLA_M_PRIORITY] = {"Priority", "priority", "u=0 to u=7 (RFC 9218)", parse_priority},
};

/* What the message shows of a value: printable ASCII, shortened. */
static int refuse(struct err *e, const char *name, struct span value, const char *takes)
{
    char shown[VALUE_SHOWN_MAX + 4];
    size_t n = value.size < VALUE_SHOWN_MAX ? value.size : VALUE_SHOWN_MAX;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)value.at[i];
        shown[i] = c >= 0x20 && c < 0x7f && c != '"' ? (char)c : '?';
    }
    strcpy(shown + n, value.size > n ? "..." : "");
    return err_set(e, ERR_RANGE, "%s: \"%s\" given, takes %s", name, shown, takes);
}

/* The values of a row agree? The others are not looked at. */
static bool same_value(enum sla_member m, const struct sla *a, const struct sla *b)
{
    switch (m) {
    case SLA_M_CLASSIFIER:
        return a->classifier == b->classifier && a->exit == b->exit;
    case SLA_M_DEADLINE_MS:
        return a->deadline_ns == b->deadline_ns;
    case SLA_M_MIN_CONFIDENCE:
        return a->min_confidence == b->min_confidence;
    case SLA_M_MIN_ACCURACY:
        return a->min_accuracy == b->min_accuracy;
    case SLA_M_MAX_LOSS:
        return a->max_loss == b->max_loss;
    case SLA_M_ON_MISS:
        return a->fail_on_miss == b->fail_on_miss;
    case SLA_M_PRIORITY:
        return a->urgency == b->urgency;
    case SLA_MEMBERS:
        break;
    }
    return false;
}

/* grpc-timeout (gRPC over HTTP/2, "Timeout"): 1 to 8 digits, positive, and a unit, case-sensitive.
 */
static bool parse_grpc_timeout(struct span s, int64_t *ret_ns)
{
    static const struct {
        char unit;
        double ns;
    } units[] = {{'H', 3600e9}, {'M', 60e9}, {'S', 1e9}, {'m', 1e6}, {'u', 1e3}, {'n', 1}};
    int64_t value;
    if (s.size < 2 || !parse_integer((struct span){s.at, s.size - 1}, 8, &value)) return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (s.at[s.size - 1] != units[i].unit) continue;
        *ret_ns = bounded_ns((double)value * units[i].ns);
        return value > 0;
    }
    return false;
}

/* Envoy counts in milliseconds; 0 says that it waits for ever. */
static bool parse_envoy_timeout(struct span s, int64_t *ret_ns)
{
    int64_t ms;
    if (!parse_integer(s, 18, &ms)) return false;
    *ret_ns = ms == 0 ? 0 : bounded_ns((double)ms * (double)CLOCK_MS);
    return true;
}

/* RFC 7240: a list of preferences, each with parameters; wait (section 4.3) is in seconds. */
static bool parse_prefer(struct span s, int64_t *ret_ns)
{
    int64_t smallest = 0;
    while (s.size > 0) {
        struct span preference = cut(&s, ',');
        struct span value = cut(&preference, ';');
        struct span name = cut(&value, '=');
        value = trim(value);
        if (name.size != 4 || !starts_with_name(name.at, "wait")) continue;
        if (value.size >= 2 && value.at[0] == '"' && value.at[value.size - 1] == '"') {
            value = (struct span){value.at + 1, value.size - 2};
        }
        int64_t seconds;
        if (!parse_integer(value, 18, &seconds) || seconds == 0) return false;
        int64_t ns = bounded_ns((double)seconds * (double)CLOCK_SECOND);
        if (smallest == 0 || ns < smallest) smallest = ns;
    }
    *ret_ns = smallest;
    return true;
}

static const struct bound {
    const char *header, *takes;
    bool repeats; /* a list that may be spread over several lines */
    bool (*parse)(struct span value, int64_t *ret_ns);
} bounds[] = {
    {"grpc-timeout", "1 to 8 digits, not 0, and a unit of H M S m u n", false, parse_grpc_timeout},
    {"x-envoy-expected-rq-timeout-ms", "an integer number of milliseconds", false,
     parse_envoy_timeout},
    {"Prefer", "wait=N with N seconds, not 0", true, parse_prefer},
};

const char *sla_reason_name(enum sla_reason reason)
{
    static const char *const names[] = {
        [SLA_REQUESTED] = "requested", [SLA_CONFIDENCE] = "confidence",
        [SLA_ACCURACY] = "accuracy",   [SLA_BY_DEADLINE] = "deadline",
        [SLA_OVERLOAD] = "overload",   [SLA_EXHAUSTED] = "exhausted",
    };
    return names[reason];
}

void sla_draft_init(struct sla_draft *draft)
{
    *draft = (struct sla_draft){.values = {.classifier = SLA_DEEPEST,
                                           .min_confidence = -1,
                                           .min_accuracy = -1,
                                           .urgency = URGENCY_DEFAULT}};
}

static int draft_bound(struct sla_draft *draft, size_t i, struct span value, struct err *e)
{
    if (!bounds[i].repeats && (draft->bounds_seen & 1u << i) != 0) {
        return err_set(e, ERR_RANGE, "%s: given twice, takes %s once", bounds[i].header,
                       bounds[i].takes);
    }
    draft->bounds_seen |= 1u << i;
    int64_t ns;
    if (!bounds[i].parse(value, &ns)) return refuse(e, bounds[i].header, value, bounds[i].takes);
    if (ns > 0 && (draft->bound_ns == 0 || ns < draft->bound_ns)) draft->bound_ns = ns;
    return 0;
}

int sla_draft_header(struct sla_draft *draft, const char *name, const char *value, struct err *e)
{
    struct span text = span_of(value);
    for (size_t i = 0; i < SLA_MEMBERS; i++) {
        if (!same_name(name, rows[i].header)) continue;
        if (draft->given[i]) {
            return err_set(e, ERR_RANGE, "%s: given twice, takes %s once", rows[i].header,
                           rows[i].takes);
        }
        struct sla values = draft->values;
        if (!rows[i].parse(text, false, &values)) {
            return refuse(e, rows[i].header, text, rows[i].takes);
        }
        draft->values = values;
        draft->given[i] = true;
        return 0;
    }
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        if (same_name(name, bounds[i].header)) return draft_bound(draft, i, text, e);
    }
    if (starts_with_name(name, "SLA-")) {
        return refuse(e, "SLA-*", span_of(name),
                      "only SLA-Classifier, SLA-Deadline-Ms, SLA-Min-Confidence, SLA-Min-Accuracy, "
                      "SLA-Max-Loss and SLA-On-Miss");
    }
    return 0;
}

int sla_draft_member(struct sla_draft *draft, const char *prefix, const char *name,
                     const char *value, struct err *e)
{
    size_t skip = strlen(prefix);
    if (strncmp(name, prefix, skip) != 0) return 0;
    struct span text = span_of(value);
    for (size_t i = 0; i < SLA_MEMBERS; i++) {
        if (strcmp(name + skip, rows[i].member) != 0) continue;
        struct sla values = draft->values;
        if (!rows[i].parse(text, true, &values)) return refuse(e, name, text, rows[i].takes);
        if (draft->given[i] && !same_value((enum sla_member)i, &values, &draft->values)) {
            return err_set(e, ERR_CONFLICT,
                           "%s and the header %s disagree: give one of them (takes %s)", name,
                           rows[i].header, rows[i].takes);
        }
        draft->values = values;
        draft->given[i] = true;
        return 0;
    }
    return refuse(e, skip > 0 ? "parameters" : "sla", span_of(name),
                  "only classifier, deadline_ms, min_confidence, min_accuracy, max_loss, on_miss "
                  "and priority");
}

/* What says how good an answer must be, of what was given; SLA_MEMBERS: nothing does. */
static enum sla_member least_of(const struct sla_draft *draft)
{
    static const enum sla_member wishes[] = {SLA_M_MIN_CONFIDENCE, SLA_M_MIN_ACCURACY,
                                             SLA_M_MAX_LOSS};
    for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
        if (draft->given[wishes[i]]) return wishes[i];
    }
    return SLA_MEMBERS;
}

int sla_draft_finish(const struct sla_draft *draft, enum sla_classifier fallback,
                     struct sla *ret_sla, struct err *e)
{
    struct sla sla = draft->values;
    const enum sla_member least_said = least_of(draft);
    const bool least = least_said != SLA_MEMBERS;
    if (!draft->given[SLA_M_CLASSIFIER]) {
        bool chosen_by_bound = least || draft->given[SLA_M_DEADLINE_MS];
        sla.classifier = chosen_by_bound ? SLA_AUTO : fallback;
        sla.exit = 0;
    } else if (least && sla.classifier != SLA_AUTO) {
        return err_set(e, ERR_RANGE,
                       "SLA-Classifier: takes auto, or nothing, together with %s: a named "
                       "classifier leaves no choice",
                       rows[least_said].header);
    }
    sla.deadline_chooses = sla.classifier == SLA_AUTO && draft->given[SLA_M_DEADLINE_MS] && !least;
    if (draft->bound_ns > 0 && (sla.deadline_ns == 0 || draft->bound_ns < sla.deadline_ns)) {
        sla.deadline_ns = draft->bound_ns;
    }
    *ret_sla = sla;
    return 0;
}

enum { NAMES_MAX = 96 };

/* What a model of so many exits can be asked for: of one, nothing runs together. */
static const char *name_all(int exits, char ret_text[NAMES_MAX])
{
    if (exits == 1)
        snprintf(ret_text, NAMES_MAX, "1, deepest, ensemble");
    else if (exits == 2)
        snprintf(ret_text, NAMES_MAX, "1 to 2, deepest, ensemble, ensemble:2,");
    else
        snprintf(ret_text, NAMES_MAX, "1 to %d, deepest, ensemble, ensemble:K with K from 2 to %d,",
                 exits, exits);
    return ret_text;
}

/* A classifier that was named by its number. */
static int check_named(const struct sla *sla, const struct classifiers *c, struct err *e)
{
    const char *prefix = sla->classifier == SLA_RUNNING ? "ensemble:" : "";
    if (sla->classifier != SLA_EXIT && sla->classifier != SLA_RUNNING) return 0;
    if (sla->exit >= c->exits) {
        char names[NAMES_MAX];
        return err_set(e, ERR_RANGE,
                       "SLA-Classifier: \"%s%d\" given, takes %s or auto for the model %s", prefix,
                       sla->exit + 1, name_all(c->exits, names), c->model);
    }
    if (sla->classifier == SLA_EXIT && (c->untrained >> sla->exit & 1) != 0) {
        return err_set(
            e, ERR_UNSUPPORTED,
            "SLA-Classifier: classifier %d of the model %s has not learned: take deepest "
            "or auto, or train the model on with a method that teaches all of them, like "
            "byot",
            sla->exit + 1, c->model);
    }
    if (sla->classifier == SLA_RUNNING && c->running[sla->exit] == 0) {
        return err_set(e, ERR_UNSUPPORTED,
                       "SLA-Classifier: the model %s has no weights for ensemble:%d, which are "
                       "fitted when it is trained with held-out images, for exits that learn: "
                       "ensemble has equal ones",
                       c->model, sla->exit + 1);
    }
    return 0;
}

int sla_level(const struct sla *sla, const struct classifiers *classifiers)
{
    int level = classifiers->levels - 1;
    while (level >= 0 && classifiers->max_loss[level] > sla->max_loss) level--;
    return level;
}

/* Rule 12. */
static int check_loss(const struct sla *sla, const struct classifiers *c, struct err *e)
{
    if (!sla->has_max_loss || sla_level(sla, c) >= 0) return 0;
    if (c->levels == 0)
        return err_set(e, ERR_UNSUPPORTED,
                       "SLA-Max-Loss: the model %s has no levels, which autodidact tune makes from "
                       "held-out images: take SLA-Min-Confidence, or name a classifier",
                       c->model);
    return err_set(e, ERR_UNSUPPORTED,
                   "SLA-Max-Loss: the model %s promises nothing below %g: ask for that, or tune it "
                   "for less",
                   c->model, c->max_loss[0]);
}

int sla_check_model(const struct sla *sla, const struct classifiers *classifiers, struct err *e)
{
    const struct classifiers *c = classifiers;
    int rc = check_named(sla, c, e);
    if (rc == 0) rc = check_loss(sla, c, e);
    if (rc < 0) return rc;
    if ((sla->min_confidence >= 0 || sla->min_accuracy >= 0) && !c->calibrated) {
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: the model %s was never calibrated on held-out images; name a "
                       "classifier or give a deadline instead",
                       sla->min_confidence >= 0 ? rows[SLA_M_MIN_CONFIDENCE].header
                                                : rows[SLA_M_MIN_ACCURACY].header,
                       c->model);
    }
    if (sla->min_accuracy >= 0 && sla->fail_on_miss) {
        double best = c->ensemble_accuracy;
        for (int i = 0; i < c->exits; i++) {
            bool learned = (c->untrained >> i & 1) == 0, running = c->running[i] != 0;
            if (learned && c->accuracy[i] > best) best = c->accuracy[i];
            if (running && c->running_accuracy[i] > best) best = c->running_accuracy[i];
        }
        if (sla->min_accuracy > best) {
            return err_set(e, ERR_UNSUPPORTED,
                           "SLA-Min-Accuracy: no classifier of the model %s reaches it; the best "
                           "has %.4f on held-out images",
                           c->model, best);
        }
    }
    return 0;
}

bool sla_met(const struct sla *sla, int64_t arrival_ns, int64_t handed_ns)
{
    return sla->deadline_ns == 0 || handed_ns - arrival_ns <= sla->deadline_ns;
}
