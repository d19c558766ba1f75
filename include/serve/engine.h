/* The engine: scheduler queues per (model version, section), one compute worker a
 * core. Requests go in by engine_submit() and come back by their done callback. */
#ifndef SERVE_ENGINE_H
#define SERVE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/metric.h"
#include "image/image.h"
#include "policy/cost.h"
#include "serve/publication.h"
#include "serve/request.h"
#include "serve/shares.h"
#include "serve/version.h"

struct decoder;
struct engine;

struct engine_options {
    unsigned workers;          /* compute threads; 0: one a processor */
    struct decoder *decoder;   /* makes inputs; outlives the engine. NULL: for an engine that only
                                  publishes */
    size_t decode_memory_max;  /* bytes that decoding may take, all of it together; default 1 GiB */
    int batch_max;             /* items in one section batch, default 32 */
    int queue_max;             /* items admitted and not answered, default 1024 */
    int64_t default_target_ns; /* sla.default_target_ms, default 1 s */
    struct shares shares;      /* default: each model 1 */
    struct image_limits image_limits;
    enum precision precision; /* default PRECISION_FP32 */
    bool measure;             /* the algorithms of convolutions, instead of going by rule */
    char choices_path[4096];  /* where what was measured is kept; "": nowhere */
    /* Gets each version when its last reference is gone, on whatever thread let that go, and has it
     * freed (version_list_free()) where that may take long. Must not wait, and must be there for as
     * long as a version is. NULL: versions are freed at once. */
    void (*retire)(void *arg, struct version *version);
    void *retire_arg;
};

void engine_options_default(struct engine_options *options);

/* metrics may be NULL. The engine fills section duration, batch size and queue wait, what was
 * predicted of sections and has been learned, and who waits for being decoded. */
struct engine *engine_new(const struct engine_options *options, struct metrics *metrics,
                          struct err *e);

/* Stops taking requests, finishes what is in flight, joins the threads. Not on an engine thread. */
void engine_free(struct engine *engine);

/* A reference to the current version; "" is the default model; NULL when there is none. */
struct version *engine_version(struct engine *engine, const char *name);

/* Names of all published models; the strings live as long as the engine. Returns how many. */
size_t engine_model_names(struct engine *engine, const char **ret_names, size_t max);

/* Predicted seconds of one image up to and including a classifier's answer (exit, or
 * MODEL_ENSEMBLE) on an idle machine, from the version's cost table. */
double engine_cost(struct engine *engine, const struct version *version, int classifier);

/* What computing a version costs, and what has been learned of it since it was published. */
struct engine_costs {
    int sizes; /* of batches */
    int batch[COST_SIZES_MAX];
    /* Seconds of such a batch, as measured when it was published: without the factors. */
    double section_s[SPEC_SECTIONS_MAX][COST_SIZES_MAX], head_s[SPEC_SECTIONS_MAX][COST_SIZES_MAX];
    double slow_down, helped; /* cost_slow_down(), cost_helped() */
    double share;             /* of the machine, beside other models' */
};
void engine_costs(struct engine *engine, const struct version *version, struct engine_costs *ret);

/* What has been learned is shown to metrics as it is now. */
void engine_show_learned(struct engine *engine);

/* Those of engine_options from now on, of versions that serve and that will. Any thread. */
void engine_set_shares(struct engine *engine, const struct shares *shares);

/* Those of engine_options from now on, for what arrives. On the thread that submits. */
void engine_set_limits(struct engine *engine, int queue_max, int64_t default_target_ns);

/* Admits the request (rules 5 and 6 of doc/sla.md) and takes it over; 0: done will be called.
 * Otherwise it stays the caller's, nothing is called, and request->error, status and retry_after_s
 * are set: ERR_NOT_FOUND no such model, ERR_RANGE / ERR_UNSUPPORTED what sla_check_model() said,
 * ERR_BUSY, ERR_DEADLINE, ERR_LIMIT more images than the queue holds, -ENOMEM the arena is too
 * small. Images whose headers show that they cannot be decoded end with the others, by done. Takes
 * some kilobytes of the arena an image (a vector of classes for each classifier); decoding takes
 * nothing of it, and time that grows with the number of images, some microseconds each. */
int engine_submit(struct engine *engine, struct request *request);

/* The client has gone: the request leaves the queues as soon as no worker holds it, and what is
 * being decoded of it ends. done is still called, with status ERR_CANCELLED (or the answer, when it
 * was ready). Any thread; the request must not have been handed back by done before this returns.
 */
void engine_cancel(struct engine *engine, struct request *request);

/* The answer of a request that has come back has left: later ones are computed with so much time
 * to spare. Its arena is still there; its version may have gone. Any thread. */
void engine_replied(struct engine *engine, const struct request *request, int64_t left_ns);

/* Items admitted and not yet answered. */
size_t engine_in_flight(struct engine *engine);

#endif
