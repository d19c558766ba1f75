/* Queries of targets. */
#include "config.h"

#include "query.h"

#include <stdbool.h>
#include <string.h>

static int hex(char ch)
{
    return ch >= '0' && ch <= '9'   ? ch - '0'
           : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
           : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
                                    : -1;
}

void query_unescape(char *text)
{
    if (strstr(text, "%00") != NULL) return;
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        int high = *from == '%' ? hex(from[1]) : -1, low = high >= 0 ? hex(from[2]) : -1;
        *to++ = low >= 0 ? (char)(high * 16 + low) : *from;
        if (low >= 0) from += 2;
    }
    *to = '\0';
}

static int add(struct buf *out, const char *text, size_t size)
{
    size_t at = out->size;
    int rc = buf_append(out, text, size);
    if (rc < 0) return rc;
    if (size > 0) {
        char *copy = out->data + at;
        for (char *plus = strchr(copy, '+'); plus != NULL; plus = strchr(plus, '+')) *plus = ' ';
        query_unescape(copy);
        out->size = at + strlen(copy);
    }
    return buf_append(out, "", 1);
}

int query_decode(const char *query, struct buf *out)
{
    int rc = 0;
    while (rc == 0 && *query != '\0') {
        size_t size = strcspn(query, "&"), name = strcspn(query, "&=");
        if (size > 0) {
            rc = add(out, query, name);
            size_t skip = name < size ? name + 1 : size;
            if (rc == 0) rc = add(out, query + skip, size - skip);
        }
        query += size + (query[size] == '&');
    }
    return rc;
}
