/* What the admin routes have in common. */
#include "config.h"

#include "admin.h"

#include <errno.h>
#include <stdlib.h>

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
    struct json *body = exchange_json(x);
    if (body == NULL) return false;
    size_t n = json_count(body);
    json_free(body);
    if (n == 0) return true;
    exchange_problem(x, 400, "this route takes no members in its body");
    return false;
}

int64_t admin_job_id(const struct exchange *x)
{
    const char *text = exchange_parameter(x, "id");
    char *end;
    if (text[0] < '0' || text[0] > '9') return 0;
    errno = 0;
    long long id = strtoll(text, &end, 10);
    return *end == '\0' && errno == 0 && id > 0 ? id : 0;
}
