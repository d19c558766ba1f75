/* Documents for tests: parsed with room enough. */
#ifndef TESTS_JSON_PARSE_H
#define TESTS_JSON_PARSE_H

#include <stdint.h>
#include <string.h>

#include "json/value.h"

static inline struct json *parse(const char *text, struct err *e)
{
    static const struct json_limits limits = {1 << 24, 1 << 16};
    return json_parse("test", text, strlen(text), &limits, JSON_KIND_ANY, e);
}

#endif
