/* The beginning: what a start does on the store thread (versions recovered, a model file imported,
 * models published), and does again with growing pauses until nothing is left to be done, since an
 * error that passes decides nothing. On the loop thread. */
#ifndef APP_BEGINNING_H
#define APP_BEGINNING_H

#include <stdbool.h>

#include "base/err.h"
#include "base/metric.h"
#include "loop/loop.h"
#include "registry/registry.h"
#include "store/store.h"

struct beginning;

struct beginning_calls {
    /* The first time is over: how many models serve, or a negative code with its error. */
    void (*begun)(void *arg, int models, const struct err *error);
    /* Whether anything is less than it should be; after each time. */
    void (*degraded)(void *arg, bool degraded);
};

/* file stays the caller's. */
int beginning_new(struct loop *loop, struct store *store, struct registry *registry,
                  struct metrics *metrics, const char *file, const struct beginning_calls *calls,
                  void *arg, struct beginning **ret, struct err *e);
void beginning_start(struct beginning *beginning);

/* Begins nothing more. */
void beginning_stop(struct beginning *beginning);

/* After store_close(), before loop_free(). NULL is fine. */
void beginning_free(struct beginning *beginning);

#endif
