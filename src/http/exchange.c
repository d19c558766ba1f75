/* An exchange's way from request line to last byte; the states stand in connection.h.
 *
 * The one decision: a request whose answer is known early (wrong type, too large, bad header) is
 * still read to its end when little is left of it, so that its connection lives on; otherwise the
 * answer goes out at once and the connection ends. libmicrohttpd ends the connection by itself when
 * an answer is queued before the body, which is why even a request without a body is answered at
 * its second call. */
#include "config.h"

#include "http/exchange.h"

#include <assert.h>
#include <ctype.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "connection.h"
#include "guard.h"
#include "json/value.h"
#include "problem.h"

enum {
    BODY_VALUES_MAX = 1 << 16,   /* of JSON: small texts must not become large memory */
    BODY_DISCARD_MAX = 64 << 10, /* of a refused request; above, the connection is not worth it */
    BODY_KEEP_MAX = 1 << 20,     /* a body buffer's memory kept for the connection's next request */
};

/* ---- what was asked ---- */

const char *exchange_method(const struct exchange *x)
{
    return x->method;
}

const char *exchange_path(const struct exchange *x)
{
    return x->path;
}

const char *exchange_id(const struct exchange *x)
{
    return x->id;
}

int64_t exchange_arrival_ns(const struct exchange *x)
{
    return x->arrival_ns;
}

const char *exchange_content_type(const struct exchange *x)
{
    return x->content_type;
}

struct loop *exchange_loop(const struct exchange *x)
{
    return server_loop(connection_of(x)->server);
}

const char *exchange_parameter(const struct exchange *x, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < x->match.n; i++)
        if (x->match.parameters[i].name_size == size &&
            memcmp(x->match.parameters[i].name, name, size) == 0)
            return x->match.parameters[i].value;
    return "";
}

const char *exchange_query(const struct exchange *x, const char *name)
{
    const char *value = NULL;
    if (MHD_lookup_connection_value_n(connection_of(x)->mhd, MHD_GET_ARGUMENT_KIND, name,
                                      strlen(name), &value, NULL) == MHD_NO)
        return NULL;
    return value == NULL ? "" : value;
}

const char *exchange_header(const struct exchange *x, const char *name)
{
    return MHD_lookup_connection_value(connection_of(x)->mhd, MHD_HEADER_KIND, name);
}

struct each {
    int (*fn)(void *arg, const char *name, const char *value);
    void *arg;
    int rc;
};

static enum MHD_Result each_value(void *arg, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    (void)kind;
    struct each *each = arg;
    each->rc = each->fn(each->arg, name, value == NULL ? "" : value);
    return each->rc == 0 ? MHD_YES : MHD_NO;
}

int exchange_each_header(struct exchange *x,
                         int (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    struct each each = {.fn = fn, .arg = arg};
    MHD_get_connection_values(connection_of(x)->mhd, MHD_HEADER_KIND, each_value, &each);
    return each.rc;
}

int exchange_each_query(struct exchange *x,
                        int (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    struct each each = {.fn = fn, .arg = arg};
    MHD_get_connection_values(connection_of(x)->mhd, MHD_GET_ARGUMENT_KIND, each_value, &each);
    return each.rc;
}

const void *exchange_body(const struct exchange *x, size_t *ret_size)
{
    if (ret_size != NULL) *ret_size = x->body.size;
    return buf_text(&x->body);
}

void exchange_set_data(struct exchange *x, void *data, void (*release)(void *data))
{
    x->data = data;
    x->data_release = release;
}

void *exchange_data(const struct exchange *x)
{
    return x->data;
}

bool exchange_is_authorized(const struct exchange *x)
{
    return x->authorized;
}

void exchange_peer(const struct exchange *x, char *ret_text, size_t size)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection_of(x)->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info == NULL ? NULL : info->client_addr;
    ret_text[0] = '\0';
    if (address == NULL || (address->sa_family != AF_INET && address->sa_family != AF_INET6))
        return;
    socklen_t length =
        address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (getnameinfo(address, length, ret_text, (socklen_t)size, NULL, 0, NI_NUMERICHOST) != 0)
        ret_text[0] = '\0';
}

int exchange_status(const struct exchange *x)
{
    if (x->status != 0) return x->status;
    return connection_of(x)->timed_out ? 408 : 499;
}

void exchange_on_gone(struct exchange *x, exchange_fn *gone, void *arg)
{
    x->on_gone = gone;
    x->on_gone_arg = arg;
}

/* ---- the answer ---- */

int exchange_add_header(struct exchange *x, const char *name, const char *format, ...)
{
    char value[2048];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(value)) return ERR_LIMIT;
    for (int i = 0; i < n; i++)
        if ((unsigned char)value[i] < ' ' || value[i] == 0x7f) return ERR_FORMAT;
    int rc = buf_append(&x->headers, name, strlen(name) + 1);
    return rc < 0 ? rc : buf_append(&x->headers, value, (size_t)n + 1);
}

static void free_body(void *body)
{
    mem_free(body);
}

void exchange_reply(struct exchange *x, int status, const char *content_type, struct buf *body)
{
    assert(x->state == EXCHANGE_BODY || x->state == EXCHANGE_HANDLING ||
           x->state == EXCHANGE_WAITING);
    static char empty[1];
    size_t size = body == NULL ? 0 : body->size;
    char *data = size == 0 ? NULL : buf_take(body);
    if (data == NULL)
        x->response = MHD_create_response_from_buffer(0, empty, MHD_RESPMEM_PERSISTENT);
    else
        x->response = MHD_create_response_from_buffer_with_free_callback(size, data, free_body);
    if (x->response == NULL) mem_free(data);
    if (x->response != NULL && content_type != NULL && size > 0)
        MHD_add_response_header(x->response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    exchange_reply_response(x, status, x->response);
}

void exchange_reply_response(struct exchange *x, int status, struct MHD_Response *response)
{
    bool waiting = x->state == EXCHANGE_WAITING;
    x->response = response;
    x->status = status;
    x->state = EXCHANGE_READY;
    server_answered(connection_of(x)->server, x);
    if (waiting) connection_resume(connection_of(x));
}

void exchange_problem(struct exchange *x, int status, const char *format, ...)
{
    char detail[ERR_TEXT_MAX * 2];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    struct buf body;
    buf_init(&body, 64 << 10);
    problem_write(&body, status,
                  detail); /* when it fails the status goes out without its document */
    x->problem = detail;
    exchange_reply(x, status, PROBLEM_CONTENT_TYPE, &body);
    x->problem = NULL;
    buf_release(&body);
}

struct json *exchange_json(struct exchange *x, bool empty_ok)
{
    static const struct json_limits limits = {SIZE_MAX, BODY_VALUES_MAX}; /* a route has its size */
    size_t size;
    const char *text = exchange_body(x, &size);
    const char *type = exchange_content_type(x);
    if (size == 0 && empty_ok) {
        text = "{}";
        size = 2;
    } else if (strcmp(type, "application/json") != 0) {
        exchange_problem(x, 415, "Content-Type is \"%s\", application/json is expected", type);
        return NULL;
    }
    struct err e = {0};
    struct json *json = json_parse("JSON", text, size, &limits, JSON_KIND_OBJECT, &e);
    if (json == NULL) exchange_problem_err(x, &e);
    return json;
}

void exchange_problem_err(struct exchange *x, const struct err *e)
{
    int status = problem_status(e->code);
    if (status == 500) log_error("%s %s %s: %s", x->id, x->method, x->path, e->text);
    exchange_problem(x, status, "%s", e->text[0] != '\0' ? e->text : err_text(e->code));
}

/* ---- the way ---- */

static void release_body(struct server *server, struct buf *body)
{
    server_upload_change(server, body->capacity, 0);
    buf_release(body);
}

/* A client's id is taken over when it is harmless in logs and headers; else a new one: a random
 * number a process and a counter. */
static void choose_id(struct exchange *x)
{
    static uint64_t prefix;
    static uint64_t counter;
    const char *given = exchange_header(x, "X-Request-Id");
    if (given != NULL) {
        size_t n = strlen(given), ok = 0;
        while (ok < n &&
               (isalnum((unsigned char)given[ok]) || strchr("._:/+=@-", given[ok]) != NULL))
            ok++;
        if (n > 0 && n <= EXCHANGE_ID_MAX && ok == n) {
            memcpy(x->id, given, n + 1);
            return;
        }
    }
    if (prefix == 0 && getrandom(&prefix, sizeof(prefix), 0) != (ssize_t)sizeof(prefix))
        prefix = (uint64_t)clock_real();
    snprintf(x->id, sizeof(x->id), "%016llx-%llx", (unsigned long long)prefix,
             (unsigned long long)++counter);
}

/* traceparent: 00-<32 hex>-<16 hex>-<2 hex>, lower case, no id all zero (W3C Trace Context 3.2). */
static bool traceparent_valid(const char *s)
{
    static const int parts[] = {2, 32, 16, 2};
    for (int part = 0; part < 4; part++) {
        bool zero = true;
        for (int i = 0; i < parts[part]; i++, s++) {
            if (!((*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'f'))) return false;
            if (*s != '0') zero = false;
        }
        if (zero && (part == 1 || part == 2)) return false;
        if (part < 3 && *s++ != '-') return false;
    }
    return *s == '\0';
}

static void read_content_type(struct exchange *x)
{
    const char *value = exchange_header(x, "Content-Type");
    x->content_type[0] = '\0';
    if (value == NULL) return;
    size_t n = strcspn(value, "; \t");
    if (n >= sizeof(x->content_type)) n = sizeof(x->content_type) - 1;
    for (size_t i = 0; i < n; i++) x->content_type[i] = (char)tolower((unsigned char)value[i]);
    x->content_type[n] = '\0';
}

void exchange_line(struct connection *c, const char *target)
{
    struct exchange *x = &c->x;
    x->state = EXCHANGE_LINE;
    x->bad_target = guard_target(target, &x->authority_size) < 0;
    x->arrival_ns = clock_now();
    server_exchange_count(c->server, 1);
    /* A connection's first request has its time for line and headers together. */
    int64_t timeout_ns = server_options_of(c->server)->header_timeout_ns;
    if (c->used || c->deadline_ns == 0)
        connection_phase(c, CONNECTION_HEADERS, timeout_ns);
    else
        c->phase = CONNECTION_HEADERS;
    c->used = true;
}

static enum MHD_Result send_answer(struct connection *c)
{
    struct exchange *x = &c->x;
    if (x->response == NULL || x->gone)
        return MHD_NO; /* out of memory, or nobody there to read it */
    const char *trace = exchange_header(x, "traceparent");
    if (x->close || server_is_closing(c->server))
        MHD_add_response_header(x->response, MHD_HTTP_HEADER_CONNECTION, "close");
    MHD_add_response_header(x->response, "X-Request-Id", x->id);
    if (trace != NULL && traceparent_valid(trace))
        MHD_add_response_header(x->response, "traceparent", trace);
    for (size_t at = 0; at < x->headers.size;) {
        const char *name = x->headers.data + at, *value = name + strlen(name) + 1;
        MHD_add_response_header(x->response, name, value);
        at = (size_t)(value - x->headers.data) + strlen(value) + 1;
    }
    x->state = EXCHANGE_SENT;
    connection_phase(c, CONNECTION_REPLY, server_options_of(c->server)->idle_timeout_ns);
    enum MHD_Result rc = MHD_queue_response(c->mhd, (unsigned)x->status, x->response);
    /* Libmicrohttpd holds its own reference; the exchange may have ended inside of that call. */
    return rc;
}

/* Refuses before anything else is looked at: the connection ends. */
static void refuse(struct exchange *x, int status, const char *text)
{
    x->close = true;
    exchange_problem(x, status, "%s", text);
}

static void refuse_upload(struct exchange *x)
{
    exchange_add_header(x, "Retry-After", "1");
    exchange_problem(x, 503, "the memory for bodies of requests is in use; try again in 1 s");
}

static void find_route(struct exchange *x, const struct guard *guard)
{
    struct connection *c = connection_of(x);
    char allow[ROUTE_ALLOW_MAX];
    int rc = routes_find(server_routes(c->server), x->method, x->path, &x->route, &x->match, allow);
    if (rc == ERR_NOT_FOUND) {
        exchange_problem(x, 404, "there is nothing at %.200s", x->path);
    } else if (rc < 0) {
        exchange_add_header(x, "Allow", "%s", allow);
        exchange_problem(x, 405, "%.20s is not possible here; take one of: %s", x->method, allow);
    } else if (x->route->body_max == 0 && (guard->chunked || guard->content_length > 0)) {
        exchange_problem(x, 400, "%.20s %.200s takes no body", x->method, x->path);
    } else if (guard->content_length > 0 && (uint64_t)guard->content_length > x->route->body_max) {
        exchange_problem(x, 413, "the body has %lld bytes, at most %zu are taken here",
                         (long long)guard->content_length, x->route->body_max);
    } else {
        x->body_max = x->route->body_max;
        if (x->route->head != NULL) x->route->head(x, x->route->arg);
        if (x->state != EXCHANGE_READY && guard->content_length > 0 &&
            !server_upload_fits(c->server, (size_t)guard->content_length))
            refuse_upload(x);
    }
}

/* Headers are there. */
static enum MHD_Result begin(struct connection *c, const char *url, const char *method,
                             const char *version)
{
    struct exchange *x = &c->x;
    struct guard guard;
    struct err e;
    x->state = EXCHANGE_BODY;
    x->method = method;
    /* Host and authority are nothing that this server looks at. */
    x->path = url[x->authority_size] != '\0' ? url + x->authority_size : "/";
    choose_id(x);
    read_content_type(x);
    int status = guard_check(c->mhd, version, &guard, &e);
    if (status == 0 && x->bad_target) {
        err_set(&e, ERR_FORMAT, "the request target has no host and port behind its scheme");
        status = 400;
    }
    if (status != 0) {
        refuse(x, status, e.text);
        return send_answer(c);
    }
    x->authorized = server_authorized(c->server, exchange_header(x, "Authorization"));
    if (!x->authorized) {
        exchange_add_header(x, "WWW-Authenticate", "Bearer");
        refuse(x, 401,
               "this listener takes requests with the right Authorization: Bearer TOKEN only");
        return send_answer(c);
    }
    find_route(x, &guard);
    if (x->state == EXCHANGE_READY) {
        x->body_dropped = true;
        if (guard.chunked || guard.content_length > BODY_DISCARD_MAX) {
            x->close = true;
            return send_answer(c);
        }
    }
    x->body.max = x->body_max;
    if (guard.chunked || guard.content_length > 0) {
        connection_phase(c, CONNECTION_BODY, server_options_of(c->server)->body_timeout_ns);
        connection_look_again(c);
    }
    return MHD_YES;
}

/* Keeps a part of the body. Past a limit the rest is thrown away and the answer is 413 or 503; a
 * client that sends without end is stopped by the body's deadline. What counts is what has arrived:
 * lengths that are only announced would let a few clients that send nothing shut out all others. */
static void take_body(struct exchange *x, const char *data, size_t size)
{
    struct server *server = connection_of(x)->server;
    x->body_seen += size;
    if (x->body_dropped) return;
    bool too_large = x->body_seen > x->body_max;
    size_t before = x->body.capacity;
    int rc = too_large ? ERR_LIMIT : buf_append(&x->body, data, size);
    bool room = server_upload_change(server, before, x->body.capacity);
    if (rc == 0 && room) return;
    release_body(server, &x->body);
    x->body_dropped = true;
    x->close = true;
    if (too_large)
        exchange_problem(x, 413, "the body has more than the %zu bytes that are taken here",
                         x->body_max);
    else if (rc == 0)
        refuse_upload(x);
    else
        exchange_problem(x, 503, "out of memory for the body");
}

static enum MHD_Result handle(struct connection *c)
{
    struct exchange *x = &c->x;
    x->state = EXCHANGE_HANDLING;
    connection_phase(c, CONNECTION_HANDLING, 0);
    x->route->handler(x, x->route->arg);
    if (x->state == EXCHANGE_READY) return send_answer(c);
    x->state = EXCHANGE_WAITING;
    connection_suspend(c);
    return MHD_YES;
}

enum MHD_Result exchange_step(struct connection *c, const char *url, const char *method,
                              const char *version, const char *upload_data, size_t *upload_size)
{
    struct exchange *x = &c->x;
    if (x->state == EXCHANGE_LINE) return begin(c, url, method, version);
    if (*upload_size > 0) {
        take_body(x, upload_data, *upload_size);
        *upload_size = 0;
        connection_look_again(c);
        return MHD_YES;
    }
    if (x->state == EXCHANGE_BODY) return handle(c);
    if (x->state == EXCHANGE_READY) return send_answer(c);
    return x->state == EXCHANGE_SENT ? MHD_YES : MHD_NO;
}

void exchange_end(struct connection *c)
{
    struct exchange *x = &c->x;
    if (x->state == EXCHANGE_NONE) return;
    assert(x->state != EXCHANGE_WAITING);
    stream_closed(x);
    if (x->data_release != NULL) x->data_release(x->data);
    if (x->response != NULL) MHD_destroy_response(x->response);
    struct buf body = x->body, headers = x->headers;
    if (body.capacity > BODY_KEEP_MAX || server_upload_is_tight(c->server))
        release_body(c->server, &body);
    buf_clear(&body);
    buf_clear(&headers);
    memset(x, 0, sizeof(*x));
    x->body = body;
    x->headers = headers;
    connection_idle(c);
    server_exchange_count(c->server, -1);
}
