/* TensorBoard's event files: records of a length, the length's checksum, an event and its checksum
 * (TFRecord), one behind the other. Each function appends one record to a buffer; what becomes of
 * the bytes is the caller's. On failure (-ENOMEM, ERR_LIMIT) nothing is appended. Any thread.
 *
 * A file begins with board_put_version(). Times are seconds since 1970. */
#ifndef BOARD_EVENTS_H
#define BOARD_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

int board_put_version(struct buf *out, double time_s);

/* Points of curves at one step. */
struct board_scalar {
    const char *tag; /* what stands before a "/" groups them */
    double value;
};
int board_put_scalars(struct buf *out, double time_s, int64_t step,
                      const struct board_scalar *scalars, size_t n);

/* A text in Markdown, for the page of texts. */
int board_put_text(struct buf *out, double time_s, const char *tag, const char *text);

/* What a run was started with, for the page that compares runs by it: a number where all of a value
 * is one. */
struct board_setting {
    const char *name, *value;
};
int board_put_settings(struct buf *out, double time_s, const struct board_setting *settings,
                       size_t n);

#endif
