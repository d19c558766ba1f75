/* Inside the admin routes. */
#ifndef API_ADMIN_PRIVATE_H
#define API_ADMIN_PRIVATE_H

#include "api/admin.h"

/* Refusals since a point of time, of one kind (audit.c). */
struct refusals {
    int max, entered;
    int64_t since_ns, left_out;
    int last_status;
};

struct admin {
    struct server *server;
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct jobs *jobs;
    struct refusals strangers, refused;
};

enum { ADMIN_JOB_BODY_MAX = 64 << 10, ADMIN_BODY_MAX = 1 << 10 };

int admin_add_jobs(struct admin *admin);
int admin_add_models(struct admin *admin);

/* GET /admin/v1/jobs/{id}/events (admin_events.c); id has been read from the path. */
void admin_events(struct admin *admin, struct exchange *x, int64_t id);

/* From now on the server's answers are entered in the audit; at the end what waits to be counted
 * is. */
void admin_audit_start(struct admin *admin);
void admin_audit_end(struct admin *admin);

/* Answers with a JSON document, whose memory is taken, or where that is NULL with the problem that
 * error is. */
void admin_answer(struct exchange *x, int status, struct buf *document, const struct err *error);

/* A body that must be empty or {}. false: the exchange has been answered. */
bool admin_takes_no_body(struct exchange *x);

#endif
