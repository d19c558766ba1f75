/* What tests of the engine share: a small network with random weights through a real model file,
 * PNG images, requests that can be waited for, and the answers that the plan gives when run
 * directly. */
#ifndef TESTS_SERVE_FIXTURE_H
#define TESTS_SERVE_FIXTURE_H

#include <pthread.h>

#include "policy/cost.h"
#include "serve/engine.h"

enum { TINY_SECTIONS = 4, TINY_CLASSES = 7, TINY_SIDE = 16, PNG_MAX = 4096 };

/* A model of width 4 with four sections. Other seeds give other weights. Calibrated (held-out top-1
 * .5 .6 .7 .8, ensemble .9, temperatures of their own) unless that is NULLed out by the caller. */
struct calibration tiny_calibration(void);
struct model *tiny_model(const char *name, uint64_t seed, const struct calibration *calibration);
/* The same with change(net, params) between the random weights and the file. */
struct model *tiny_model_changed(const char *name, uint64_t seed,
                                 const struct calibration *calibration,
                                 void (*change)(const struct net *net, float *params));

/* The engine's defaults, and a decoder of one foreground and one background seat that all engines
 * of a test program share; it is there until the program ends. */
void default_options(struct engine_options *options);

struct png {
    unsigned char bytes[PNG_MAX];
    size_t size;
};
void png_make(struct png *png, unsigned seed); /* TINY_SIDE x TINY_SIDE, colours by seed */

/* Probabilities of a classifier for an image, by running a plan alone. */
void expect_probabilities(const struct version *version, const struct png *png, int classifier,
                          float ret_probabilities[TINY_CLASSES]);

enum { CALL_IMAGES_MAX = 64 };

/* A request with what it needs, and a way to wait for it. */
struct call {
    struct request request;
    struct input images[CALL_IMAGES_MAX];
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int done; /* how often done was called */
    bool met; /* then */
};
struct sla sla_of(const char *const *headers); /* "Name: value" strings, NULL at the end */
void call_init(struct call *call, struct sla sla, const struct png *pngs, int n);
int call_wait(struct call *call);   /* returns the request's status */
void call_reset(struct call *call); /* drops the version's reference, frees the arena */

/* submit + wait */
int call_run(struct engine *engine, struct call *call);

/* Keeps a worker busy from *_block() until *_release(), in the callback of a publication. */
struct blocker {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct publication publication;
    int entered, released, left;
};
void worker_block(struct engine *engine, struct blocker *blocker);
void worker_release(struct blocker *blocker);

/* Publishes with the publication's number, cost and canary, and waits for the outcome in it. */
int try_publication(struct engine *engine, struct model *model, struct publication *publication);

/* Publishes and waits until it is served. cost: NULL measures. Returns the status. */
int publish_version(struct engine *engine, struct model *model, int64_t number, struct cost *cost);
int publish_now(struct engine *engine, struct model *model, struct cost *cost);

#endif
