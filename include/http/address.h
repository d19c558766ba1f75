/* Addresses that a server could listen on, as text (http/server.h). */
#ifndef HTTP_ADDRESS_H
#define HTTP_ADDRESS_H

#include <stdbool.h>

#include "base/err.h"

/* Whether a server could listen there now: the errors that server_new() would have, -EADDRINUSE
 * where somebody listens. Nothing is left behind, and a UNIX socket's file is not touched. */
int address_check(const char *address, struct err *e);

/* Whether a server whose server_address() is `held` is in the way of one on `address`. */
bool address_is_in_the_way(const char *held, const char *address);

#endif
