/* A method and a request target: refused, or a route whose pattern, with the values put in, is the
 * path again. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "../../src/http/guard.h"
#include "../../src/http/query.h"
#include "../../src/http/routes.h"
#include "fuzz.h"

enum { TEXT_MAX = 1000 };

static const struct routes routes = {
    .list = {{.method = "GET", .pattern = "/"},
             {.method = "GET", .pattern = "/jobs"},
             {.method = "POST", .pattern = "/jobs"},
             {.method = "GET", .pattern = "/jobs/{id}"},
             {.method = "POST", .pattern = "/jobs/{id}/cancel"},
             {.method = "GET", .pattern = "/m/{model}/v/{version}"},
             {.method = "GET", .pattern = "/{x}/{y}/{z}/{w}/{v}"}},
    .n = 7,
};

static void check_match(const char *pattern, const char *path, const struct route_match *match)
{
    size_t n = 0;
    while (*pattern != '\0') {
        if (*pattern != '{') {
            FUZZ_CHECK(*pattern++ == *path++);
            continue;
        }
        FUZZ_CHECK(n < match->n && match->n <= ROUTE_PARAMETERS_MAX);
        const char *value = match->parameters[n].value;
        size_t length = strlen(value), name = match->parameters[n].name_size;
        FUZZ_CHECK(length > 0 && length < ROUTE_VALUE_MAX && strchr(value, '/') == NULL);
        FUZZ_CHECK(strncmp(path, value, length) == 0);
        FUZZ_CHECK(match->parameters[n].name == pattern + 1 && pattern[name + 1] == '}');
        path += length;
        pattern += name + 2;
        n++;
    }
    FUZZ_CHECK(n == match->n && (*path == '\0' || strcmp(path, "/") == 0));
}

/* As many names as values, and nothing longer than it was. */
static void check_query(const char *query)
{
    struct buf out;
    size_t ends = 0, members = 0;
    buf_init(&out, 2 * TEXT_MAX + 2);
    FUZZ_CHECK(query_decode(query, &out) == 0);
    for (size_t i = 0; i < out.size; i++) ends += out.data[i] == '\0';
    for (const char *at = query; *at != '\0'; at += *at == '&') {
        size_t size = strcspn(at, "&");
        members += size > 0;
        at += size;
    }
    FUZZ_CHECK(ends == 2 * members && out.size <= strlen(query) + members + 1);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX + 1], allow[ROUTE_ALLOW_MAX];
    if (size > TEXT_MAX) size = TEXT_MAX;
    if (size > 0) memcpy(text, data, size);
    text[size] = '\0';
    char *target = strchr(text, ' ');
    if (target == NULL) return 0;
    *target++ = '\0';

    size_t prefix;
    int rc = guard_target(target, &prefix);
    FUZZ_CHECK((rc == 0 || rc == ERR_FORMAT) && prefix <= strlen(target));
    if (rc < 0) return 0;
    char *path = target + prefix;
    FUZZ_CHECK(prefix == 0 || *path == '\0' || *path == '/' || *path == '?');
    char *query = strchr(path, '?');
    if (query != NULL) {
        *query++ = '\0';
        check_query(query);
    }
    size_t length = strlen(path);
    query_unescape(path);
    FUZZ_CHECK(strlen(path) <= length);

    const struct route *route = NULL;
    struct route_match match;
    rc = routes_find(&routes, text, path, &route, &match, allow);
    FUZZ_CHECK(rc == 0 || rc == ERR_NOT_FOUND || (rc == ERR_UNSUPPORTED && allow[0] != '\0'));
    FUZZ_CHECK(memchr(allow, '\0', sizeof(allow)) != NULL);
    if (rc < 0) return 0;
    FUZZ_CHECK(strcmp(text, route->method) == 0 ||
               (strcmp(text, "HEAD") == 0 && strcmp(route->method, "GET") == 0));
    check_match(route->pattern, path, &match);
    return 0;
}
