/* The arguments behind a target's question mark, decoded: '+' is a blank, %XX a byte. Pure. */
#ifndef HTTP_QUERY_H
#define HTTP_QUERY_H

#include "base/buf.h"

/* Appends "name\0value\0" for each argument; empty ones are left out, one without '=' has an empty
 * value. 0, or the buffer's code. */
int query_decode(const char *query, struct buf *out);

/* Percent-decoding in place ('+' stays); other percent signs stay as they are. A text that asks for
 * a NUL, which would cut it short, stays as it stands and is then no path or value that anybody
 * knows. */
void query_unescape(char *text);

#endif
