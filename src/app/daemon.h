/* The daemon: everything wired together, from start to stop. */
#ifndef APP_DAEMON_H
#define APP_DAEMON_H

#include "base/err.h"
#include "settings.h"

/* What can be said of a configuration without starting: how its values fit together, that the files
 * it names can be read. */
int daemon_check(const struct config *config, struct err *e);

/* Runs until a signal ends it; *config is what the settings gave. Returns the exit code; problems
 * have been logged. */
int daemon_run(const struct settings *settings, const struct config *config);

#endif
