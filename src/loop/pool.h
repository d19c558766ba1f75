/* libuv's pool of threads, inside the loop layer. */
#ifndef LOOP_POOL_H
#define LOOP_POOL_H

#include <uv.h>

#include "base/err.h"

/* Makes the pool of the process while nothing else is on the loop: where threads cannot be made
 * that is an error here, and no abort later. -EAGAIN, -ENOMEM. */
int pool_make(uv_loop_t *uv, struct err *e);

#endif
