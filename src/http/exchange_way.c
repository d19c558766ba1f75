/* An exchange's way from request line to last byte; the states stand in connection.h, and what they
 * mean in connection.c.
 *
 * The one decision: a request whose answer is known early (wrong type, too large, bad header) is
 * still read to its end when little is left of it, so that its connection lives on; otherwise the
 * answer goes out at once and the connection ends. libmicrohttpd ends the connection by itself when
 * an answer is queued before the body, which is why even a request without a body is answered at
 * its second call. */
#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/mem.h"
#include "check.h"
#include "coded_body.h"
#include "connection.h"
#include "guard.h"

enum {
    BODY_DISCARD_MAX = 64 << 10, /* of a refused request; above, the connection is not worth it */
    BODY_KEEP_MAX = 1 << 20,     /* a body buffer's memory kept for the connection's next request */
};

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
    static const int digits[] = {2, 32, 16, 2};
    for (int field = 0; field < 4; field++) {
        bool zero = true;
        for (int i = 0; i < digits[field]; i++, s++) {
            if (!((*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'f'))) return false;
            if (*s != '0') zero = false;
        }
        if (zero && (field == 1 || field == 2)) return false;
        if (field < 3 && *s++ != '-') return false;
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
    connection_enter(c, c->state == CONNECTION_CLOSED ? CONNECTION_CUT : CONNECTION_HEADERS);
    x->bad_target = guard_target(target, &x->authority_size) < 0;
    x->arrival_ns = clock_now();
    server_exchange_count(c->server, 1);
}

static enum MHD_Result send_answer(struct connection *c)
{
    struct exchange *x = &c->x;
    if (x->response == NULL) return MHD_NO; /* out of memory */
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
    connection_enter(c, CONNECTION_SENDING);
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

void exchange_refuse_upload(struct exchange *x)
{
    exchange_add_header(x, "Retry-After", "1");
    exchange_problem(x, 503, "the memory for bodies of requests is in use; try again in 1 s");
}

/* What the row asks for, in the order of include/http/route.h. */
static void check_row(struct exchange *x, const struct framing *framing)
{
    const struct route *route = x->route;
    struct err e;
    int status = check_size(x, route, framing, &e);
    if (status == 0 && route->head != NULL) route->head(x, route->arg);
    if (connection_of(x)->state == CONNECTION_REFUSED) return;
    if (status == 0) status = check_body(x, route, framing, &e);
    if (status == 0) status = check_content(x, route, framing, &x->coding, &e);
    if (status == 0) status = check_query(x, route, &e);
    if (status != 0)
        exchange_problem(x, status, "%s", e.text);
    else if (framing->content_length > 0 &&
             !server_upload_fits(connection_of(x)->server, (size_t)framing->content_length))
        exchange_refuse_upload(x);
    x->body_max = route->body_max;
}

static void answer_no_route(struct exchange *x, int rc, const char *allow)
{
    if (rc == ERR_NOT_FOUND) {
        exchange_problem(x, 404, "there is nothing at %.200s", x->path);
        return;
    }
    exchange_add_header(x, "Allow", "%s", allow);
    exchange_problem(x, 405, "%.20s is not possible here; take one of: %s", x->method, allow);
}

/* Headers are there. */
static enum MHD_Result begin(struct connection *c, const char *url, const char *method,
                             const char *version)
{
    struct exchange *x = &c->x;
    struct framing framing;
    struct err e;
    connection_enter(c, CONNECTION_BODY);
    x->method = method;
    /* Host and authority are nothing that this server looks at. */
    x->path = url[x->authority_size] != '\0' ? url + x->authority_size : "/";
    choose_id(x);
    read_content_type(x);
    int status = guard_check(c->mhd, version, &framing, &e);
    if (status == 0 && x->bad_target) {
        err_set(&e, ERR_FORMAT, "the request target has no host and port behind its scheme");
        status = 400;
    }
    if (status != 0) {
        refuse(x, status, e.text);
        return send_answer(c);
    }
    char allow[ROUTE_ALLOW_MAX];
    int rc = routes_find(server_routes(c->server), x->method, x->path, &x->route, &x->match, allow);
    x->authorized = server_grants(c->server, x->route, exchange_header(x, "Authorization"));
    if (!x->authorized) {
        exchange_add_header(x, "WWW-Authenticate", "Bearer");
        refuse(x, 401,
               "this listener takes requests with the right Authorization: Bearer TOKEN only");
        return send_answer(c);
    }
    if (rc < 0)
        answer_no_route(x, rc, allow);
    else
        check_row(x, &framing);
    if (c->state == CONNECTION_REFUSED &&
        (framing.chunked || framing.content_length > BODY_DISCARD_MAX)) {
        x->close = true;
        return send_answer(c);
    }
    x->body.max = x->body_max;
    if (framing.chunked || framing.content_length > 0) connection_look_again(c);
    return MHD_YES;
}

/* Keeps a piece of the body. Past a limit the rest is thrown away and the answer is 413 or 503; a
 * client that sends without end is stopped by the body's deadline. What counts is what has arrived:
 * lengths that are only announced would let a few clients that send nothing shut out all others. */
static void take_body(struct exchange *x, const char *data, size_t size)
{
    struct server *server = connection_of(x)->server;
    x->body_seen += size;
    if (connection_of(x)->state != CONNECTION_BODY) return;
    bool too_large = x->body_seen > x->body_max;
    size_t before = x->body.capacity;
    int rc = too_large ? ERR_LIMIT : buf_append(&x->body, data, size);
    bool room = server_upload_change(server, before, x->body.capacity);
    if (rc == 0 && room) return;
    release_body(server, &x->body);
    x->close = true;
    if (too_large)
        exchange_problem(x, 413, "the body has more than the %zu bytes that are taken here",
                         x->body_max);
    else if (rc == 0)
        exchange_refuse_upload(x);
    else
        exchange_problem(x, 503, "out of memory for the body");
}

static enum MHD_Result handle(struct connection *c)
{
    struct exchange *x = &c->x;
    connection_enter(c, CONNECTION_HANDLING);
    if (x->coding != CODING_IDENTITY && x->body.size > 0)
        coded_body_handle(x);
    else
        x->route->handler(x, x->route->arg);
    if (c->state == CONNECTION_ANSWERED) return send_answer(c);
    connection_enter(c, CONNECTION_WAITING);
    return MHD_YES;
}

enum MHD_Result exchange_access(struct connection *c, const char *url, const char *method,
                                const char *version, const char *upload_data, size_t *upload_size)
{
    if (c->state == CONNECTION_HEADERS) return begin(c, url, method, version);
    if (*upload_size > 0 && c->state != CONNECTION_CUT) {
        take_body(&c->x, upload_data, *upload_size);
        *upload_size = 0;
        connection_look_again(c);
        return MHD_YES;
    }
    if (c->state == CONNECTION_BODY) return handle(c);
    if (c->state == CONNECTION_REFUSED || c->state == CONNECTION_ANSWERED) return send_answer(c);
    return c->state == CONNECTION_SENDING ? MHD_YES : MHD_NO;
}

void exchange_end(struct connection *c)
{
    struct exchange *x = &c->x;
    if (!connection_has_exchange(c)) return;
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
