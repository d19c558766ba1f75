/* JSON from strangers. */
#ifndef HTTP_JSON_BODY_H
#define HTTP_JSON_BODY_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

enum { JSON_BODY_DEPTH_MAX = 16, JSON_BODY_VALUES_MAX = 1 << 16 };

/* Parses an object; NULL with ERR_FORMAT and line, column and reason. Any thread. */
json_t *json_body_object(const char *text, size_t size, struct err *e);

#endif
