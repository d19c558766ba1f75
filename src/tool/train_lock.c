/* A lock that dies with its process, in a file that says whose it is.
 *
 * The file goes when the lock is given back, so it may be another one by the time that it is
 * locked: then it is opened anew. One that a killed process left is taken over. */
#include "config.h"

#include "train_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

/* Whoever is being killed is gone within this. */
enum { TRIES = 20, TEXT_MAX = 24 };
static const useconds_t PAUSE_US = 50000;

/* The file behind fd is still what stands at the path. */
static bool is_current(int fd, const char *path)
{
    struct stat own, there;
    return fstat(fd, &own) == 0 && stat(path, &there) == 0 && own.st_dev == there.st_dev &&
           own.st_ino == there.st_ino;
}

/* 0 with *ret_fd, -1 where the system has no such locks, or a negated errno; -EWOULDBLOCK: *ret_pid
 * has it. */
static int try_once(const char *path, int *ret_fd, long *ret_pid)
{
    char text[TEXT_MAX] = "";
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) return -errno;
    int rc = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno;
    if (rc == -EWOULDBLOCK && pread(fd, text, sizeof(text) - 1, 0) > 0)
        (void)sscanf(text, "%ld", ret_pid);
    if (rc == 0 && !is_current(fd, path)) rc = -EAGAIN;
    if (rc == 0) {
        const int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
        if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n) rc = -errno;
    }
    if (rc == -ENOLCK ||
        rc == -EOPNOTSUPP) { /* some network file systems: as before there were any */
        unlink(path);
        rc = 0;
        close(fd);
        fd = -1;
    }
    if (rc < 0)
        close(fd);
    else
        *ret_fd = fd;
    return rc;
}

int train_lock_take(struct train_lock *lock, const char *option, const char *out, struct err *e)
{
    long pid = 0;
    int fd = -1, rc = -EAGAIN;
    if (snprintf(lock->path, sizeof(lock->path), "%s.lock", out) >= (int)sizeof(lock->path))
        return err_set(e, -ENAMETOOLONG, "--%s: %s", option, err_text(-ENAMETOOLONG));
    for (int i = 0; i < TRIES && rc == -EAGAIN; i++) {
        if (i > 0) usleep(PAUSE_US);
        rc = try_once(lock->path, &fd, &pid);
    }
    if (rc == 0) {
        lock->fd = fd;
        lock->is_held = fd >= 0;
        return 0;
    }
    if (rc != -EAGAIN) {
        return err_set(e, rc, "--%s %s: cannot lock %s: %s", option, out, lock->path, err_text(rc));
    }
    return err_set(e, ERR_CONFLICT, "--%s %s: another training, process %ld, writes there", option,
                   out, pid);
}

void train_lock_release(struct train_lock *lock)
{
    if (!lock->is_held) return;
    unlink(lock->path);
    close(lock->fd);
    lock->is_held = false;
}
