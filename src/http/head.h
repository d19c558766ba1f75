/* A request's head: request line and field lines, RFC 9112 sections 2 to 5, read strictly. What two
 * readers may understand in two ways is refused, because behind a proxy each such difference lets a
 * client put a request of its own between those of others (request smuggling, CWE-444): a bare LF
 * or CR, folded lines, blanks before a colon, an empty name, NUL and other control characters, more
 * than one blank in the request line. Pure; any thread. */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum {
    HEAD_MAX = 64 << 10,      /* bytes */
    HEAD_LINE_MAX = 16 << 10, /* of the request line */
    HEAD_FIELDS_MAX = 128,
    HEAD_WHOLE = 1,
};

/* How far the end of a head has been looked for; begins zeroed. */
struct head_scan {
    size_t seen, line; /* bytes looked at; where the line begins that is being looked at */
    size_t lines;      /* whole ones, the request line among them */
    bool blank;        /* there was an empty line before the request line: one is passed over */
};

/* A head in memory; texts stand in it, NUL-terminated. */
struct head {
    const char *method, *target;
    bool is_1_0;
    size_t n;
    struct head_field {
        const char *name, *value; /* without blanks around it */
    } fields[HEAD_FIELDS_MAX];
};

/* Looks for the end of the head in what has arrived so far. HEAD_WHOLE: it has *ret_size bytes; 0:
 * more is needed; else the HTTP status (400, 414, 431) with a message. */
int head_scan(struct head_scan *scan, const char *data, size_t size, size_t *ret_size,
              struct err *e);

/* Reads a whole head, in place. 0, or the HTTP status (400, 431, 505) with a message. */
int head_parse(struct head *head, char *data, size_t size, struct err *e);

/* The first value of a field, name in any case; NULL when there is none. */
const char *head_value(const struct head *head, const char *name);

/* Whether one of the fields of this name lists this word (RFC 9110, 5.6.1), in any case. */
bool head_lists(const struct head *head, const char *name, const char *word);

/* Whether these are all characters of a token; others, NUL too, that a field's value may hold. */
bool head_is_token(const char *text, size_t size);
bool head_is_value(const char *text, size_t size);

#endif
