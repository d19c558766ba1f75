/* The daemon: everything wired together, from start to stop. */
#ifndef APP_DAEMON_H
#define APP_DAEMON_H

#include "base/err.h"
#include "settings.h"

/* Runs until a signal ends it; *config is what the settings gave, and changes with them at SIGHUP.
 * Returns the exit code; problems have been logged. */
int daemon_run(struct settings *settings, struct config *config);

#endif
