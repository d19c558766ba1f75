/* Inside the json layer: a struct json is a json_t of jansson's. */
#ifndef JSON_TREE_H
#define JSON_TREE_H

#include <jansson.h>

#include "json/value.h"

static inline json_t *json_tree(const struct json *value)
{
    return (json_t *)(uintptr_t)value;
}

static inline const struct json *json_of_tree(const json_t *tree)
{
    return (const struct json *)(const void *)tree;
}

enum json_kind json_kind_of(const struct json *value);

/* "an object" */
const char *json_kind_name(enum json_kind kind);

#endif
