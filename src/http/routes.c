/* Routes. A handful of patterns is searched in order; a tree would not be faster at this size. A
 * final slash is no part of a path's name: /v2/ is /v2. */
#include "config.h"

#include "routes.h"

#include <stdbool.h>
#include <string.h>

static bool match_pattern(const char *pattern, const char *path, struct route_match *match)
{
    match->n = 0;
    while (*pattern != '\0') {
        if (*pattern == '{') {
            const char *end = strchr(pattern, '}');
            size_t length = strcspn(path, "/");
            if (length == 0 || length >= ROUTE_VALUE_MAX || match->n == ROUTE_PARAMETERS_MAX)
                return false;
            match->parameters[match->n].name = pattern + 1;
            match->parameters[match->n].name_size = (size_t)(end - pattern - 1);
            memcpy(match->parameters[match->n].value, path, length);
            match->parameters[match->n].value[length] = '\0';
            match->n++;
            pattern = end + 1;
            path += length;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *path == '\0' || (strcmp(path, "/") == 0 && match->n == 0);
}

static void allow_add(char allow[ROUTE_ALLOW_MAX], const char *method)
{
    size_t used = strlen(allow);
    if (used + strlen(method) + 3 > ROUTE_ALLOW_MAX) return;
    if (used > 0) strcat(allow, ", ");
    strcat(allow, method);
}

int routes_find(const struct routes *routes, const char *method, const char *path,
                const struct route **ret_route, struct route_match *ret_match,
                char ret_allow[ROUTE_ALLOW_MAX])
{
    bool head = strcmp(method, "HEAD") == 0;
    ret_allow[0] = '\0';
    for (size_t i = 0; i < routes->n; i++) {
        const struct route *route = &routes->list[i];
        if (!match_pattern(route->pattern, path, ret_match)) continue;
        if (strcmp(method, route->method) == 0 || (head && strcmp(route->method, "GET") == 0)) {
            *ret_route = route;
            return 0;
        }
        allow_add(ret_allow, route->method);
        if (strcmp(route->method, "GET") == 0) allow_add(ret_allow, "HEAD");
    }
    return ret_allow[0] != '\0' ? ERR_UNSUPPORTED : ERR_NOT_FOUND;
}
