/* What can be known of a configuration before it is used. */
#ifndef APP_CHECK_H
#define APP_CHECK_H

#include <stdio.h>

#include "base/err.h"
#include "settings.h"

/* Whether the processor has the precision that is asked for; 1 where it has bfloat16. */
int check_precision(const struct config *config, struct err *e);

/* autodidactd --check-config: opens what a start would open (addresses, directories, programs,
 * model, token) and changes nothing. What a daemon holds that runs on the same state directory
 * counts as free. A line for each thing that was looked at on stdout; what is wrong, or worth
 * knowing, on stderr. Returns the exit code: 0, or 1 where a start would fail. */
int check_everything(const struct settings *settings, const struct config *config);

#endif
