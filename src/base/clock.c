/* The clocks and the one format of a point in time.
 *
 * Only wiring and measuring code asks for the time; whatever decides by it takes it as an argument,
 * so that it can run in simulated time. No time zones, no parsing. */
#include "config.h"

#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t clock_read(clockid_t id)
{
    struct timespec t;
    if (clock_gettime(id, &t) < 0) return 0; /* cannot happen with these clocks */
    return t.tv_sec * CLOCK_SECOND + t.tv_nsec;
}

int64_t clock_now(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

int64_t clock_real(void)
{
    return clock_read(CLOCK_REALTIME);
}

int64_t clock_cpu(void)
{
    return clock_read(CLOCK_THREAD_CPUTIME_ID);
}

void clock_format(int64_t real_ns, char *text, size_t size)
{
    /* Rounded down, also before 1970, so that the milliseconds are never negative. */
    int64_t seconds = real_ns / CLOCK_SECOND, rest = real_ns % CLOCK_SECOND;
    if (rest < 0) {
        seconds--;
        rest += CLOCK_SECOND;
    }
    time_t t = (time_t)seconds;
    struct tm tm;
    if (size == 0) return;
    text[0] = '\0';
    if (gmtime_r(&t, &tm) == NULL) return;
    size_t used = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + used, size - used, ".%03dZ", (int)(rest / CLOCK_MS));
}
