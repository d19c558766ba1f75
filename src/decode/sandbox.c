/* See sandbox.h. Seccomp is the wall: a list of the few system calls that decoding makes; any other
 * ends the process. The rest stands behind it, for the day when the wall has a hole: no
 * capabilities, no new privileges, no file system and network by landlock, limits of zero. */
#include "config.h"

#include "sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "landlock.h"

/* Sanitizers reserve terabytes, and ask for more when they report. */
static const bool is_sanitized = sizeof(AD_SANITIZER) != sizeof("no");

static int limit(int resource, size_t value, struct err *e)
{
    struct rlimit before;
    /* A limit that the process was given stays where it is the lower one. */
    if (getrlimit(resource, &before) == 0 && before.rlim_max < value) value = before.rlim_max;
    const struct rlimit both = {value, value};
    if (setrlimit(resource, &both) == 0) return 0;
    return err_set(e, -errno, "cannot limit what a helper may use: %s", err_text(-errno));
}

/* Bytes of address space that the process has; 0: /proc does not say. */
static size_t mapped_bytes(void)
{
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm == NULL) return 0;
    if (fscanf(statm, "%lu", &pages) != 1) pages = 0;
    fclose(statm);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* What may be mapped beside what is: what is wanted, or what a limit leaves that the process was
 * given. */
static size_t memory_left(size_t mapped, size_t wanted)
{
    struct rlimit given;
    if (getrlimit(RLIMIT_AS, &given) != 0 || given.rlim_max >= mapped + wanted) return wanted;
    return given.rlim_max > mapped ? given.rlim_max - mapped : 1;
}

static int limit_all(size_t address_space, struct err *e)
{
    static const int none[] = {RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_FSIZE, RLIMIT_CORE};
    int rc = address_space > 0 ? limit(RLIMIT_AS, address_space, e) : 0;
    for (size_t i = 0; rc == 0 && i < sizeof(none) / sizeof(none[0]); i++)
        rc = limit(none[i], 0, e);
    return rc;
}

static int drop_capabilities(struct err *e)
{
    /* The bounding set is for programs that are started, and takes a capability to change. */
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct nothing[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capset, &header, nothing) == 0) return 0;
    return err_set(e, -errno, "a helper cannot drop its capabilities: %s", err_text(-errno));
}

/* What decoding calls: memory, the job's descriptor, the end. */
static int allow_calls(scmp_filter_ctx filter)
{
    static const int calls[] = {
        SCMP_SYS(futex),  SCMP_SYS(exit),         SCMP_SYS(exit_group),
        SCMP_SYS(munmap), SCMP_SYS(mremap),       SCMP_SYS(clock_gettime),
        SCMP_SYS(brk),    SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
    };
    /* Of one's own memory. MADV_REMOVE would take pages away from who shares them. */
    static const int advices[] = {MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE, MADV_POPULATE_WRITE};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(calls) / sizeof(calls[0]); i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    for (size_t i = 0; rc == 0 && i < sizeof(advices) / sizeof(advices[0]); i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(madvise), 1,
                              SCMP_A2(SCMP_CMP_EQ, (scmp_datum_t)advices[i], 0));
    if (rc == 0)
        rc =
            seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(read), 1, SCMP_A0(SCMP_CMP_EQ, 0, 0));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(write), 1,
                              SCMP_A0(SCMP_CMP_EQ, 0, 0));
    /* Memory, but none to run, and no huge page that somebody has set aside. */
    if (rc == 0)
        rc = seccomp_rule_add(
            filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
            SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS | MAP_HUGETLB, MAP_ANONYMOUS));
    return rc;
}

/* What the sanitizers' runtimes call besides, most of it to report; their reports go to stderr. */
static int allow_sanitizers(scmp_filter_ctx filter)
{
    static const int calls[] = {
        SCMP_SYS(getpid),       SCMP_SYS(gettid),      SCMP_SYS(sched_yield),
        SCMP_SYS(rt_sigaction), SCMP_SYS(sigaltstack), SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(getrlimit),    SCMP_SYS(prlimit64),   SCMP_SYS(prctl),
        SCMP_SYS(mprotect),     SCMP_SYS(close),       SCMP_SYS(nanosleep),
        SCMP_SYS(getrusage),    SCMP_SYS(uname),       SCMP_SYS(gettimeofday),
        SCMP_SYS(madvise),
    };
    static const int refused[] = {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(readlink),
                                  SCMP_SYS(readlinkat)};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(calls) / sizeof(calls[0]); i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    for (size_t i = 0; rc == 0 && i < sizeof(refused) / sizeof(refused[0]); i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), refused[i], 0);
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(write), 1,
                              SCMP_A0(SCMP_CMP_EQ, STDERR_FILENO, 0));
    return rc;
}

static int filter_calls(struct err *e)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (filter == NULL) return err_set(e, -ENOMEM, "out of memory for a helper's sandbox");
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (rc == 0) rc = allow_calls(filter);
    if (rc == 0 && is_sanitized) rc = allow_sanitizers(filter);
    if (rc == 0) rc = seccomp_load(filter);
    seccomp_release(filter);
    if (rc == 0) return 0;
    return err_set(e, rc,
                   "seccomp is not to be had here (%s), so that images cannot be decoded in a "
                   "sandbox: allow the system call seccomp(), or set decode.sandbox = off",
                   err_text(rc));
}

int sandbox_enter(size_t memory_bytes, struct sandbox_posture *ret_posture, struct err *e)
{
    struct sandbox_posture posture = {.landlock = 0};
    size_t mapped = is_sanitized ? 0 : mapped_bytes(); /* while it can still be asked */
    if (mapped > 0) posture.memory_bytes = memory_left(mapped, memory_bytes);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return err_set(e, -errno, "a helper cannot give up its privileges: %s", err_text(-errno));
    posture.landlock = landlock_enter();
    int rc = drop_capabilities(e);
    if (rc == 0) rc = limit_all(mapped > 0 ? mapped + posture.memory_bytes : 0, e);
    if (rc == 0) rc = filter_calls(e);
    if (rc == 0) *ret_posture = posture;
    return rc;
}
