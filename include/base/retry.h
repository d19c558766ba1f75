/* Trying again: pauses that grow, and one line for a cause however often it comes. Pure; one
 * owner. */
#ifndef BASE_RETRY_H
#define BASE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* All zero: nothing has failed. */
struct retry {
    int64_t pause_ns; /* before the next try; 0: nothing has failed */
    char cause[ERR_TEXT_MAX];
};

/* The first pause is a second, each next one twice as long, up to a minute. true: the cause is
 * another one than last time, so that it is worth a line. */
bool retry_failed(struct retry *retry, const char *cause);

/* It worked. true: it had failed before, so that this is worth a line. */
bool retry_worked(struct retry *retry);

#endif
