/* What a request's framing must be like before anything else of it is believed. */
#ifndef HTTP_GUARD_H
#define HTTP_GUARD_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct guard {
    bool chunked;
    int64_t content_length; /* -1: not given */
};

/* 0, or the HTTP status (400, 417, 501) with a message. After a refusal the connection must not be
 * used again: its framing cannot be trusted. */
int guard_check(struct MHD_Connection *mhd, const char *version, struct guard *ret_guard,
                struct err *e);

#endif
