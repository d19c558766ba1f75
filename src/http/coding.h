/* Content codings (RFC 9110, 8.4.1): which one a body has been given, and which an answer may have.
 * Pure; any thread. */
#ifndef HTTP_CODING_H
#define HTTP_CODING_H

#include <stdbool.h>

#include "base/err.h"

enum coding {
    CODING_IDENTITY,
    CODING_GZIP,   /* RFC 1952 */
    CODING_DEFLATE /* zlib's format (RFC 1950), or without it, which some send under this name */
};

/* As Accept-Encoding: what coding_add() takes. */
#define CODING_TAKEN "gzip, deflate"

/* What a Content-Encoding header says, added to what those before it said; begin with
 * CODING_IDENTITY. ERR_UNSUPPORTED: another coding, or more than one, which no client needs and a
 * small body could unfold through without end. */
int coding_add(enum coding *coding, const char *value, struct err *e);

/* What Accept-Encoding headers say (12.5.3): qualities in thousandths, -1 where one is not named.
 */
struct coding_wish {
    int gzip, identity, any;
};

void coding_wish_init(struct coding_wish *wish);

/* Members that are malformed count as not there. */
void coding_wish_add(struct coding_wish *wish, const char *value);

/* Whether gzip may be used and is liked no less than no coding; whether no coding may be used. */
bool coding_wish_gzip(const struct coding_wish *wish);
bool coding_wish_identity(const struct coding_wish *wish);

#endif
