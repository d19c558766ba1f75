/* The admin routes: training jobs, versions of models. Every call that changes something or
 * tries to, and every call without the right token, is entered in the audit with the status of its
 * answer (refusals at a bounded rate). On the loop thread. */
#ifndef API_ADMIN_H
#define API_ADMIN_H

#include "base/err.h"
#include "http/server.h"
#include "jobs/jobs.h"
#include "registry/registry.h"
#include "store/store.h"

struct admin;

/* Adds the routes below /admin/v1 to a server that has not been started. All four must outlive the
 * admin, and the admin the server. */
int admin_new(struct server *server, struct loop *loop, struct store *store,
              struct registry *registry, struct jobs *jobs, struct admin **ret_admin,
              struct err *e);

/* After server_free() and before store_close(); audit entries on their way keep what they need. */
void admin_free(struct admin *admin);

#endif
