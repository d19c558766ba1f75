/* Threads that do little at a time and must do it soon: the loop, and who decodes small images.
 *
 * Where all processors compute, who wakes up waits until the scheduler takes one away, which may be
 * a tick (4 ms at 250 Hz) or its slice later. Linux's scheduler (EEVDF) goes by deadlines: of two
 * threads that are owed time, that with the shorter slice goes first, and one that wakes up with a
 * shorter slice takes the processor over at once. From Linux 6.12 on, a thread may choose its
 * slice; nobody gets more time by it, so that it takes no privilege. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdint.h>

#define SLICE_SHORT_NS INT64_C(100000) /* the least that the kernel takes */

/* Gives the calling thread slices of that length. Returns what it has now, 0 where the kernel knows
 * no such thing; either way it goes on. Threads and processes that it makes inherit it. */
int64_t slice_set(int64_t ns);

#endif
