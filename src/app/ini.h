/* INI text: sections, `key = value`, comments that begin with # or ; at the beginning of a line or
 * after a blank. A value in double quotes is taken as it is; \" and \\ in it stand for " and \. */
#ifndef APP_INI_H
#define APP_INI_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

enum { INI_LINE_MAX = 4096 };

/* Called for each entry, strings without the blanks and quotes around them; a negative code ends
 * the parsing. */
typedef int ini_entry_fn(void *arg, const char *section, const char *key, const char *value,
                         int line, struct err *e);

/* Takes any bytes. Returns 0, what entry() returned, or ERR_FORMAT with "line N: ...". */
int ini_parse(const char *text, size_t size, ini_entry_fn *entry, void *arg, struct err *e);

/* Appends a value so that ini_parse() reads it back: in quotes where it needs them. */
int ini_print_value(const char *value, struct buf *out);

#endif
