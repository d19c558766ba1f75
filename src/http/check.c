/* A request against its route's row. Nothing here knows a route: names and bounds are the row's. */
#include "config.h"

#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/name.h"

enum { LIST_MAX = 512, MEMBER_SHOWN_MAX = 40 };

static bool announces_body(const struct framing *framing)
{
    return framing->chunked || framing->content_length > 0;
}

int check_size(const struct exchange *x, const struct route *route, const struct framing *framing,
               struct err *e)
{
    if (route->body_max == 0 && announces_body(framing)) {
        err_set(e, ERR_FORMAT, "%.20s %.200s takes no body", exchange_method(x), exchange_path(x));
        return 400;
    }
    if (framing->content_length > 0 && (uint64_t)framing->content_length > route->body_max) {
        err_set(e, ERR_LIMIT, "the body has %lld bytes, at most %zu are taken here",
                (long long)framing->content_length, route->body_max);
        return 413;
    }
    return 0;
}

/* "a", "a and b", "a, b and c"; "a, b, c" where all glue is a comma. */
struct list {
    char text[LIST_MAX];
    size_t used;
};

static void list_add(struct list *list, const char *name, const char *glue)
{
    if (list->used == 0) glue = "";
    int n = snprintf(list->text + list->used, sizeof(list->text) - list->used, "%s%s", glue, name);
    if (n > 0 && (size_t)n < sizeof(list->text) - list->used) list->used += (size_t)n;
}

/* "image/png" is such a type, and "image/" followed by a star stands for it. */
static bool is_among(const char *const *media, const char *type)
{
    for (; media != NULL && *media != NULL; media++) {
        size_t n = strlen(*media);
        bool all = n > 2 && strcmp(*media + n - 2, "/*") == 0;
        if (all ? strncmp(*media, type, n - 1) == 0 : strcmp(*media, type) == 0) return true;
    }
    return false;
}

static int refuse_media(struct exchange *x, const struct route *route, const char *type,
                        struct err *e)
{
    struct list list = {.text = ""}, accept = {.text = ""};
    for (const char *const *m = route->media; *m != NULL; m++) {
        list_add(&list, *m, m[1] == NULL ? " and " : ", ");
        list_add(&accept, *m, ", ");
    }
    exchange_add_header(x, "Accept", "%s", accept.text);
    err_set(e, ERR_UNSUPPORTED, "Content-Type is \"%s\"; taken: %s", type, list.text);
    return 415;
}

int check_body(struct exchange *x, const struct route *route, const struct framing *framing,
               struct err *e)
{
    if (route->body_max == 0 || (route->body_optional && !announces_body(framing))) return 0;
    const char *type = exchange_content_type(x);
    if (route->media != NULL && !is_among(route->media, type) && !is_among(route->also, type))
        return refuse_media(x, route, type, e);
    if (!announces_body(framing) && framing->content_length < 0) {
        err_set(e, ERR_FORMAT,
                "the body's length is missing: send Content-Length or a chunked body");
        return 411;
    }
    return 0;
}

struct content {
    enum coding coding;
    struct err *e;
};

static int look_at_content(void *arg, const char *name, const char *value)
{
    struct content *content = arg;
    if (strcasecmp(name, "Content-Encoding") == 0)
        return coding_add(&content->coding, value, content->e);
    if (strcasecmp(name, "Content-Range") == 0)
        return err_set(content->e, ERR_FORMAT,
                       "Content-Range: a part of a body is not taken, send all of it");
    return 0;
}

int check_content(struct exchange *x, const struct route *route, const struct framing *framing,
                  enum coding *ret_coding, struct err *e)
{
    struct content content = {.coding = CODING_IDENTITY, .e = e};
    if (route->body_max == 0 || !announces_body(framing)) return 0;
    int rc = exchange_each_header(x, look_at_content, &content);
    *ret_coding = content.coding;
    if (rc == ERR_UNSUPPORTED) exchange_add_header(x, "Accept-Encoding", CODING_TAKEN);
    return rc == 0 ? 0 : rc == ERR_UNSUPPORTED ? 415 : 400;
}

/* ---- the query ---- */

struct query {
    const struct route *route;
    bool seen[ROUTE_QUERY_MAX];
    struct err *e;
};

static int unknown(const struct route *route, const char *name, struct err *e)
{
    struct list list = {.text = ""};
    for (const struct query_member *m = route->query; m->name != NULL; m++)
        list_add(&list, m->name, m[1].name == NULL ? " and " : ", ");
    return err_set(e, ERR_RANGE, "?%.40s= is unknown here; taken: %s", name, list.text);
}

static int check_number(const struct query_member *m, const char *place, const char *value,
                        struct err *e)
{
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (value[0] >= '0' && value[0] <= '9' && *end == '\0' && errno == 0 && number >= m->min &&
        number <= m->max)
        return 0;
    if (m->max == INT64_MAX)
        return err_set(e, ERR_RANGE, "%s takes a whole number from %lld", place, (long long)m->min);
    return err_set(e, ERR_RANGE, "%s takes a whole number from %lld to %lld", place,
                   (long long)m->min, (long long)m->max);
}

int query_member_check(const struct query_member *m, const char *place, const char *value,
                       struct err *e)
{
    switch (m->kind) {
    case QUERY_NUMBER:
        return check_number(m, place, value, e);
    case QUERY_SWITCH:
        if (strcmp(value, "0") == 0 || strcmp(value, "1") == 0) return 0;
        return err_set(e, ERR_RANGE, "%s takes 1 or 0", place);
    case QUERY_NAME:
        break;
    }
    return name_is_valid(value) ? 0 : err_set(e, ERR_RANGE, "%s takes " NAME_RULE, place);
}

static int check_argument(void *arg, const char *name, const char *value)
{
    struct query *query = arg;
    const struct query_member *list = query->route->query;
    char place[MEMBER_SHOWN_MAX];
    size_t i = 0;
    if (name[0] == '\0' && value[0] == '\0') return 0; /* "?&top=3": there is no member */
    while (list[i].name != NULL && strcmp(list[i].name, name) != 0) i++;
    if (list[i].name == NULL)
        return query->route->strict_query ? unknown(query->route, name, query->e) : 0;
    snprintf(place, sizeof(place), "?%s=", list[i].name);
    int rc = query_member_check(&list[i], place, value, query->e);
    if (rc < 0 || !query->route->strict_query) return rc;
    if (query->seen[i]) return err_set(query->e, ERR_RANGE, "duplicate query argument ?%s=", name);
    query->seen[i] = true;
    return 0;
}

int check_query(struct exchange *x, const struct route *route, struct err *e)
{
    struct query query = {.route = route, .e = e};
    if (route->query == NULL) return 0;
    return exchange_each_query(x, check_argument, &query) < 0 ? 400 : 0;
}

int64_t exchange_query_number(const struct exchange *x, const char *name, int64_t otherwise)
{
    const char *value = exchange_query(x, name);
    return value == NULL ? otherwise : strtoll(value, NULL, 10);
}
