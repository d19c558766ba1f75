/* Listening sockets from text: "127.0.0.1:8080", "[::1]:0", "localhost:80", "*:8080",
 * "unix:/path". */
#ifndef HTTP_LISTENER_H
#define HTTP_LISTENER_H

#include <stdbool.h>

#include "base/err.h"

enum { LISTENER_ADDRESS_MAX = 160, LISTENER_HOST_MAX = 127 };

struct listener {
    int fd; /* -1: closed */
    bool is_unix;
    char address[LISTENER_ADDRESS_MAX]; /* with the real port */
};

/* "HOST:PORT" or "[IPV6]:PORT" taken apart: the host without brackets, and where the port begins in
 * address, digits up to 65535. Nothing is looked up. ERR_FORMAT. */
int listener_split(const char *address, char ret_host[LISTENER_HOST_MAX + 1],
                   const char **ret_port);

/* Binds and listens, non-blocking and close-on-exec. A UNIX socket gets mode 0600 before anybody
 * can connect, and replaces a socket (never another kind of file) that was left there. Errors name
 * the address. */
int listener_open(struct listener *listener, const char *address, struct err *e);

/* Closes the socket and removes a UNIX socket's file. */
void listener_close(struct listener *listener);

#endif
