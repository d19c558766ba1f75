/* What a request's framing must be like before anything else of it is believed. */
#ifndef HTTP_GUARD_H
#define HTTP_GUARD_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* How long a request's body is. */
struct framing {
    bool chunked;
    int64_t content_length; /* -1: not given */
};

/* The headers that the rules look at. */
enum guard_header {
    GUARD_LENGTH,
    GUARD_ENCODING,
    GUARD_HOST,
    GUARD_TYPE,
    GUARD_EXPECT,
    GUARD_HEADERS
};

/* What the rules know of a request; texts are those of the headers that were added. */
struct guard_facts {
    bool is_1_0; /* set by the caller, all else 0 */
    struct {
        int count;
        const char *value; /* the last one's */
    } headers[GUARD_HEADERS];
    bool folded;           /* a header of the framing has more behind its name */
    const char *bad_name;  /* a header whose name is none */
    const char *bad_value; /* the name of one whose value is none */
};

/* A header as it was received, names and values NUL-terminated, too. */
void guard_add(struct guard_facts *facts, const char *name, size_t name_size, const char *value,
               size_t value_size);

/* 0, or the HTTP status (400, 417, 501) with a message. After a refusal the connection must not be
 * used again: its framing cannot be trusted. */
int guard_judge(const struct guard_facts *facts, struct framing *ret_framing, struct err *e);

/* Both, for the headers of a connection's request. */
int guard_check(struct MHD_Connection *mhd, const char *version, struct framing *ret_framing,
                struct err *e);

/* A request target as it was received: *ret_prefix is the length of scheme and authority of one in
 * absolute form (RFC 9112, 3.2.2), which a server must accept, and 0 of all others. ERR_FORMAT: the
 * authority is empty or holds what no host and port do. */
int guard_target(const char *target, size_t *ret_prefix);

#endif
