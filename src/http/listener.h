/* Listening sockets from text: "127.0.0.1:8080", "[::1]:0", "localhost:80", "unix:/path"; "8080",
 * ":8080", "*:8080" and "[::]:8080" are all addresses of the machine, IPv6 and IPv4. */
#ifndef HTTP_LISTENER_H
#define HTTP_LISTENER_H

#include <limits.h>
#include <stdbool.h>

#include "base/err.h"
#include "unix_socket.h"

enum { LISTENER_ADDRESS_MAX = PATH_MAX + 8, LISTENER_HOST_MAX = 127 };

struct listener {
    int fd; /* -1: closed */
    bool is_unix;
    struct unix_socket socket;
    char address[LISTENER_ADDRESS_MAX]; /* with the real port, or the absolute path */
};

/* "HOST:PORT" or "[IPV6]:PORT" taken apart: the host without brackets, "*" where none is named, and
 * where the port begins in address, digits up to 65535. Nothing is looked up. ERR_FORMAT. */
int listener_split(const char *address, char ret_host[LISTENER_HOST_MAX + 1],
                   const char **ret_port);

/* Binds and listens, non-blocking and close-on-exec. Of a name's addresses the first of IPv4 is
 * taken, else one of IPv6. A UNIX socket gets mode 0600 before anybody can connect, and replaces
 * one that nobody listens on, never another kind of file. Errors name the address; -EADDRINUSE
 * where somebody listens. */
int listener_open(struct listener *listener, const char *address, struct err *e);

/* Removes a UNIX socket's file, if it is still ours, and closes the socket. */
void listener_close(struct listener *listener);

#endif
