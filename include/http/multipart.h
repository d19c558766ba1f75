/* multipart/form-data (RFC 7578, RFC 2046 section 5.1) that is in memory as a whole: parts are
 * places in it, nothing is copied or allocated. Text before the first boundary and behind the last
 * one is passed over, blanks behind a boundary too, and headers may be folded; what two readers may
 * understand in two ways is refused. Pure; any thread. */
#ifndef HTTP_MULTIPART_H
#define HTTP_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum {
    MULTIPART_BOUNDARY_MAX = 70, /* RFC 2046 */
    MULTIPART_NAME_MAX = 64,
    MULTIPART_TYPE_MAX = 64,
    MULTIPART_HEADERS_MAX = 4096, /* bytes of one part's headers */
};

struct multipart {
    const char *at, *end;
    char delimiter[MULTIPART_BOUNDARY_MAX + 5]; /* CR LF "--" boundary */
    size_t delimiter_size;
    int parts; /* given out */
};

struct multipart_part {
    char name[MULTIPART_NAME_MAX + 1];         /* of Content-Disposition */
    char content_type[MULTIPART_TYPE_MAX + 1]; /* lower case, without parameters; "": not given */
    bool no_file;                              /* filename="" and no data: none was chosen */
    const void *data;                          /* in the body */
    size_t size;
};

/* The boundary that a Content-Type's value names. ERR_FORMAT: none, two, or one that RFC 2046 does
 * not allow. */
int multipart_boundary(const char *content_type, char ret_boundary[MULTIPART_BOUNDARY_MAX + 1],
                       struct err *e);

/* ERR_FORMAT: there is no line with the boundary. The body must stay. */
int multipart_init(struct multipart *m, const char *boundary, const void *body, size_t size,
                   struct err *e);

/* 1 and the next part; 0 at the end of the last one; ERR_FORMAT, or ERR_UNSUPPORTED for a
 * Content-Transfer-Encoding that changes the bytes (RFC 7578, 4.7). */
int multipart_next(struct multipart *m, struct multipart_part *ret_part, struct err *e);

#endif
