/* JSON from strangers. Nesting and number of values are bounded before the parser sees the text: it
 * is recursive, and makes some hundred bytes of memory of an empty object's two or three. Names
 * that stand there twice are refused, because two readers may take different ones. */
#include "config.h"

#include "json_body.h"

#include <stdbool.h>
#include <string.h>

#include "http/exchange.h"

static int check_shape(const char *text, size_t size, struct err *e)
{
    int depth = 0;
    size_t values = 1;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        char ch = text[i];
        if (in_string) {
            if (ch == '\\')
                i++;
            else if (ch == '"')
                in_string = false;
        } else if (ch == '"') {
            in_string = true;
        } else if (ch == '[' || ch == '{') {
            if (++depth > JSON_BODY_DEPTH_MAX)
                return err_set(e, ERR_FORMAT, "JSON: byte %zu: nested deeper than %d", i,
                               JSON_BODY_DEPTH_MAX);
        } else if (ch == ']' || ch == '}') {
            depth--;
        }
        /* Each value but the outermost follows a comma or is its container's first. */
        if (!in_string && (ch == ',' || ch == '[' || ch == '{') && ++values > JSON_BODY_VALUES_MAX)
            return err_set(e, ERR_FORMAT, "JSON: byte %zu: more than %d values", i,
                           JSON_BODY_VALUES_MAX);
    }
    return 0;
}

json_t *json_body_object(const char *text, size_t size, struct err *e)
{
    if (check_shape(text, size, e) < 0) return NULL;
    json_error_t at;
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &at);
    if (json == NULL) {
        err_set(e, ERR_FORMAT, "JSON: line %d, column %d: %s", at.line, at.column, at.text);
    } else if (!json_is_object(json)) {
        err_set(e, ERR_FORMAT, "JSON: an object is expected");
        json_decref(json);
        json = NULL;
    }
    return json;
}

json_t *exchange_json(struct exchange *x, bool empty_ok)
{
    size_t size;
    const char *text = exchange_body(x, &size);
    if (size == 0 && empty_ok) return json_object();
    const char *type = exchange_content_type(x);
    if (strcmp(type, "application/json") != 0) {
        exchange_problem(x, 415, "Content-Type is \"%s\", application/json is expected", type);
        return NULL;
    }
    struct err e;
    json_t *json = json_body_object(text, size, &e);
    if (json == NULL) exchange_problem_err(x, &e);
    return json;
}
