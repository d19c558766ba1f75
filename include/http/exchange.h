/* An exchange: one HTTP request and its one answer, as a handler sees them. The handler is called
 * on the loop thread when the whole body is there. It either answers before it returns, or keeps
 * the pointer and answers later (deferred), again on the loop thread: the connection is suspended
 * meanwhile. Every exchange must be answered exactly once, also when its client has gone (see
 * exchange_on_gone()); after the answer the pointer is dead. Blocking work (SQLite, files) belongs
 * on another thread, which comes back with loop_post(). */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "json/value.h"
#include "json/write.h"

struct exchange;
typedef void exchange_fn(struct exchange *x, void *arg);

/* ---- what was asked; strings live as long as the exchange ---- */
const char *exchange_method(const struct exchange *x);
const char *exchange_path(const struct exchange *x); /* percent-decoded, without the query */
const char *exchange_id(const struct exchange *x);   /* X-Request-Id, the client's or a new one */
/* When the request line came (clock_now()): over TCP the time at which the system had it, so that
 * what it waits before it is read counts. */
int64_t exchange_arrival_ns(const struct exchange *x);

/* The segment of the path that stands for {name} in the route's pattern; "" when there is none. */
const char *exchange_parameter(const struct exchange *x, const char *name);

/* First value of a query argument, decoded, "" for "?name"; NULL when it is not there. */
const char *exchange_query(const struct exchange *x, const char *name);

/* The value of a QUERY_NUMBER or QUERY_SWITCH that the route lists, which has been checked. */
int64_t exchange_query_number(const struct exchange *x, const char *name, int64_t otherwise);

/* First value of a header, name in any case; NULL when it is not there. */
const char *exchange_header(const struct exchange *x, const char *name);

/* Calls fn for each header in the order received until it returns non-zero, and returns that. */
int exchange_each_header(struct exchange *x,
                         int (*fn)(void *arg, const char *name, const char *value), void *arg);

/* The same for the query's arguments, decoded. */
int exchange_each_query(struct exchange *x,
                        int (*fn)(void *arg, const char *name, const char *value), void *arg);

/* The body as received, NUL-terminated (not counted); "" and 0 when there is none. */
const void *exchange_body(const struct exchange *x, size_t *ret_size);

/* The media type in lower case without parameters ("application/json"); "" when not given. */
const char *exchange_content_type(const struct exchange *x);

/* The body as a JSON object, for json_free(). NULL when it is none: the exchange has been answered
 * then (400 with line and column for broken JSON, duplicate names, deep nesting). An empty body
 * counts as {} where the route's may be left out. */
struct json *exchange_json(struct exchange *x);

/* Something of the handler's own that lives with the exchange; release(data) is called, once, when
 * the exchange is over, however it ends (also between head and handler). release may be NULL. */
void exchange_set_data(struct exchange *x, void *data, void (*release)(void *data));
void *exchange_data(const struct exchange *x);

/* Whether the request carried the token that its listener asks for, or needed none. */
bool exchange_is_authorized(const struct exchange *x);

/* Whether it carried the listener's token, needed or not. */
bool exchange_has_token(const struct exchange *x);

/* The client's address without its port, "" for a UNIX socket. */
void exchange_peer(const struct exchange *x, char *ret_text, size_t size);

/* For who releases an exchange's data: when the last of the answer was handed to the system, 0
 * where the connection was lost before; and whether the system holds some of it still, since the
 * client does not read, or not as fast. What happens to it behind this machine is not seen. */
int64_t exchange_sent_ns(const struct exchange *x);
bool exchange_is_held(const struct exchange *x);

/* The status answered; 408 or 499 when the request ended before it could be answered. */
int exchange_status(const struct exchange *x);

/* ---- the answer ---- */

/* A header of the coming answer; values with control characters are refused (ERR_FORMAT). */
int exchange_add_header(struct exchange *x, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Answers. Takes the buffer's memory (the buffer is empty afterwards); body may be NULL. */
void exchange_reply(struct exchange *x, int status, const char *content_type, struct buf *body);

/* Answers with an RFC 9457 problem document: type, title, status, detail and the member `error`. */
void exchange_problem(struct exchange *x, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for an error, with the status that problem_status() gives its code. */
void exchange_problem_err(struct exchange *x, const struct err *e);

/* The members of such a document, into an object that is open. */
void problem_members(struct json_writer *w, int status, const char *detail);

/* 400 ERR_FORMAT ERR_RANGE ERR_USAGE, 404 ERR_NOT_FOUND, 409 ERR_CONFLICT, 413 ERR_LIMIT,
 * 422 ERR_UNSUPPORTED, 503 ERR_BUSY -ENOMEM, 504 ERR_DEADLINE, 499 ERR_CANCELLED, 507 -ENOSPC, else
 * 500. */
int problem_status(int code);

/* For a deferred answer: gone(x, arg) is called, once, when the client hangs up before the answer.
 * The exchange must be answered all the same (which nobody will read). Set before the handler
 * returns. */
void exchange_on_gone(struct exchange *x, exchange_fn *gone, void *arg);

#endif
