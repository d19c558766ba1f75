/* The routes of a server: (method, path) -> row. Pure. */
#ifndef HTTP_ROUTES_H
#define HTTP_ROUTES_H

#include <stddef.h>

#include "http/route.h"

enum { ROUTES_MAX = 64, ROUTE_PARAMETERS_MAX = 4, ROUTE_VALUE_MAX = 128, ROUTE_ALLOW_MAX = 64 };

struct routes {
    struct route list[ROUTES_MAX];
    size_t n;
};

struct route_match {
    size_t n;
    struct {
        const char *name; /* in the pattern, name_size bytes */
        size_t name_size;
        char value[ROUTE_VALUE_MAX];
    } parameters[ROUTE_PARAMETERS_MAX];
};

/* 0; ERR_NOT_FOUND: no such path; ERR_UNSUPPORTED: the path is there, not the method, and ret_allow
 * holds the methods it has ("GET, HEAD"). */
int routes_find(const struct routes *routes, const char *method, const char *path,
                const struct route **ret_route, struct route_match *ret_match,
                char ret_allow[ROUTE_ALLOW_MAX]);

#endif
