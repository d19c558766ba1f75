/* What a request asks for (doc/sla.md; SLA-* headers, "sla" in bodies, sla_* parameters of v2) as
 * native values. No clock, no threads: times are relative to the request's arrival. */
#ifndef POLICY_SLA_H
#define POLICY_SLA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "policy/classifiers.h"

enum sla_classifier {
    SLA_EXIT, /* exit `exit` (0-based) */
    SLA_DEEPEST,
    SLA_ENSEMBLE,
    SLA_RUNNING, /* the running ensemble of exits 0..`exit` */
    SLA_AUTO,
};

struct sla {
    enum sla_classifier classifier;
    int exit;              /* of SLA_EXIT and SLA_RUNNING, else 0 */
    int64_t deadline_ns;   /* after arrival; 0: none */
    double min_confidence; /* < 0: not given */
    double min_accuracy;   /* < 0: not given */
    bool has_max_loss;
    double max_loss; /* where it has */
    bool fail_on_miss;
    int urgency;           /* 0..7 */
    bool deadline_chooses; /* SLA_AUTO with SLA-Deadline-Ms and nothing else: the best classifier
                              that fits the time (rule 2); a bound of another header never sets it
                              (rule 1) */
};

enum sla_reason {
    SLA_REQUESTED,
    SLA_CONFIDENCE,
    SLA_ACCURACY,
    SLA_BY_DEADLINE,
    SLA_OVERLOAD,
    SLA_EXHAUSTED
};
const char *sla_reason_name(enum sla_reason reason);

/* What was said so far: each source is parsed once, contradictions are found. */
enum sla_member {
    SLA_M_CLASSIFIER,
    SLA_M_DEADLINE_MS,
    SLA_M_MIN_CONFIDENCE,
    SLA_M_MIN_ACCURACY,
    SLA_M_MAX_LOSS,
    SLA_M_ON_MISS,
    SLA_M_PRIORITY,
    SLA_MEMBERS
};

struct sla_draft {
    bool given[SLA_MEMBERS];
    struct sla values;
    int64_t bound_ns; /* smallest of grpc-timeout, x-envoy-expected-rq-timeout-ms, Prefer: wait; 0:
                         none */
    unsigned bounds_seen; /* which of these, private */
};

void sla_draft_init(struct sla_draft *draft);

/* One header, name and value as received (names in any case). Headers that are not ours are
 * ignored; an unknown SLA-* name, a value out of range or a header given twice is ERR_RANGE with a
 * message that names the header and what it takes. Whether exit N exists is checked against the
 * model later. */
int sla_draft_header(struct sla_draft *draft, const char *name, const char *value, struct err *e);

/* One member of a JSON body ("classifier", "deadline_ms"..), the value as text; numbers may have an
 * exponent here, priority is "u=5" or "5". prefix ("" or "sla_") stands before the names in this
 * body; where it is not empty, names without it are somebody else's and ignored. Disagreement with
 * a header is ERR_CONFLICT. */
int sla_draft_member(struct sla_draft *draft, const char *prefix, const char *name,
                     const char *value, struct err *e);

/* Puts the draft together: defaults, `auto` when only an SLA-* bound is given, Min-* and Max-Loss
 * with a named classifier refused (rules 3 and 12), the smallest time bound. */
int sla_draft_finish(const struct sla_draft *draft, enum sla_classifier fallback,
                     struct sla *ret_sla, struct err *e);

/* What the classifiers must be able to do for this SLA: the exit exists and has learned, weights
 * where a running ensemble is named, calibration where Min-* needs it, a level where a loss is
 * bounded. ERR_RANGE (400) or ERR_UNSUPPORTED (422). */
int sla_check_model(const struct sla *sla, const struct classifiers *classifiers, struct err *e);

/* The level of the classifiers for a bounded loss: the largest that is not above it, or -1 (rule
 * 12).
 */
int sla_level(const struct sla *sla, const struct classifiers *classifiers);

/* Rule 9: whether a reply that is handed over at handed_ns is in time. True without a deadline. */
bool sla_met(const struct sla *sla, int64_t arrival_ns, int64_t handed_ns);

#endif
