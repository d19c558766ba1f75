/* JSON from strangers. */
#ifndef HTTP_JSON_IN_H
#define HTTP_JSON_IN_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

enum { JSON_IN_DEPTH_MAX = 16 };

/* Parses an object; NULL with ERR_FORMAT and line, column and reason. Any thread. */
json_t *json_in_object(const char *text, size_t size, struct err *e);

#endif
