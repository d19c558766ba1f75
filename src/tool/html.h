/* A page that grows: text, escaped text, and the first failure kept, so that it is written without
 * a check at every step. One thread at a time. */
#ifndef TOOL_HTML_H
#define TOOL_HTML_H

#include "base/buf.h"

struct html {
    struct buf text;
    int status; /* 0, ERR_LIMIT or -ENOMEM; then nothing more is added */
};

void html_init(struct html *h);
void html_release(struct html *h);

/* As it is. */
void html_puts(struct html *h, const char *text);
void html_printf(struct html *h, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Of strangers: & < > " ' become references, in elements and in quoted attributes. */
void html_text(struct html *h, const char *text);

#endif
