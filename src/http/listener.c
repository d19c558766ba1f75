/* Listening sockets. Addresses are parsed strictly, so that a typing mistake never opens a port
 * that nobody meant. Where several addresses are meant, the first that the machine has is taken;
 * one that is taken or forbidden is an error, and never a reason to take the next. */
#include "config.h"

#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/address.h"
#include "transport.h"

enum { LISTENER_BACKLOG = 1024 };

static bool is_unix(const char *address)
{
    return strncmp(address, "unix:", 5) == 0;
}

/* "unix:" and the absolute path of a socket that exists, which is what others can use wherever they
 * are. */
static int name_path(const char *path, char ret_address[LISTENER_ADDRESS_MAX], struct err *e)
{
    char absolute[PATH_MAX];
    const char *found = path[0] == '/' ? path : realpath(path, absolute);
    if (found == NULL) return err_set(e, -errno, "unix:%s: %s", path, err_text(-errno));
    snprintf(ret_address, LISTENER_ADDRESS_MAX, "unix:%s", found);
    return 0;
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat one, other;
    if (strcmp(a, b) == 0) return true;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

static int open_unix(struct listener *l, const char *path, struct err *e)
{
    int fd = unix_socket_listen(path, LISTENER_BACKLOG, &l->socket, e);
    if (fd < 0) return fd;
    int rc = name_path(path, l->address, e);
    if (rc < 0) {
        unix_socket_remove(path, &l->socket);
        close(fd);
        return rc;
    }
    l->fd = fd;
    l->is_unix = true;
    return 0;
}

int listener_split(const char *address, char ret_host[LISTENER_HOST_MAX + 1], const char **ret_port)
{
    const char *colon = strrchr(address, ':');
    const char *port = colon != NULL ? colon + 1 : address;
    const char *first = address, *end = colon != NULL ? colon : address;
    if (address[0] == '[') {
        if (colon == NULL || colon[-1] != ']') return ERR_FORMAT;
        first++;
        end--;
        if (first == end) return ERR_FORMAT;
    } else if (memchr(first, ':', (size_t)(end - first)) != NULL) {
        return ERR_FORMAT; /* IPv6 without brackets is ambiguous */
    }
    size_t n = (size_t)(end - first);
    if (n > LISTENER_HOST_MAX) return ERR_FORMAT;
    char *stop;
    errno = 0;
    long number = strtol(port, &stop, 10);
    if (port[0] < '0' || port[0] > '9' || *stop != '\0' || errno != 0 || number > 65535)
        return ERR_FORMAT;
    memcpy(ret_host, n > 0 ? first : "*", n > 0 ? n : 1);
    ret_host[n > 0 ? n : 1] = '\0';
    *ret_port = port;
    return 0;
}

/* ---- addresses of a host ---- */

/* What is tried first. All addresses of the machine: by the IPv6 socket that takes IPv4, too. */
static int order_of(const char *host)
{
    return strcmp(host, "*") == 0 ? AF_INET6 : AF_INET;
}

/* freeaddrinfo(*ret_list). */
static int look_up(const char *address, char host[LISTENER_HOST_MAX + 1],
                   struct addrinfo **ret_list, struct err *e)
{
    const char *port;
    if (listener_split(address, host, &port) != 0)
        return err_set(e, ERR_FORMAT,
                       "\"%s\" is no address: take HOST:PORT, [IPV6]:PORT, PORT (on all addresses) "
                       "or unix:PATH",
                       address);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    int rc = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, port, &hints, ret_list);
    if (rc == 0) return 0;
    return err_set(e, ERR_NOT_FOUND, "%s: host %s: %s", address, host, gai_strerror(rc));
}

static int bind_one(const struct addrinfo *ai)
{
    const int on = 1, off = 0;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    /* Whatever net.ipv6.bindv6only says: [::] means IPv4, too. */
    if (ai->ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0) return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

static int bind_first(const struct addrinfo *list, int first)
{
    int rc = -EADDRNOTAVAIL;
    for (int round = 0; round < 2; round++) {
        for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
            if ((ai->ai_family == first) != (round == 0)) continue;
            rc = bind_one(ai);
            if (rc != -EADDRNOTAVAIL && rc != -EAFNOSUPPORT) return rc;
        }
    }
    return rc;
}

/* The bound socket, or an error. */
static int bind_address(const char *address, struct err *e)
{
    char host[LISTENER_HOST_MAX + 1];
    struct addrinfo *list;
    int rc = look_up(address, host, &list, e);
    if (rc < 0) return rc;
    int fd = bind_first(list, order_of(host));
    freeaddrinfo(list);
    if (fd >= 0) return fd;
    const char *why = "";
    if (fd == -EADDRINUSE)
        why = " (another program listens there; choose another port, or 0)";
    else if (fd == -EACCES)
        why = " (ports below 1024 take CAP_NET_BIND_SERVICE)";
    return err_set(e, fd, "cannot bind %s: %s%s", address, err_text(fd), why);
}

static void name_address(const struct sockaddr *sa, char ret_address[LISTENER_ADDRESS_MAX])
{
    char text[INET6_ADDRSTRLEN] = "";
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
        snprintf(ret_address, LISTENER_ADDRESS_MAX, "[%s]:%u", text, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
        snprintf(ret_address, LISTENER_ADDRESS_MAX, "%s:%u", text, ntohs(in->sin_port));
    }
}

/* ---- listeners ---- */

int listener_open(struct listener *l, const char *address, struct err *e)
{
    memset(l, 0, sizeof(*l));
    l->fd = -1;
    if (is_unix(address)) return open_unix(l, address + 5, e);
    int fd = bind_address(address, e);
    if (fd < 0) return fd;
    struct sockaddr_storage ss;
    socklen_t size = sizeof(ss);
    transport_note_arrivals(fd); /* its connections inherit it */
    if (listen(fd, LISTENER_BACKLOG) != 0 || getsockname(fd, (struct sockaddr *)&ss, &size) != 0) {
        int rc = -errno;
        close(fd);
        return err_set(e, rc, "cannot listen on %s: %s", address, err_text(rc));
    }
    l->fd = fd;
    name_address((const struct sockaddr *)&ss, l->address);
    return 0;
}

/* Bound but not listening: whoever starts meanwhile is not kept from it. */
int address_check(const char *address, struct err *e)
{
    if (is_unix(address)) return unix_socket_check(address + 5, e);
    int fd = bind_address(address, e);
    if (fd < 0) return fd;
    close(fd);
    return 0;
}

static bool is_any(const char *address)
{
    return strncmp(address, "0.0.0.0:", 8) == 0 || strncmp(address, "[::]:", 5) == 0;
}

bool address_is_in_the_way(const char *held, const char *address)
{
    char host[LISTENER_HOST_MAX + 1], one[LISTENER_ADDRESS_MAX];
    struct addrinfo *list;
    if (is_unix(address)) return is_unix(held) && is_same_file(held + 5, address + 5);
    if (is_unix(held) || look_up(address, host, &list, NULL) < 0) return false;
    bool found = false;
    for (const struct addrinfo *ai = list; ai != NULL && !found; ai = ai->ai_next) {
        if (ai->ai_family != AF_INET && ai->ai_family != AF_INET6) continue;
        name_address(ai->ai_addr, one);
        found = strcmp(one, held) == 0;
        if (is_any(one) || is_any(held)) found = strcmp(strrchr(one, ':'), strrchr(held, ':')) == 0;
    }
    freeaddrinfo(list);
    return found;
}

void listener_close(struct listener *l)
{
    if (l->fd < 0) return;
    if (l->is_unix) unix_socket_remove(l->address + 5, &l->socket);
    close(l->fd);
    l->fd = -1;
}
