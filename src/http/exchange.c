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

static void free_body(void *body)
{
    mem_free(body);
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
    return strcmp(x->method, "GET") == 0 || strcmp(x->method, "HEAD") == 0;
}

/* With a body that is not empty; NULL: out of memory. Takes the data over. */
static struct MHD_Response *make_response(struct exchange *x, const char *content_type, char *data,
                                          size_t size)
{
    const bool suits = content_type != NULL && pack_suits(content_type);
    struct MHD_Response *response = suits && wants_gzip(x, size) ? pack_response(data, size) : NULL;
    const bool varies = response != NULL || (suits && may_be_stored(x));
    if (response == NULL)
        response = MHD_create_response_from_buffer_with_free_callback(size, data, free_body);
    if (response == NULL) mem_free(data);
    if (response != NULL && content_type != NULL)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    if (response != NULL && varies)
        MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, "Accept-Encoding");
    return response;
}

void exchange_reply(struct exchange *x, int status, const char *content_type, struct buf *body)
{
    static char empty[1];
    size_t size = body == NULL ? 0 : body->size;
    char *data = size == 0 ? NULL : buf_take(body);
    struct MHD_Response *response =
        data == NULL ? MHD_create_response_from_buffer(0, empty, MHD_RESPMEM_PERSISTENT)
                     : make_response(x, content_type, data, size);
    exchange_reply_response(x, status, response);
}

void exchange_reply_response(struct exchange *x, int status, struct MHD_Response *response)
{
    struct connection *c = connection_of(x);
    x->response = response;
    x->status = status;
    server_answered(c->server, x);
    connection_enter(c, c->state == CONNECTION_BODY        ? CONNECTION_REFUSED
                        : c->state == CONNECTION_ABANDONED ? CONNECTION_CUT
                                                           : CONNECTION_ANSWERED);
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
    if (status == 500) log_error("%s %s %s: %s", x->id, x->method, x->path, e->text);
    exchange_problem(x, status, "%s", e->text[0] != '\0' ? e->text : err_text(e->code));
}
