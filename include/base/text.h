/* Text: what is valid UTF-8, and numbers in as few digits as they need. Any thread. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>

/* Bytes of the UTF-8 sequence that begins the `size` > 0 bytes at s (RFC 3629 section 4: no
 * overlong forms, no surrogates, nothing past U+10FFFF); 0 when none does. */
size_t text_utf8_length(const char *s, size_t size);

enum { TEXT_NUMBER_MAX = 32 };

/* The fewest digits that read back as this very number, without an exponent where it is short:
 * "0.1", "5000", "1e-05". For finite numbers. The text is ret_text. */
const char *text_double(double value, char ret_text[TEXT_NUMBER_MAX]);
const char *text_float(float value, char ret_text[TEXT_NUMBER_MAX]);

#endif
