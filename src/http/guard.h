/* What a request's framing must be like before anything else of it is believed. */
#ifndef HTTP_GUARD_H
#define HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "head.h"

/* How long a request's body is. */
struct framing {
    bool chunked;
    int64_t content_length; /* -1: not given */
};

/* 0, or the HTTP status (400, 417, 501) with a message. After a refusal the connection must not be
 * used again: its framing cannot be trusted. */
int guard_check(const struct head *head, struct framing *ret_framing, struct err *e);

/* A request target as it was received: *ret_prefix is the length of scheme and authority of one in
 * absolute form (RFC 9112, 3.2.2), which a server must accept, and 0 of all others. ERR_FORMAT: the
 * authority is empty or holds what no host and port do. */
int guard_target(const char *target, size_t *ret_prefix);

#endif
