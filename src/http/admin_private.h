/* Inside the admin routes. */
#ifndef HTTP_ADMIN_PRIVATE_H
#define HTTP_ADMIN_PRIVATE_H

#include "http/admin.h"

struct admin {
    struct server *server;
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct jobs *jobs;
};

enum { ADMIN_JOB_BODY_MAX = 64 << 10, ADMIN_BODY_MAX = 1 << 10 };

int admin_add_jobs(struct admin *admin);
int admin_add_models(struct admin *admin);

/* GET /admin/v1/jobs/{id}/events (admin_events.c); id has been read from the path. */
void admin_events(struct admin *admin, struct exchange *x, int64_t id);

/* Enters a call that changes something in the audit; before its answer, which ends the exchange. error:
 * what refused it, or NULL. */
void admin_audit(struct admin *admin, const struct exchange *x, int status, const struct err *error);

/* Audits, and answers with a document (taken over), or where that is NULL with the problem that error is. */
void admin_answer(struct admin *admin, struct exchange *x, int status, json_t *document,
                  const struct err *error);

/* The same without an entry, for what only reads. */
void admin_answer_reading(struct exchange *x, json_t *document, const struct err *error);

/* A body that must be empty or {}. false: the exchange has been answered. */
bool admin_takes_no_body(struct admin *admin, struct exchange *x);

#endif
