/* The admin routes: what jobs and models have in common.
 *
 * Every handler hands its work to the store thread and answers when that comes back; the loop does no
 * work of its own. The audit is written without waiting for it: a call that was answered and is missing
 * there needs a disk that failed, which the log says. */
#include "config.h"

#include "http/admin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin_private.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/audit_table.h"

enum { ID_SIZE = 128, METHOD_SIZE = 16, PATH_SIZE = 512 };

struct audit_task {
    struct store_task task;
    int64_t at_ns;
    int status;
    char id[ID_SIZE], method[METHOD_SIZE], path[PATH_SIZE], detail[ERR_TEXT_MAX];
};

static void write_audit(struct store_task *task, struct db *db)
{
    struct audit_task *a = (struct audit_task *)task; /* the first member */
    const struct audit_row row = {a->at_ns, a->id, a->method, a->path, a->status, a->detail};
    struct err e = {0};
    if (audit_table_add(db, &row, &e) < 0) log_error("audit of %s %s: %s", a->method, a->path, e.text);
    mem_free(a);
}

void admin_audit(struct admin *admin, const struct exchange *x, int status, const struct err *error)
{
    struct audit_task *a = mem_new(1, sizeof *a);
    if (a == NULL) {
        log_error("audit of %s %s: out of memory", exchange_method(x), exchange_path(x));
        return;
    }
    a->task.run = write_audit;
    a->at_ns = clock_real();
    a->status = status;
    snprintf(a->id, sizeof a->id, "%s", exchange_id(x));
    snprintf(a->method, sizeof a->method, "%s", exchange_method(x));
    snprintf(a->path, sizeof a->path, "%s", exchange_path(x));
    snprintf(a->detail, sizeof a->detail, "%s", error != NULL ? error->text : "");
    log_info("admin: %s %s: %d%s%s", a->method, a->path, status, error != NULL ? " " : "", a->detail);
    store_post(admin->store, &a->task);
}

void admin_answer_reading(struct exchange *x, json_t *document, const struct err *error)
{
    if (document != NULL)
        exchange_reply_json(x, 200, document);
    else
        exchange_problem_err(x, error);
}

void admin_answer(struct admin *admin, struct exchange *x, int status, json_t *document,
                  const struct err *error)
{
    admin_audit(admin, x, document != NULL ? status : problem_status(error->code), error);
    if (document != NULL)
        exchange_reply_json(x, status, document);
    else
        exchange_problem_err(x, error);
}

bool admin_takes_no_body(struct admin *admin, struct exchange *x)
{
    json_t *body = exchange_json(x, true);
    if (body == NULL) return false;
    size_t n = json_object_size(body);
    json_decref(body);
    if (n == 0) return true;
    struct err e;
    err_set(&e, ERR_FORMAT, "this call takes no members in its body");
    admin_answer(admin, x, 0, NULL, &e);
    return false;
}

int admin_new(struct server *server, struct loop *loop, struct store *store, struct registry *registry,
              struct jobs *jobs, struct admin **ret_admin, struct err *e)
{
    struct admin *admin = mem_new(1, sizeof *admin);
    if (admin == NULL) return err_set(e, -ENOMEM, "admin: out of memory");
    *admin = (struct admin){server, loop, store, registry, jobs};
    int rc = admin_add_jobs(admin);
    if (rc == 0) rc = admin_add_models(admin);
    if (rc < 0) {
        mem_free(admin);
        return err_set(e, rc, "admin: cannot add a route: %s", err_text(rc));
    }
    *ret_admin = admin;
    return 0;
}

void admin_free(struct admin *admin)
{
    mem_free(admin);
}
