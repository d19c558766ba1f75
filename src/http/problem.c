/* Problem documents. The type is always about:blank, so that by RFC 9457 section 4.2.1 the title is
 * the status code's own phrase and the detail says what happened, where, and what helps. */
#include "config.h"

#include "problem.h"

#include <errno.h>
#include <microhttpd.h>

#include "base/err.h"
#include "http/exchange.h"
#include "http/json_text.h"

int problem_status(int code)
{
    static const struct {
        int code, status;
    } table[] = {
        {ERR_FORMAT, 400},   {ERR_RANGE, 400},    {ERR_USAGE, 400},       {ERR_NOT_FOUND, 404},
        {ERR_CONFLICT, 409}, {ERR_LIMIT, 413},    {ERR_UNSUPPORTED, 422}, {ERR_CANCELLED, 499},
        {ERR_BUSY, 503},     {ERR_DEADLINE, 504}, {-ENOSPC, 507},         {-ENOMEM, 503},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].code == code) return table[i].status;
    return 500;
}

const char *problem_title(int status)
{
    if (status == 499) return "Client Closed Request";
    const char *title = MHD_get_reason_phrase_for((unsigned)status);
    return title == NULL ? "" : title;
}

int problem_write(struct buf *out, int status, const char *detail)
{
    struct json_text json;
    json_text_init(&json, out);
    json_text_open(&json, NULL, '{');
    json_text_string(&json, "type", "about:blank");
    json_text_string(&json, "title", problem_title(status));
    json_text_integer(&json, "status", status);
    json_text_string(&json, "detail", detail);
    json_text_string(&json, "error", detail);
    json_text_close(&json, '}');
    return json.rc != 0 ? json.rc : buf_puts(out, "\n");
}
