/* How an event becomes a line. */
#ifndef BASE_LOG_LINE_H
#define BASE_LOG_LINE_H

#include <stddef.h>

#include "base/log.h"

enum { LOG_TEXT_MAX = 2048, LOG_LINE_MAX = 6 * LOG_TEXT_MAX + 256 /* every byte as \u0000 */ };

/* The line of an event of now, with \n at its end and no NUL. Returns its size. text is shorter
 * than LOG_TEXT_MAX. */
size_t log_line(char ret_line[LOG_LINE_MAX], enum log_level level, const char *text);

#endif
