/* The reaper: frees the versions that have retired on the store thread, since giving back what a
 * version holds takes milliseconds, and whoever lets go of the last reference (the loop, a compute
 * worker) has better things to do. */
#ifndef REGISTRY_REAPER_H
#define REGISTRY_REAPER_H

#include "base/err.h"
#include "serve/version.h"
#include "store/store.h"

struct reaper;

/* NULL: out of memory. */
struct reaper *reaper_new(struct store *store);

/* For engine_options.retire; arg is the reaper. Any thread; never waits. */
void reaper_take(void *arg, struct version *version);

/* Before store_close(): what retires from now on is freed at once, where that happens. */
void reaper_close(struct reaper *reaper);

/* After the last version and store_close(). NULL is fine. */
void reaper_free(struct reaper *reaper);

#endif
