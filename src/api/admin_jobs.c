/* The routes of training jobs, but for their events. */
#include "config.h"

#include <string.h>

#include "admin.h"
#include "api_private.h"
#include "base/mem.h"
#include "handlers.h"

enum { LIST_DEFAULT = 100 };

static struct buf *text_of(const struct jobs_answer *answer)
{
    return answer != NULL ? answer->text : NULL;
}

static void created(void *arg, const struct jobs_answer *answer, const struct err *error)
{
    struct exchange *x = arg;
    if (answer != NULL) {
        exchange_add_header(x, "Location", "/admin/v1/jobs/%lld", (long long)answer->id);
    } else if (error->code == ERR_BUSY) {
        exchange_add_header(x, "Retry-After", "60");
    }
    admin_answer(x, 202, text_of(answer), error);
}

void admin_jobs_create(struct exchange *x, void *arg)
{
    struct api *api = arg;
    struct json *body = exchange_json(x);
    if (body == NULL) return;
    jobs_create(api->below.jobs, body, exchange_header(x, "Idempotency-Key"), created, x);
    json_free(body);
}

static void read_done(void *arg, const struct jobs_answer *answer, const struct err *error)
{
    struct exchange *x = arg;
    admin_answer(x, 200, text_of(answer), error);
}

void admin_jobs_list(struct exchange *x, void *arg)
{
    struct api *api = arg;
    int64_t limit = exchange_query_number(x, "limit", LIST_DEFAULT);
    jobs_list(api->below.jobs, exchange_query_number(x, "before", 0), limit, read_done, x);
}

void admin_jobs_get(struct exchange *x, void *arg)
{
    struct api *api = arg;
    jobs_get(api->below.jobs, admin_job_id(x), read_done, x);
}

static void cancel_done(void *arg, const struct jobs_answer *answer, const struct err *error)
{
    struct exchange *x = arg;
    bool ended = answer != NULL && answer->finished;
    admin_answer(x, ended ? 200 : 202, text_of(answer), error);
}

void admin_jobs_cancel(struct exchange *x, void *arg)
{
    struct api *api = arg;
    if (admin_takes_no_body(x)) jobs_cancel(api->below.jobs, admin_job_id(x), cancel_done, x);
}
