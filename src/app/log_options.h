/* The section `log` of the options, made true. */
#ifndef APP_LOG_OPTIONS_H
#define APP_LOG_OPTIONS_H

#include "base/err.h"
#include "options.h"

/* Has the log written where the options say. On failure it goes where it went. */
int log_options_open(const struct config *config, struct err *e);

/* The level and format from now on. */
void log_options_use(const struct config *config);

/* From one configuration to the next: the file, which can fail, and then what it says is logged if
 * either of the two says so, until log_options_use(). */
int log_options_change(const struct config *from, const struct config *to, struct err *e);

#endif
