/* The configuration read again while the daemon runs: what changed, what of it can be taken at
 * once. */
#ifndef APP_RELOAD_H
#define APP_RELOAD_H

#include "base/err.h"
#include "settings.h"

/* Reads the sources that *settings names and the environment of the start anew into *ret_next, with
 * what fits together checked. On failure nothing has changed. */
int reload_read(struct settings *settings, struct config *ret_next, struct err *e);

/* Makes the options of *config that are live (options.h) those of *next, and says in the log of
 * each option that differs what it is now, or that the next start takes it. Returns how many
 * differ. */
int reload_take(struct config *config, const struct config *next);

#endif
