/* See retry.h. */
#include "config.h"

#include "base/retry.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

static const int64_t pause_first_ns = CLOCK_SECOND, pause_last_ns = 60 * CLOCK_SECOND;

bool retry_failed(struct retry *retry, const char *cause)
{
    bool news = strcmp(retry->cause, cause) != 0;
    retry->pause_ns = retry->pause_ns == 0 ? pause_first_ns : 2 * retry->pause_ns;
    if (retry->pause_ns > pause_last_ns) retry->pause_ns = pause_last_ns;
    if (news) snprintf(retry->cause, sizeof(retry->cause), "%s", cause);
    return news;
}

bool retry_worked(struct retry *retry)
{
    bool failed = retry->pause_ns > 0;
    *retry = (struct retry){.pause_ns = 0};
    return failed;
}
