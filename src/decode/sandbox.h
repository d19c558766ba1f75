/* The sandbox: what a process gives up for good before it looks at what strangers sent. Afterwards
 * it can compute, use the memory that it may still get, read and write descriptor 0, and end.
 * doc/sandbox.md says what is given up and what that needs of the system. */
#ifndef SRC_DECODE_SANDBOX_H
#define SRC_DECODE_SANDBOX_H

#include <stddef.h>

#include "base/err.h"

/* What was reached; without seccomp there is no sandbox. */
struct sandbox_posture {
    int landlock;        /* its ABI; 0: the kernel has none, or does not let us */
    size_t memory_bytes; /* that the process may map beside what it has; 0: not limited, where a
                            sanitizer has the address space, or /proc is missing */
};

/* Of a process with one thread; descriptors but 0 are closed. Errors: -errno with a message that
 * says what helps; the process may have given up a part. */
int sandbox_enter(size_t memory_bytes, struct sandbox_posture *ret_posture, struct err *e);

#endif
