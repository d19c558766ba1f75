/* Listening sockets. Addresses are parsed strictly, so that a typing mistake never opens a port
 * that nobody meant; a UNIX socket gets its permissions before it is bound, not after. */
#include "config.h"

#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LISTENER_BACKLOG = 1024 };

static int finish(struct listener *l, const char *address, struct err *e)
{
    if (listen(l->fd, LISTENER_BACKLOG) == 0) return 0;
    int rc = -errno;
    close(l->fd);
    l->fd = -1;
    return err_set(e, rc, "cannot listen on %s: %s", address, strerror(-rc));
}

static int open_unix(struct listener *l, const char *address, struct err *e)
{
    const char *path = address + 5;
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    if (path[0] == '\0' || strlen(path) >= sizeof(sun.sun_path))
        return err_set(e, ERR_RANGE, "%s: a UNIX socket's path has 1 to %zu characters", address,
                       sizeof(sun.sun_path) - 1);
    memcpy(sun.sun_path, path, strlen(path) + 1);
    struct stat st;
    if (lstat(path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode))
            return err_set(e, ERR_CONFLICT, "%s: %s exists and is not a socket", address, path);
        unlink(path);
    }
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0) return err_set(e, -errno, "cannot make a socket: %s", strerror(errno));
    /* On Linux the file inherits the socket's mode, so there is no moment at which others may
     * connect; the chmod() covers systems where it does not. */
    fchmod(l->fd, 0600);
    if (bind(l->fd, (struct sockaddr *)&sun, sizeof(sun)) != 0 || chmod(path, 0600) != 0) {
        int rc = -errno;
        close(l->fd);
        l->fd = -1;
        return err_set(e, rc, "cannot bind %s: %s", address, strerror(-rc));
    }
    l->is_unix = true;
    snprintf(l->address, sizeof(l->address), "unix:%s", path);
    return finish(l, address, e);
}

int listener_split(const char *address, char ret_host[LISTENER_HOST_MAX + 1], const char **ret_port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL) return ERR_FORMAT;
    const char *first = address, *end = colon;
    if (address[0] == '[') {
        if (colon == address || colon[-1] != ']') return ERR_FORMAT;
        first++;
        end--;
    } else if (memchr(address, ':', (size_t)(colon - address)) != NULL) {
        return ERR_FORMAT; /* IPv6 without brackets is ambiguous */
    }
    size_t n = (size_t)(end - first);
    if (n == 0 || n > LISTENER_HOST_MAX) return ERR_FORMAT;
    char *stop;
    errno = 0;
    long port = strtol(colon + 1, &stop, 10);
    if (colon[1] < '0' || colon[1] > '9' || *stop != '\0' || errno != 0 || port > 65535)
        return ERR_FORMAT;
    memcpy(ret_host, first, n);
    ret_host[n] = '\0';
    *ret_port = colon + 1;
    return 0;
}

static int bind_first(struct listener *l, const struct addrinfo *list)
{
    int rc = -EADDRNOTAVAIL;
    for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
        int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            rc = -errno;
            continue;
        }
        int on = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (ai->ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
        if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0) {
            l->fd = fd;
            return 0;
        }
        rc = -errno;
        close(fd);
    }
    return rc;
}

static void name_address(struct listener *l)
{
    struct sockaddr_storage ss;
    socklen_t size = sizeof(ss);
    char text[INET6_ADDRSTRLEN] = "";
    if (getsockname(l->fd, (struct sockaddr *)&ss, &size) != 0) return;
    if (ss.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&ss;
        inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
        snprintf(l->address, sizeof(l->address), "[%s]:%u", text, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&ss;
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
        snprintf(l->address, sizeof(l->address), "%s:%u", text, ntohs(in->sin_port));
    }
}

int listener_open(struct listener *l, const char *address, struct err *e)
{
    memset(l, 0, sizeof(*l));
    l->fd = -1;
    if (strncmp(address, "unix:", 5) == 0) return open_unix(l, address, e);
    char host[LISTENER_HOST_MAX + 1];
    const char *port;
    if (listener_split(address, host, &port) != 0)
        return err_set(e, ERR_FORMAT,
                       "\"%s\" is no address: take HOST:PORT, [IPV6]:PORT or unix:PATH", address);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    int rc = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, port, &hints, &list);
    if (rc != 0)
        return err_set(e, ERR_NOT_FOUND, "%s: host %s: %s", address, host, gai_strerror(rc));
    rc = bind_first(l, list);
    freeaddrinfo(list);
    if (rc < 0)
        return err_set(
            e, rc, "cannot bind %s: %s%s", address, strerror(-rc),
            rc == -EADDRINUSE ? " (another program listens there; choose another port, or 0)" : "");
    rc = finish(l, address, e);
    if (rc == 0) name_address(l);
    return rc;
}

void listener_close(struct listener *l)
{
    if (l->fd < 0) return;
    close(l->fd);
    l->fd = -1;
    if (l->is_unix) unlink(l->address + 5);
}
