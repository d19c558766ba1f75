/* An exchange's way from request line to last byte; the states stand in connection.h, and what they
 * mean in connection.c.
 *
 * The one decision: a request whose answer is known early (wrong type, too large, bad header) is
 * still read to its end when little is left of it, so that its connection lives on; otherwise the
 * answer goes out at once and the connection ends. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/mem.h"
#include "check.h"
#include "coded_body.h"
#include "connection.h"
#include "pack.h"
#include "query.h"

enum {
    BODY_DISCARD_MAX = 64 << 10, /* of a refused request; above, the connection is not worth it */
    BODY_KEEP_MAX = 1 << 20,     /* a body buffer's memory kept for the connection's next request */
};

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

void exchange_begin(struct connection *c)
{
    struct exchange *x = &c->x;
    x->head = (struct head){.method = "", .target = ""};
    x->path = "";
    x->arrival_ns = c->came_ns;
    connection_enter(c, CONNECTION_HEADERS);
    server_exchange_count(c->server, 1);
}

void exchange_refuse(struct exchange *x, int status, const char *text)
{
    if (x->id[0] == '\0') choose_id(x);
    x->close = true;
    exchange_problem(x, status, "%s", text);
}

/* Answers when the memory of bodies is in use. */
void exchange_refuse_upload(struct exchange *x, int why)
{
    exchange_add_header(x, "Retry-After", "1");
    if (why == UPLOADS_PEER_FULL)
        exchange_problem(x, 429,
                         "requests from this address hold all the memory for bodies that "
                         "one address may; try again in 1 s");
    else
        exchange_problem(x, 503, "the memory for bodies of requests is in use; try again in 1 s");
}

/* What the row asks for, in the order of include/http/route.h. */
static void check_row(struct exchange *x)
{
    struct connection *c = connection_of(x);
    const struct route *route = x->route;
    struct err e;
    int status = check_size(x, route, &x->framing, &e);
    if (status == 0 && route->head != NULL) route->head(x, route->arg);
    if (c->state == CONNECTION_REFUSED) return;
    if (status == 0) status = check_body(x, route, &x->framing, &e);
    if (status == 0) status = check_content(x, route, &x->framing, &x->coding, &e);
    if (status == 0) status = check_query(x, route, &e);
    int room = x->framing.content_length > 0 ? uploads_fit(c, (size_t)x->framing.content_length)
                                             : UPLOADS_FIT;
    if (status != 0)
        exchange_problem(x, status, "%s", e.text);
    else if (room != UPLOADS_FIT)
        exchange_refuse_upload(x, room);
    x->body_max = route->body_max;
}

static void answer_no_route(struct exchange *x, int rc, const char *allow)
{
    if (rc == ERR_NOT_FOUND) {
        exchange_problem(x, 404, "there is nothing at %.200s", x->path);
        return;
    }
    exchange_add_header(x, "Allow", "%s", allow);
    exchange_problem(x, 405, "%.20s is not possible here; take one of: %s", exchange_method(x),
                     allow);
}

/* Takes the target apart, in place. */
static int read_target(struct exchange *x, char *target, struct err *e)
{
    size_t authority;
    if (guard_target(target, &authority) < 0) {
        err_set(e, ERR_FORMAT, "the request target has no host and port behind its scheme");
        return 400;
    }
    char *path = target + authority, *query = strchr(path, '?');
    if (query != NULL) *query++ = '\0';
    if (query != NULL && query_decode(query, &x->query) < 0) {
        err_set(e, -ENOMEM, "out of memory for the query");
        return 503;
    }
    query_unescape(path);
    /* Host and authority are nothing that this server looks at. */
    x->path = path[0] != '\0' ? path : "/";
    return 0;
}

/* Whether the connection ends with this request (RFC 9112, 9.3). */
static bool wants_close(const struct head *head)
{
    return head_lists(head, "Connection", "close") ||
           (head->is_1_0 && !head_lists(head, "Connection", "keep-alive"));
}

void exchange_head(struct connection *c, size_t head_size)
{
    struct exchange *x = &c->x;
    struct err e;
    c->in.head = c->in.taken = head_size;
    int status = head_parse(&x->head, c->in.data, head_size, &e);
    choose_id(x);
    read_content_type(x);
    if (status == 0) status = guard_check(&x->head, &x->framing, &e);
    /* In place: the head stands in the connection's own memory. */
    if (status == 0) status = read_target(x, c->in.data + (x->head.target - c->in.data), &e);
    if (status != 0) {
        exchange_refuse(x, status, e.text);
        return;
    }
    x->close = wants_close(&x->head);
    char allow[ROUTE_ALLOW_MAX];
    int rc =
        routes_find(server_routes(c->server), x->head.method, x->path, &x->route, &x->match, allow);
    x->authorized = server_grants(c->server, x->route, exchange_header(x, "Authorization"));
    if (!x->authorized) {
        exchange_add_header(x, "WWW-Authenticate", "Bearer");
        exchange_refuse(
            x, 401, "this listener takes requests with the right Authorization: Bearer TOKEN only");
        return;
    }
    connection_enter(c, CONNECTION_BODY);
    if (rc < 0)
        answer_no_route(x, rc, allow);
    else
        check_row(x);
    /* Memory doubles as a body grows; of one whose length is known no more than that is taken. */
    x->body.max = x->framing.content_length >= 0 ? (size_t)x->framing.content_length : x->body_max;
    bool has_body = x->framing.chunked || x->framing.content_length > 0;
    bool waits = has_body && exchange_header(x, "Expect") != NULL;
    if (c->state == CONNECTION_REFUSED &&
        (waits || x->framing.chunked || x->framing.content_length > BODY_DISCARD_MAX))
        x->close = true;
    else if (waits && !x->head.is_1_0 && input_is_empty(c) && output_continue(c) != OUTPUT_DONE)
        connection_drop(c);
}

/* Keeps a piece of the body. Past a limit the rest is thrown away and the answer is 413 or 503; a
 * client that sends without end is stopped by the body's deadline. What counts is what has arrived:
 * lengths that are only announced would let a few clients that send nothing shut out all others. */
void exchange_take_body(struct exchange *x, const char *data, size_t size)
{
    struct connection *c = connection_of(x);
    x->body_seen += size;
    if (c->state != CONNECTION_BODY) return;
    bool too_large = x->body_seen > x->body_max;
    size_t before = x->body.capacity;
    int rc = too_large ? ERR_LIMIT : buf_append(&x->body, data, size);
    int room = uploads_change(c, before, x->body.capacity);
    if (rc == 0 && room == UPLOADS_FIT) return;
    uploads_release(c);
    x->close = true;
    if (too_large)
        exchange_problem(x, 413, "the body has more than the %zu bytes that are taken here",
                         x->body_max);
    else if (rc == 0)
        exchange_refuse_upload(x, room);
    else
        exchange_problem(x, 503, "out of memory for the body");
}

void exchange_handle(struct connection *c)
{
    struct exchange *x = &c->x;
    connection_enter(c, CONNECTION_HANDLING);
    if (x->coding != CODING_IDENTITY && x->body.size > 0)
        coded_body_handle(x);
    else
        x->route->handler(x, x->route->arg);
    if (c->state == CONNECTION_HANDLING) connection_enter(c, CONNECTION_WAITING);
}

void exchange_end(struct connection *c)
{
    struct exchange *x = &c->x;
    stream_closed(x);
    if (x->data_release != NULL) x->data_release(x->data);
    packer_free(x->packer);
    mem_free(x->answer);
    if (x->body.capacity > BODY_KEEP_MAX || uploads_are_tight(c->server)) uploads_release(c);
    struct buf body = x->body, headers = x->headers, query = x->query;
    buf_clear(&body);
    buf_clear(&headers);
    buf_clear(&query);
    memset(x, 0, sizeof(*x));
    x->body = body;
    x->headers = headers;
    x->query = query;
    server_exchange_count(c->server, -1);
}
