/* For LD_PRELOAD: a read() of the file that STUCK_READ names does not return, as on a mount whose
 * server has gone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t read(int fd, void *data, size_t size)
{
    static ssize_t (*real)(int fd, void *data, size_t size);
    char link[64], path[4096];
    const char *stuck = getenv("STUCK_READ");
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "read");
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = stuck != NULL ? readlink(link, path, sizeof(path) - 1) : -1;
    if (n > 0) {
        path[n] = '\0';
        if (strcmp(path, stuck) == 0)
            for (;;) pause();
    }
    return real(fd, data, size);
}
