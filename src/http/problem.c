/* Problem documents. The type is always about:blank, so that by RFC 9457 section 4.2.1 the title is
 * the status code's own phrase and the detail says what happened, where, and what helps. */
#include "config.h"

#include "problem.h"

#include <errno.h>
#include <microhttpd.h>

#include "base/err.h"
#include "http/exchange.h"

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

void problem_members(struct json_writer *w, int status, const char *detail)
{
    json_write_string(w, "type", "about:blank");
    json_write_string(w, "title", problem_title(status));
    json_write_int(w, "status", status);
    json_write_string(w, "detail", detail);
    json_write_string(w, "error", detail);
}

int problem_write(struct buf *out, int status, const char *detail)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_open(&w, NULL, '{');
    problem_members(&w, status, detail);
    json_write_close(&w, '}');
    return w.status != 0 ? w.status : buf_puts(out, "\n");
}
