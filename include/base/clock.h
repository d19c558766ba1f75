/* Time. int64_t counts nanoseconds everywhere. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_SECOND INT64_C(1000000000)
#define CLOCK_MS INT64_C(1000000)

int64_t clock_now(void);  /* CLOCK_MONOTONIC */
int64_t clock_real(void); /* since 1970 */
int64_t clock_cpu(void);  /* that the calling thread has had of processors */

/* RFC 3339 in UTC with milliseconds, "2026-01-31T12:00:00.000Z", into text (at least 32 bytes). */
void clock_format(int64_t real_ns, char *text, size_t size);

#endif
