/* glibc has no sched_setattr() before 2.41. A kernel that knows no slices of fair threads takes the
 * call and ignores the number; so it is asked what it made of it. */
#include "config.h"

#include "base/slice.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's struct sched_attr in its first form (sched_setattr(2)). */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period; /* runtime: the slice of a fair thread */
};

int64_t slice_set(int64_t ns)
{
    struct attributes now = {.size = sizeof(now)};
    if (syscall(SYS_sched_getattr, 0, &now, sizeof(now), 0) != 0 || now.policy != SCHED_OTHER)
        return 0;
    now.size = sizeof(now);
    now.flags = 0;
    now.runtime = (uint64_t)ns;
    if (syscall(SYS_sched_setattr, 0, &now, 0) != 0 ||
        syscall(SYS_sched_getattr, 0, &now, sizeof(now), 0) != 0)
        return 0;
    return (int64_t)now.runtime;
}
