/* POST and GET /admin/v1/jobs, and what is below it. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin_private.h"
#include "base/mem.h"

enum { LIST_DEFAULT = 100, LIST_MAX = 1000 };

/* What a call to the jobs needs to answer its exchange. */
struct waiting {
    struct admin *admin;
    struct exchange *x;
};

static struct waiting *wait_for(struct admin *admin, struct exchange *x)
{
    struct waiting *w = mem_new(1, sizeof(*w));
    if (w == NULL)
        exchange_problem(x, 500, "out of memory");
    else
        *w = (struct waiting){admin, x};
    return w;
}

/* A whole number from min to max; false when it is none. */
static bool parse_number(const char *text, int64_t min, int64_t max, int64_t *ret)
{
    char *end;
    if (text[0] < '0' || text[0] > '9') return false;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (*end != '\0' || errno != 0 || value < min || value > max) return false;
    *ret = value;
    return true;
}

/* 0 is no job: the answer is the store's 404. */
static int64_t id_of(const struct exchange *x)
{
    int64_t id = 0;
    parse_number(exchange_parameter(x, "id"), 1, INT64_MAX, &id);
    return id;
}

static struct buf *text_of(const struct jobs_answer *answer)
{
    return answer != NULL ? answer->text : NULL;
}

static void created(void *arg, const struct jobs_answer *answer, const struct err *error)
{
    struct waiting w = *(struct waiting *)arg;
    mem_free(arg);
    if (answer != NULL) {
        exchange_add_header(w.x, "Location", "/admin/v1/jobs/%lld", (long long)answer->id);
    } else if (error->code == ERR_BUSY) {
        exchange_add_header(w.x, "Retry-After", "60");
    }
    admin_answer(w.x, 202, text_of(answer), error);
}

static void create(struct exchange *x, void *arg)
{
    struct admin *admin = arg;
    struct json *body = exchange_json(x, false);
    if (body == NULL) return;
    struct waiting *w = wait_for(admin, x);
    if (w != NULL)
        jobs_create(admin->jobs, body, exchange_header(x, "Idempotency-Key"), created, w);
    json_free(body);
}

static void read_done(void *arg, const struct jobs_answer *answer, const struct err *error)
{
    struct waiting w = *(struct waiting *)arg;
    mem_free(arg);
    admin_answer(w.x, 200, text_of(answer), error);
}

static void list(struct exchange *x, void *arg)
{
    struct admin *admin = arg;
    const char *limit_text = exchange_query(x, "limit"), *before_text = exchange_query(x, "before");
    int64_t limit = LIST_DEFAULT, before = 0;
    if (limit_text != NULL && !parse_number(limit_text, 1, LIST_MAX, &limit)) {
        exchange_problem(x, 400, "\"limit\" takes a whole number from 1 to %d", LIST_MAX);
        return;
    }
    if (before_text != NULL && !parse_number(before_text, 1, INT64_MAX, &before)) {
        exchange_problem(x, 400, "\"before\" takes the id of a job");
        return;
    }
    struct waiting *w = wait_for(admin, x);
    if (w != NULL) jobs_list(admin->jobs, before, limit, read_done, w);
}

static void get(struct exchange *x, void *arg)
{
    struct admin *admin = arg;
    struct waiting *w = wait_for(admin, x);
    if (w != NULL) jobs_get(admin->jobs, id_of(x), read_done, w);
}

static void cancel_done(void *arg, const struct jobs_answer *answer, const struct err *error)
{
    struct waiting w = *(struct waiting *)arg;
    mem_free(arg);
    bool ended = answer != NULL && answer->finished;
    admin_answer(w.x, ended ? 200 : 202, text_of(answer), error);
}

static void cancel(struct exchange *x, void *arg)
{
    struct admin *admin = arg;
    if (!admin_takes_no_body(x)) return;
    struct waiting *w = wait_for(admin, x);
    if (w != NULL) jobs_cancel(admin->jobs, id_of(x), cancel_done, w);
}

static void events(struct exchange *x, void *arg)
{
    admin_events(arg, x, id_of(x));
}

int admin_add_jobs(struct admin *admin)
{
    struct server *s = admin->server;
    int rc = server_route(s, "POST", "/admin/v1/jobs", ADMIN_JOB_BODY_MAX, create, admin);
    if (rc == 0) rc = server_route(s, "GET", "/admin/v1/jobs", 0, list, admin);
    if (rc == 0) rc = server_route(s, "GET", "/admin/v1/jobs/{id}", 0, get, admin);
    if (rc == 0) rc = server_route(s, "GET", "/admin/v1/jobs/{id}/events", 0, events, admin);
    if (rc == 0)
        rc = server_route(s, "POST", "/admin/v1/jobs/{id}/cancel", ADMIN_BODY_MAX, cancel, admin);
    return rc;
}
