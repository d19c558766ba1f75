/* Problem documents. The type is always about:blank, so that by RFC 9457 section 4.2.1 the title is
 * the status code's own phrase and the detail says what happened, where, and what helps. */
#include "config.h"

#include "problem.h"

#include <errno.h>

#include "base/err.h"
#include "http/exchange.h"

int problem_status(int code)
{
    static const struct {
        int code, status;
    } table[] = {
        {ERR_FORMAT, 400},   {ERR_RANGE, 400},    {ERR_USAGE, 400},       {ERR_NOT_FOUND, 404},
        {ERR_CONFLICT, 409}, {ERR_LIMIT, 413},    {ERR_UNSUPPORTED, 422}, {ERR_CANCELLED, 499},
        {ERR_BUSY, 503},     {ERR_DEADLINE, 504}, {-ENOMEM, 503},
    };
    if (err_is_disk(code)) return 507;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].code == code) return table[i].status;
    return 500;
}

const char *problem_title(int status)
{
    static const struct {
        int status;
        const char *title; /* RFC 9110, 15; RFC 6585; RFC 4918 */
    } table[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].status == status) return table[i].title;
    return "";
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
