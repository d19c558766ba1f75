/* What a process cannot do any more in the sandbox, each tried by a child of its own; and what it
 * still can. */
#include "config.h"

#include "../../src/decode/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/decode/landlock.h"

enum { MEMORY = 64 << 20, DONE = 3, FAILED = 4, OUTSIDE = 5 };

static const bool is_sanitized = sizeof(AD_SANITIZER) != sizeof("no");

/* Each: 0 or more when it could be done. */
static long opens_a_file(void)
{
    return open("/etc/passwd", O_RDONLY);
}
static long opens_by_the_old_call(void)
{
    return syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY);
}
static long makes_a_file(void)
{
    return creat("/tmp/ad-sandbox", 0600);
}
static long makes_a_memory_file(void)
{
    return memfd_create("x", 0);
}
static long connects(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}
static long connects_locally(void)
{
    int both[2];
    return socketpair(AF_UNIX, SOCK_STREAM, 0, both);
}
static long sends_a_descriptor(void)
{
    struct msghdr message = {.msg_iovlen = 0};
    return sendmsg(0, &message, 0);
}
static long forks(void)
{
    return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}
static long starts_a_thread(void)
{
    return syscall(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, NULL, NULL, NULL, NULL);
}
static long starts_a_program(void)
{
    char *argv[] = {(char *)"/bin/true", NULL}, *none[] = {NULL};
    return execve(argv[0], argv, none);
}
static long kills_its_parent(void)
{
    return syscall(SYS_kill, getppid(), 0);
}
static long kills_somebody(void)
{
    return syscall(SYS_kill, 1, 0);
}
static long looks_into_another_process(void)
{
    return syscall(SYS_process_vm_readv, 1, NULL, 0UL, NULL, 0UL, 0UL);
}
static long traces(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}
static long raises_its_limit(void)
{
    const struct rlimit more = {1 << 30, 1 << 30};
    return syscall(SYS_setrlimit, RLIMIT_AS, &more);
}
static long maps_code(void)
{
    void *at =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? -1 : 0;
}
/* Shared memory would lose its pages under the daemon that reads them. */
static long takes_pages_away(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return madvise(at, 4096, MADV_REMOVE);
}
/* The system's huge pages are somebody's. */
static long takes_huge_pages(void)
{
    void *at = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    return at == MAP_FAILED ? -1 : 0;
}
static long maps_a_file(void)
{
    return mmap(NULL, 4096, PROT_READ, MAP_SHARED, 0, 0) == MAP_FAILED ? -1 : 0;
}
static long writes_elsewhere(void)
{
    return write(1, "x", 1);
}
static long changes_its_place(void)
{
    return chdir("/");
}
static long removes_a_file(void)
{
    return unlink("/tmp/ad-sandbox");
}
static long asks_for_a_ring(void)
{
    return syscall(SYS_io_uring_setup, 1, NULL);
}
static long loads_a_filter(void)
{
    return syscall(SYS_bpf, 0, NULL, 0);
}
static long unshares(void)
{
    return unshare(CLONE_NEWUSER);
}

/* What is allowed. */
static long computes_and_takes_memory(void)
{
    volatile char *small = malloc(1000), *large = malloc(MEMORY / 4);
    if (small == NULL || large == NULL) return -1;
    memset((void *)large, 1, MEMORY / 4);
    free((void *)small);
    large = realloc((void *)large, MEMORY / 2);
    if (large == NULL) return -1;
    free((void *)large);
    return 0;
}
static long tells_the_time(void)
{
    struct timespec now;
    return clock_gettime(CLOCK_MONOTONIC, &now);
}
static long reads_and_writes_its_job(void)
{
    char byte;
    return write(0, "x", 1) == 1 && read(0, &byte, 1) == 1 && byte == 'y' ? 0 : -1;
}

/* Runs it in a child, in the sandbox or not. The child's status as waitpid() has it. */
static int try_it(long (*action)(void), bool in_sandbox)
{
    int both[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, both), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct sandbox_posture posture;
        dup2(both[0], 0);
        if (!in_sandbox) {
            int null = open("/dev/null", O_WRONLY);
            dup2(null, 1);
        }
        closefrom(3);
        if (in_sandbox && sandbox_enter(MEMORY, &posture, NULL) < 0) _exit(OUTSIDE);
        _exit(action() >= 0 ? DONE : FAILED);
    }
    close(both[0]);
    ssize_t ignored = send(both[1], "y", 1, MSG_NOSIGNAL); /* it may have ended */
    (void)ignored;
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(both[1]);
    return status;
}

/* Sanitizers ask for files in order to report; they are told that there are none. */
static void what_is_forbidden_ends_it(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        long (*action)(void);
        bool asked_by_sanitizers;
    } rows[] = {
        {"open", opens_a_file, true},
        {"openat", opens_by_the_old_call, true},
        {"creat", makes_a_file, true},
        {"memfd_create", makes_a_memory_file, false},
        {"socket", connects, false},
        {"socketpair", connects_locally, false},
        {"sendmsg", sends_a_descriptor, false},
        {"clone", forks, false},
        {"clone of a thread", starts_a_thread, false},
        {"execve", starts_a_program, false},
        {"kill its parent", kills_its_parent, false},
        {"kill", kills_somebody, false},
        {"process_vm_readv", looks_into_another_process, false},
        {"ptrace", traces, false},
        {"setrlimit", raises_its_limit, false},
        {"mmap of code", maps_code, false},
        {"mmap of a file", maps_a_file, false},
        {"mmap of huge pages", takes_huge_pages, false},
        {"madvise that removes", takes_pages_away, true},
        {"write to stdout", writes_elsewhere, false},
        {"chdir", changes_its_place, false},
        {"unlink", removes_a_file, false},
        {"io_uring", asks_for_a_ring, false},
        {"bpf", loads_a_filter, false},
        {"unshare", unshares, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int status = try_it(rows[i].action, true);
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) continue;
        bool refused = WIFEXITED(status) && WEXITSTATUS(status) == FAILED;
        if (is_sanitized && rows[i].asked_by_sanitizers && refused) continue;
        fail_msg("%s: status %x", rows[i].name, (unsigned)status);
    }
}

/* Or the rows above would say nothing: outside of the sandbox, these can be done. */
static void outside_it_can_be_done(void **state)
{
    (void)state;
    long (*const actions[])(void) = {opens_a_file,     makes_a_memory_file, connects,
                                     connects_locally, starts_a_program,    maps_code,
                                     writes_elsewhere, changes_its_place};
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        int status = try_it(actions[i], false);
        if (!WIFEXITED(status) || WEXITSTATUS(status) == FAILED)
            fail_msg("action %zu: status %x", i, (unsigned)status);
    }
}

static void what_decoding_needs_is_allowed(void **state)
{
    (void)state;
    long (*const actions[])(void) = {computes_and_takes_memory, tells_the_time,
                                     reads_and_writes_its_job};
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        int status = try_it(actions[i], true);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != DONE)
            fail_msg("action %zu: status %x", i, (unsigned)status);
    }
}

static long takes_too_much(void)
{
    return malloc(2 * (size_t)MEMORY) != NULL ? 0 : -1;
}

static void memory_has_a_limit(void **state)
{
    (void)state;
    if (is_sanitized) skip(); /* which has the address space */
    int status = try_it(takes_too_much, true);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), FAILED);
}

/* Behind the wall: what a hole in it would lead to. */
static long landlock_alone(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (landlock_enter() == 0) return 0;
    return open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES &&
                   creat("/tmp/ad-sandbox", 0600) < 0 && errno == EACCES
               ? 0
               : -1;
}

static void landlock_denies_files_by_itself(void **state)
{
    (void)state;
    int status = try_it(landlock_alone, false);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), DONE);
}

static struct sandbox_posture posture_in(size_t address_space)
{
    int both[2];
    assert_int_equal(pipe(both), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct sandbox_posture posture;
        const struct rlimit given = {address_space, address_space};
        dup2(both[1], 0);
        if (address_space > 0 && setrlimit(RLIMIT_AS, &given) != 0) _exit(OUTSIDE);
        if (sandbox_enter(MEMORY, &posture, NULL) < 0) _exit(OUTSIDE);
        ssize_t n = write(0, &posture, sizeof(posture));
        _exit(n == sizeof(posture) ? DONE : FAILED);
    }
    struct sandbox_posture posture;
    assert_int_equal(read(both[0], &posture, sizeof(posture)), sizeof(posture));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(both[0]);
    close(both[1]);
    return posture;
}

static void the_posture_is_told(void **state)
{
    (void)state;
    struct sandbox_posture posture = posture_in(0);
    assert_int_equal(posture.memory_bytes, is_sanitized ? 0 : MEMORY);
    assert_true(posture.landlock >= 0);
    if (is_sanitized) return; /* which need terabytes */
    /* Of a limit that the process was given the program itself takes a part. */
    posture = posture_in(MEMORY);
    assert_in_range(posture.memory_bytes, 1, MEMORY - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_forbidden_ends_it),       cmocka_unit_test(outside_it_can_be_done),
        cmocka_unit_test(what_decoding_needs_is_allowed),  cmocka_unit_test(memory_has_a_limit),
        cmocka_unit_test(landlock_denies_files_by_itself), cmocka_unit_test(the_posture_is_told),
    };
    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
