/* UNIX sockets' files outlive whoever listened, so that a name that is taken says nothing. Who
 * listens is found out by connecting; a name is taken over only where that is refused. Looking and
 * taking are one step for all who come here, by a lock on the directory. */
#include "config.h"

#include "unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int name_socket(const char *path, struct sockaddr_un *ret_name, struct err *e)
{
    size_t n = strlen(path);
    *ret_name = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (n == 0 || n >= sizeof(ret_name->sun_path))
        return err_set(e, ERR_RANGE,
                       "unix:%s: a UNIX socket's path has 1 to %zu characters, this one %zu", path,
                       sizeof(ret_name->sun_path) - 1, n);
    memcpy(ret_name->sun_path, path, n + 1);
    return 0;
}

/* 1: a socket stands there, but nobody listens on it. */
static int look(const char *path, const struct sockaddr_un *name, struct err *e)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : err_set(e, -errno, "unix:%s: %s", path, err_text(-errno));
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, ERR_CONFLICT, "unix:%s exists and is not a socket", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return err_set(e, -errno, "cannot make a socket: %s", err_text(-errno));
    int rc = connect(fd, (const struct sockaddr *)name, sizeof(*name)) == 0 ? 0 : -errno;
    close(fd);
    if (rc == -ECONNREFUSED) return 1;
    if (rc == -ENOENT) return 0; /* gone meanwhile */
    /* A full backlog, or a datagram socket, is somebody's, too. */
    if (rc == 0 || rc == -EAGAIN || rc == -EPROTOTYPE)
        return err_set(e, -EADDRINUSE,
                       "unix:%s: another program listens there; stop it, or choose another path",
                       path);
    return err_set(e, rc, "unix:%s: %s", path, err_text(rc));
}

int unix_socket_check(const char *path, struct err *e)
{
    struct sockaddr_un name;
    int rc = name_socket(path, &name, e);
    if (rc == 0) rc = look(path, &name, e);
    return rc < 0 ? rc : 0;
}

/* -1 where it cannot be had in a second or so: somebody else locks directories for reasons of his
 * own, and nothing should depend on him. */
static int lock_directory(const char *path)
{
    enum { TRIES = 50, PAUSE_NS = 20000000 };
    char directory[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    if (slash != NULL) {
        size_t n = slash == path ? 1 : (size_t)(slash - path);
        memcpy(directory, path, n);
        directory[n] = '\0';
    }
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; fd >= 0 && i < TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    if (fd >= 0) close(fd);
    return -1;
}

static int listen_there(const char *path, const struct sockaddr_un *name, int backlog,
                        struct unix_socket *ret_socket, struct err *e)
{
    struct stat st;
    int rc = look(path, name, e);
    if (rc < 0) return rc;
    if (rc == 1) unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return err_set(e, -errno, "cannot make a socket: %s", err_text(-errno));
    /* On Linux the file inherits the socket's mode, so there is no moment at which others may
     * connect; the chmod() covers systems where it does not. */
    fchmod(fd, 0600);
    if (bind(fd, (const struct sockaddr *)name, sizeof(*name)) == 0 && chmod(path, 0600) == 0 &&
        lstat(path, &st) == 0 && listen(fd, backlog) == 0) {
        *ret_socket = (struct unix_socket){st.st_dev, st.st_ino};
        return fd;
    }
    rc = -errno;
    close(fd);
    return err_set(e, rc, "cannot bind unix:%s: %s", path, err_text(rc));
}

int unix_socket_listen(const char *path, int backlog, struct unix_socket *ret_socket, struct err *e)
{
    struct sockaddr_un name;
    int rc = name_socket(path, &name, e);
    if (rc < 0) return rc;
    int lock = lock_directory(path);
    int fd = listen_there(path, &name, backlog, ret_socket, e);
    if (lock >= 0) close(lock);
    return fd;
}

void unix_socket_remove(const char *path, const struct unix_socket *socket)
{
    struct stat st;
    if (lstat(path, &st) == 0 && st.st_dev == socket->device && st.st_ino == socket->inode)
        unlink(path);
}
