/* What is counted of classifications. On the loop thread. */
#ifndef API_COUNTS_H
#define API_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/metric.h"
#include "serve/engine.h"

enum deadline_result { DEADLINE_MET, DEADLINE_MISSED, DEADLINE_HELD, DEADLINE_RESULTS };

struct counts {
    struct metric_family *requests, *duration, *deadlines, *refused, *model_info;
    struct metric *in_flight, *deadline[DEADLINE_RESULTS];
};

int counts_init(struct counts *counts, struct metrics *metrics, struct err *e);

/* A request that was answered: by a classifier (result), or not (NULL). version may be NULL. */
void counts_answered(struct counts *counts, const struct version *version,
                     const struct result *result, int code, int64_t duration_ns);

/* A request that was refused although it was well formed: "overload", "deadline", "memory".. */
void counts_refused(struct counts *counts, const char *reason);

/* What became of a request's deadline. */
void counts_deadline(struct counts *counts, enum deadline_result result);

/* Which versions are served. */
void counts_models(struct counts *counts, struct engine *engine);

#endif
