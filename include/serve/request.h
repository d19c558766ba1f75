/* A request: n images under one SLA, from submission to answer. Made by http, owned by the engine
 * from engine_submit() until its done callback. Everything in it lives in its arena. */
#ifndef SERVE_REQUEST_H
#define SERVE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "decode/work.h"
#include "model/model.h"
#include "policy/sla.h"
#include "serve/version.h"

/* The answer for one image. */
struct result {
    int status; /* 0, or negative for an image that could not be answered, alone of its request:
                   ERR_FORMAT.. what decode_run() said, ERR_DEADLINE, ERR_DIVERGED.. */
    struct err error; /* message for status */
    int classifier;   /* exit (0-based) or MODEL_ENSEMBLE */
    enum sla_reason reason;
    const float *probabilities; /* [classes], calibrated */
    int exits_run;              /* sections that were run */
    const float
        *exit_probabilities[SPEC_SECTIONS_MAX]; /* calibrated; NULL where the head was not run */
    int batch[SPEC_SECTIONS_MAX]; /* how many items ran in the batch of each section; 0: not run */
};

struct request_timing {
    int64_t decode_ns, queue_ns, section_ns[SPEC_SECTIONS_MAX], head_ns; /* of the slowest item */
};

struct request {
    /* set by the submitter */
    struct arena *arena;
    struct sla sla;
    int64_t arrival_ns;                  /* clock_now() when the request line had been read */
    char model_name[MODEL_NAME_MAX + 1]; /* "": the default model */
    const struct input *images;          /* [n_images]; they and their bytes must stay until done */
    int n_images;
    uint64_t client; /* the same for those of one connection, who share its share of the decoder; 0:
                        not known */
    void (*done)(
        struct request *request); /* called once, on an engine thread; hands the request back */
    void *owner;                  /* the submitter's */

    /* set by the engine */
    struct version *version; /* a reference; version_unref() by the submitter, after done */
    int status; /* 0: at least one image has an answer. Else ERR_DEADLINE (504), ERR_BUSY (503),
                   ERR_CANCELLED, or why its first image has none: ERR_FORMAT.. (422), ERR_DIVERGED:
                   the model computed what is not finite (500) */
    struct err error;       /* message for status; of several images it names which one */
    int retry_after_s;      /* with ERR_BUSY */
    struct result *results; /* [n_images] */
    struct request_timing timing;

    void *engine_private;
};

#endif
