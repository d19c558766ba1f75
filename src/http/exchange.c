/* An exchange as handlers see it: what was asked, and the answer. How it gets from request line to
 * last byte stands in exchange_way.c. */
#include "config.h"

#include "http/exchange.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "connection.h"
#include "json/value.h"
#include "pack.h"
#include "problem.h"

enum { BODY_VALUES_MAX = 1 << 16 }; /* of JSON: small texts must not become large memory */

/* ---- what was asked ---- */

const char *exchange_method(const struct exchange *x)
{
    return x->head.method;
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

int64_t exchange_sent_ns(const struct exchange *x)
{
    return x->sent_ns;
}

bool exchange_is_held(const struct exchange *x)
{
    const struct transport *transport = &connection_of(x)->transport;
    return transport->kind->holds(transport);
}

const char *exchange_content_type(const struct exchange *x)
{
    return x->content_type;
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

int exchange_each_query(struct exchange *x,
                        int (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < x->query.size;) {
        const char *name = x->query.data + at, *value = name + strlen(name) + 1;
        rc = fn(arg, name, value);
        at = (size_t)(value - x->query.data) + strlen(value) + 1;
    }
    return rc;
}

struct wanted {
    const char *name, *value;
};

static int is_wanted(void *arg, const char *name, const char *value)
{
    struct wanted *wanted = arg;
    if (strcmp(name, wanted->name) == 0) wanted->value = value;
    return wanted->value != NULL;
}

const char *exchange_query(const struct exchange *x, const char *name)
{
    struct wanted wanted = {.name = name};
    exchange_each_query((struct exchange *)x, is_wanted, &wanted);
    return wanted.value;
}

const char *exchange_header(const struct exchange *x, const char *name)
{
    return head_value(&x->head, name);
}

int exchange_each_header(struct exchange *x,
                         int (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < x->head.n; i++)
        rc = fn(arg, x->head.fields[i].name, x->head.fields[i].value);
    return rc;
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

bool exchange_has_token(const struct exchange *x)
{
    return server_knows(connection_of(x)->server, exchange_header(x, "Authorization"));
}

void exchange_peer(const struct exchange *x, char *ret_text, size_t size)
{
    const struct sockaddr *address = (const struct sockaddr *)&connection_of(x)->address;
    ret_text[0] = '\0';
    if (address->sa_family != AF_INET && address->sa_family != AF_INET6) return;
    socklen_t length =
        address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (getnameinfo(address, length, ret_text, (socklen_t)size, NULL, 0, NI_NUMERICHOST) != 0)
        ret_text[0] = '\0';
}

int exchange_status(const struct exchange *x)
{
    return x->status != 0 ? x->status : 499;
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

/* Where the answer takes the connection. */
static enum connection_state answered(const struct connection *c)
{
    switch (c->state) {
    case CONNECTION_BODY:
        return CONNECTION_REFUSED;
    case CONNECTION_ABANDONED:
        return CONNECTION_UNWANTED;
    default:
        return CONNECTION_ANSWERED;
    }
}

static int add_wish(void *arg, const char *name, const char *value)
{
    if (strcasecmp(name, "Accept-Encoding") == 0) coding_wish_add(arg, value);
    return 0;
}

static bool wants_gzip(struct exchange *x, size_t size)
{
    struct coding_wish wish;
    coding_wish_init(&wish);
    exchange_each_header(x, add_wish, &wish);
    return coding_wish_gzip(&wish) && (size >= PACK_WORTH_MIN || !coding_wish_identity(&wish));
}

/* A copy at the client's may be given to others (RFC 9110, 12.5.5). */
static bool may_be_stored(const struct exchange *x)
{
    return strcmp(x->head.method, "GET") == 0 || strcmp(x->head.method, "HEAD") == 0;
}

/* How a body that is not empty goes out. */
static void describe_answer(struct exchange *x, const char *content_type)
{
    const bool suits = content_type != NULL && pack_suits(content_type);
    if (suits && wants_gzip(x, x->answer_size)) x->packer = packer_new(x->answer, x->answer_size);
    if (content_type != NULL) exchange_add_header(x, "Content-Type", "%s", content_type);
    if (x->packer != NULL) exchange_add_header(x, "Content-Encoding", "gzip");
    if (x->packer != NULL || (suits && may_be_stored(x)))
        exchange_add_header(x, "Vary", "Accept-Encoding");
}

void exchange_reply(struct exchange *x, int status, const char *content_type, struct buf *body)
{
    struct connection *c = connection_of(x);
    x->status = status;
    x->answer_size = body == NULL ? 0 : body->size;
    x->answer = x->answer_size == 0 ? NULL : buf_take(body);
    if (x->answer_size > 0) describe_answer(x, content_type);
    server_answered(c->server, x);
    bool later = c->state == CONNECTION_WAITING || c->state == CONNECTION_ABANDONED;
    connection_enter(c, answered(c));
    if (later) server_ready(c); /* not from here: whoever answers is not through yet */
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

struct json *exchange_json(struct exchange *x)
{
    static const struct json_limits limits = {SIZE_MAX, BODY_VALUES_MAX}; /* the row has its size */
    size_t size;
    const char *text = exchange_body(x, &size);
    if (size == 0 && x->route->body_optional) {
        text = "{}";
        size = 2;
    }
    struct err e = {0};
    struct json *json = json_parse("JSON", text, size, &limits, JSON_KIND_OBJECT, &e);
    if (json == NULL) exchange_problem_err(x, &e);
    return json;
}

void exchange_problem_err(struct exchange *x, const struct err *e)
{
    int status = problem_status(e->code);
    if (status == 500) log_error("%s %s %s: %s", x->id, exchange_method(x), x->path, e->text);
    exchange_problem(x, status, "%s", e->text[0] != '\0' ? e->text : err_text(e->code));
}
