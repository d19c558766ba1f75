/* The file of a listening UNIX socket: whose it is, and who may take its name. */
#ifndef HTTP_UNIX_SOCKET_H
#define HTTP_UNIX_SOCKET_H

#include <sys/types.h>

#include "base/err.h"

/* What was made, to know it again. */
struct unix_socket {
    dev_t device;
    ino_t inode;
};

/* Whether a daemon could listen there: 0 where nothing stands or a socket that nobody listens on
 * any more; -EADDRINUSE where somebody does; ERR_CONFLICT for another kind of file; ERR_RANGE for
 * a path that is too long for a socket; others. Changes nothing; who listens sees one connection
 * that says nothing. */
int unix_socket_check(const char *path, struct err *e);

/* Binds and listens with mode 0600 from the first moment, in the place of a socket that nobody
 * listens on; never of anything else. Non-blocking, close-on-exec. The descriptor, or an error as
 * above. */
int unix_socket_listen(const char *path, int backlog, struct unix_socket *ret_socket,
                       struct err *e);

/* Removes the file if it is still the one that was made; to be called while it listens still, so
 * that nobody else can take the name meanwhile. */
void unix_socket_remove(const char *path, const struct unix_socket *socket);

#endif
