/* What the admin routes have in common. Every handler hands its work to a store thread and answers
 * when that comes back; the loop does no work of its own. */
#ifndef API_ADMIN_H
#define API_ADMIN_H

#include "http/exchange.h"

/* Answers with a JSON document, whose memory is taken, or where that is NULL with the problem that
 * error is. */
void admin_answer(struct exchange *x, int status, struct buf *document, const struct err *error);

/* A body that must be empty or {}. false: the exchange has been answered. */
bool admin_takes_no_body(struct exchange *x);

/* The {id} of the path; 0, which no job has, when it is no number: the answer is then a 404. */
int64_t admin_job_id(const struct exchange *x);

#endif
