/* The daemon's directory (STATE): paths in it, and whether it can be used. */
#ifndef APP_STATE_PLACE_H
#define APP_STATE_PLACE_H

#include <limits.h>
#include <stdbool.h>

#include "base/err.h"
#include "options.h"
#include "store/store.h"

/* STATE/name. */
int state_path(const struct config *config, const char *name, char ret_path[PATH_MAX],
               struct err *e);

/* Makes the directory where it is not there, takes it for this process and opens its database. */
int state_open(const struct config *config, struct store **ret_store, struct err *e);

/* Whether state_open() could make or use it: *ret_exists says which. Nothing is changed. */
int state_check(const struct config *config, bool *ret_exists, struct err *e);

/* Whether another daemon uses it now. */
bool state_is_taken(const struct config *config);

/* Puts the option that the directory comes from before a message about something in it. */
int state_blame(struct err *e);

#endif
