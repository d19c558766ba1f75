/* Pages as text. */
#include "config.h"

#include "html.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum { PAGE_MAX = 256 << 20, PIECE_MAX = 4096 };

void html_init(struct html *h)
{
    *h = (struct html){.status = 0};
    buf_init(&h->text, PAGE_MAX);
}

void html_release(struct html *h)
{
    buf_release(&h->text);
}

static void add(struct html *h, const char *text, size_t size)
{
    if (h->status == 0) h->status = buf_append(&h->text, text, size);
}

void html_puts(struct html *h, const char *text)
{
    if (h->status == 0) h->status = buf_puts(&h->text, text);
}

void html_printf(struct html *h, const char *format, ...)
{
    char piece[PIECE_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(piece, sizeof(piece), format, args);
    va_end(args);
    if (n < 0 || n >= PIECE_MAX) {
        if (h->status == 0) h->status = -EOVERFLOW;
        return;
    }
    add(h, piece, (size_t)n);
}

void html_text(struct html *h, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            html_puts(h, "&amp;");
            break;
        case '<':
            html_puts(h, "&lt;");
            break;
        case '>':
            html_puts(h, "&gt;");
            break;
        case '"':
            html_puts(h, "&quot;");
            break;
        case '\'':
            html_puts(h, "&#39;");
            break;
        default:
            add(h, text, 1);
        }
    }
}
