/* Whether a request is what its route's row says. Each returns 0, or the HTTP status with a
 * message. */
#ifndef HTTP_CHECK_H
#define HTTP_CHECK_H

#include "coding.h"
#include "guard.h"
#include "http/route.h"

/* No body where none is taken, none that is announced as too large: 400, 413. */
int check_size(const struct exchange *x, const struct route *route, const struct framing *framing,
               struct err *e);

/* The body's media type, and a length where a body is needed: 415 with Accept (RFC 9110, 15.5.16),
 * 411. */
int check_body(struct exchange *x, const struct route *route, const struct framing *framing,
               struct err *e);

/* What headers say that the body is, before anything of it is read as what its type says: its
 * content coding, 415 with Accept-Encoding (RFC 9110, 12.5.3), and that it is a part of something,
 * 400 (14.5). */
int check_content(struct exchange *x, const struct route *route, const struct framing *framing,
                  enum coding *ret_coding, struct err *e);

/* The arguments of the query: 400. */
int check_query(struct exchange *x, const struct route *route, struct err *e);

#endif
