/* Error codes and messages: the one table of texts, and the struct that carries a sentence for the
 * human up to whoever reports it.
 *
 * A message that does not fit is cut, never refused: an error about an error helps nobody. Nothing
 * here allocates, prints or translates. */
#include "config.h"

#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *format, ...)
{
    if (e == NULL) return code;
    char text[ERR_TEXT_MAX]; /* an argument may be e->text itself */
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0) text[0] = '\0';
    va_end(args);
    e->code = code;
    memcpy(e->text, text, sizeof(text));
    return code;
}

int err_prefix(struct err *e, const char *format, ...)
{
    if (e == NULL) return 0;
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n < 0) return e->code;

    size_t used = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    for (const char *s = ": "; *s != '\0' && used < sizeof(text) - 1; s++) text[used++] = *s;
    size_t rest = strnlen(e->text, sizeof(e->text) - 1);
    if (rest > sizeof(text) - 1 - used) rest = sizeof(text) - 1 - used;
    memcpy(text + used, e->text, rest);
    text[used + rest] = '\0';
    memcpy(e->text, text, used + rest + 1);
    return e->code;
}

bool err_is_disk(int code)
{
    return code == -ENOSPC || code == -EROFS || code == -EDQUOT || code == -EFBIG;
}

bool err_is_passing(int code)
{
    static const int codes[] = {-ENOMEM,  -EIO,      -EAGAIN,    -EINTR,    -EMFILE,
                                -ENFILE,  -EBUSY,    -ETIMEDOUT, -ENODEV,   -ESTALE,
                                -ENOBUFS, -ENOTCONN, ERR_BUSY,   -EHOSTDOWN};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i] == code) return true;
    return err_is_disk(code);
}

const char *err_text(int code)
{
    switch (code) {
    case ERR_FORMAT:
        return "malformed input";
    case ERR_RANGE:
        return "value out of range";
    case ERR_LIMIT:
        return "limit exceeded";
    case ERR_UNSUPPORTED:
        return "not supported";
    case ERR_NOT_FOUND:
        return "not found";
    case ERR_CONFLICT:
        return "conflict with other input or the present state";
    case ERR_BUSY:
        return "busy, try again later";
    case ERR_DEADLINE:
        return "not possible in the time given";
    case ERR_CANCELLED:
        return "cancelled";
    case ERR_DIVERGED:
        return "a number is not finite";
    case ERR_USAGE:
        return "bad command line";
    default:
        break;
    }
    if (code >= 0) return "no error";
    /* Unlike strerror(), this one has no shared buffer and no locale. */
    const char *text = code > ERR_FORMAT ? strerrordesc_np(-code) : NULL;
    return text != NULL ? text : "unknown error";
}
