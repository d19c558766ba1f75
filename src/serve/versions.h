/* Which version serves under each name. A lock of its own, held for a pointer's worth of work, so
 * that who only looks (the loop) never waits for the engine's. Names stay once they are known. Any
 * thread. */
#ifndef SERVE_VERSIONS_H
#define SERVE_VERSIONS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/name.h"
#include "serve/version.h"

struct versions {
    pthread_mutex_t lock; /* what follows; the names are immutable once counted */
    size_t count;
    struct {
        char name[MODEL_NAME_MAX + 1];
        struct version *version; /* a reference */
    } current[MODELS_MAX];
};

void versions_init(struct versions *versions);
void versions_release(struct versions *versions); /* drops all references */

/* A reference to the current version of a name; "" is the first name of all; NULL: not known. */
struct version *versions_acquire(struct versions *versions, const char *name);

/* Names, which live as long as the table; at most max. Returns how many. */
size_t versions_names(struct versions *versions, const char **ret_names, size_t max);

/* Makes a version the current one of its model's name and drops the one before it. Takes over the
 * reference, unless it fails: ERR_LIMIT, MODELS_MAX are there. */
int versions_exchange(struct versions *versions, struct version *version, struct err *e);

#endif
