/* See landlock.h. The numbers are the kernel's (Documentation/userspace-api/landlock.rst), written
 * out because Debian's headers know only the first two of its ABIs. */
#include "config.h"

#include "landlock.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same on all architectures. */
enum {
    CALL_CREATE_RULESET = 444,
    CALL_RESTRICT_SELF = 446,
    CREATE_RULESET_VERSION = 1,
};

struct ruleset {
    uint64_t files;   /* from ABI 1 */
    uint64_t network; /* from ABI 4 */
    uint64_t scoped;  /* from ABI 6 */
};

/* Rights that each ABI added, from its lowest bits on. */
static const struct {
    unsigned files, network, scoped;
    size_t size; /* of the struct that it takes */
} abis[] = {
    {13, 0, 0, 8},  /* 1: what one does with files and directories */
    {14, 0, 0, 8},  /* 2: moving them elsewhere */
    {15, 0, 0, 8},  /* 3: truncating */
    {15, 2, 0, 16}, /* 4: TCP */
    {16, 2, 0, 16}, /* 5: ioctl of devices */
    {16, 2, 2, 24}, /* 6: abstract sockets, signals to others */
};
enum { ABIS = sizeof(abis) / sizeof(abis[0]) };

static uint64_t bits(unsigned n)
{
    return (UINT64_C(1) << n) - 1;
}

int landlock_enter(void)
{
    long abi = syscall(CALL_CREATE_RULESET, NULL, (size_t)0, CREATE_RULESET_VERSION);
    if (abi < 1) return 0;
    long known = abi < ABIS ? abi : ABIS;
    const struct ruleset ruleset = {bits(abis[known - 1].files), bits(abis[known - 1].network),
                                    bits(abis[known - 1].scoped)};
    int fd = (int)syscall(CALL_CREATE_RULESET, &ruleset, abis[known - 1].size, 0);
    if (fd < 0) return 0;
    long rc = syscall(CALL_RESTRICT_SELF, fd, 0);
    close(fd);
    return rc == 0 ? (int)abi : 0;
}
