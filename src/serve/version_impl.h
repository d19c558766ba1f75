/* The inside of a version, for the engine's sources. */
#ifndef SERVE_VERSION_IMPL_H
#define SERVE_VERSION_IMPL_H

#include <stdatomic.h>

#include "nn/plan.h"
#include "policy/desk.h"
#include "serve/version.h"

struct engine;
struct metric;

/* A feature map (at first: the input) of an item between two sections. */
struct features {
    struct features *next; /* in the free list */
    float *values;
};

/* What has no comment is immutable; the rest is behind the engine's lock, but for the count. */
struct version {
    atomic_uint references;
    void (*retire)(void *arg, struct version *version); /* NULL: freed at once */
    void *retire_arg;
    struct version *next; /* in a list of those that have retired */

    struct engine *engine; /* only touched while the engine is there: by its own threads */
    struct model *model;
    int64_t number;
    struct plan *plan;
    int sections, classes;
    size_t features_size;           /* floats: the largest input of a section */
    struct cost *cost;              /* guarded: it learns */
    struct desk_version desk;       /* guarded, but for its classifiers */
    struct features *free_features; /* guarded */
    unsigned n_workers;
    struct version_worker {
        struct exec *exec; /* that worker's alone, no lock */
        float *logits;     /* [batch_max][classes] */
    } * workers;
    /* Not the version's alone: series by section only. */
    struct metric *queue_wait[SPEC_SECTIONS_MAX], *prediction_ratio[SPEC_SECTIONS_MAX];
    struct metric *slow_down, *helped;
    struct metric *section_seconds[SPEC_SECTIONS_MAX], *batch_size[SPEC_SECTIONS_MAX];
};

#endif
