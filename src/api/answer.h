/* A finished request as HTTP. */
#ifndef API_ANSWER_H
#define API_ANSWER_H

#include "base/buf.h"
#include "task.h"

enum { ANSWER_MAX = 1 << 30 };

/* The result that the headers speak of: that of the deepest classifier, the ensemble being deepest
 * of all; NULL: none of the images could be answered. */
const struct result *answer_shown(const struct request *request);

/* The body of a request with status 0. 0 or the buffer's code. */
int answer_write(const struct task *task, int64_t now_ns, bool met, struct buf *body);

void answer_headers(struct task *task, const struct result *shown, bool met);

#endif
