/* The admin routes: what jobs and models have in common.
 *
 * Every handler hands its work to a store thread and answers when that comes back; the loop does no
 * work of its own. The audit looks at all answers by itself (audit.c). */
#include "config.h"

#include "api/admin.h"

#include <errno.h>

#include "admin_private.h"
#include "base/mem.h"

void admin_answer(struct exchange *x, int status, struct buf *document, const struct err *error)
{
    if (document == NULL)
        exchange_problem_err(x, error);
    else if (buf_puts(document, "\n") == 0)
        exchange_reply(x, status, "application/json", document);
    else
        exchange_problem(x, 500, "out of memory for the answer");
}

bool admin_takes_no_body(struct exchange *x)
{
    struct json *body = exchange_json(x, true);
    if (body == NULL) return false;
    size_t n = json_count(body);
    json_free(body);
    if (n == 0) return true;
    struct err e;
    err_set(&e, ERR_FORMAT, "this call takes no members in its body");
    admin_answer(x, 0, NULL, &e);
    return false;
}

int admin_new(struct server *server, struct loop *loop, struct store *store,
              struct registry *registry, struct jobs *jobs, struct admin **ret_admin, struct err *e)
{
    struct admin *admin = mem_new(1, sizeof(*admin));
    if (admin == NULL) return err_set(e, -ENOMEM, "admin: out of memory");
    *admin = (struct admin){
        .server = server, .loop = loop, .store = store, .registry = registry, .jobs = jobs};
    int rc = admin_add_jobs(admin);
    if (rc == 0) rc = admin_add_models(admin);
    if (rc < 0) {
        mem_free(admin);
        return err_set(e, rc, "admin: cannot add a route: %s", err_text(rc));
    }
    admin_audit_start(admin);
    *ret_admin = admin;
    return 0;
}

void admin_free(struct admin *admin)
{
    if (admin == NULL) return;
    admin_audit_end(admin);
    mem_free(admin);
}
