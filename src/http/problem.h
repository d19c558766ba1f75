/* Problem documents (RFC 9457). */
#ifndef HTTP_PROBLEM_H
#define HTTP_PROBLEM_H

#include "base/buf.h"

#define PROBLEM_CONTENT_TYPE "application/problem+json"

/* {"type","title","status","detail","error"}; `error` is what v2 clients read. 0 or the buffer's
 * code. */
int problem_write(struct buf *out, int status, const char *detail);

/* "Not Found" for 404, "" for a status that nobody has named. */
const char *problem_title(int status);

#endif
