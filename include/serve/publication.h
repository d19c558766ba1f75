/* A publication: a loaded model on its way into service and back. The struct is the caller's and
 * stays until `done`; so asking takes no memory and cannot fail. */
#ifndef SERVE_PUBLICATION_H
#define SERVE_PUBLICATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "model/model.h"

struct engine;
struct cost; /* policy/cost.h */

struct publication {
    /* set by who asks */
    struct model *model; /* the engine's while it is under way; when it serves NULL is left here,
                            otherwise it is the caller's again */
    int64_t number;      /* of the version; 0 outside of a registry */
    struct cost
        *cost;   /* what it costs, if that is known (policy/cost.h; taken over); NULL: measured */
    bool canary; /* made images are computed first: ERR_UNSUPPORTED where a classifier computes what
                    is not finite, or the same for all */
    void (*done)(struct publication *publication); /* once, on a compute worker */
    void *owner;                                   /* the caller's */

    /* set by the engine before done */
    int status;       /* 0: the version serves; or a negative code, and what served before does */
    struct err error; /* message for status */

    struct publication *next; /* the engine's */
};

/* Makes the model the current version of its name: plans it, measures its costs and warms up on a
 * compute worker, then exchanges the version that new requests get. Publications are made one after
 * the other in the order of the calls. The first published name is the default. Errors: ERR_LIMIT
 * too many names, ERR_UNSUPPORTED net and preprocessing do not agree, ERR_CANCELLED the engine is
 * stopping, -ENOMEM. Any thread. */
void engine_publish(struct engine *engine, struct publication *publication);

#endif
