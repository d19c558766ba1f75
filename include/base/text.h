/* Text: what is valid UTF-8 and fit to be printed, numbers in as few digits as they need, with a
 * point in every locale, and read back, and words that are near to each other. Any thread. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the UTF-8 sequence that begins the `size` > 0 bytes at s (RFC 3629 section 4: no
 * overlong forms, no surrogates, nothing past U+10FFFF); 0 when none does. */
size_t text_utf8_length(const char *s, size_t size);

/* Whether there are control characters in a UTF-8 text, those of U+0080..U+009F included. */
bool text_has_control(const char *s);

/* Bytes of the byte order mark (U+FEFF) that some editors put before a text in UTF-8: 3, or 0 where
 * there is none. Who reads a text from elsewhere begins behind it. */
size_t text_mark_length(const char *s, size_t size);

/* Takes a text file's content apart in its place, whoever wrote it: behind a byte order mark, lines
 * that end in \n, \r\n or with the text, less the blanks at their ends; empty ones at the very end
 * are none. text[size] is NUL. The first max lines stand in ret_lines, *ret_count says how many
 * there are. 0, or the number of the first line, from 1, that holds a NUL byte, which no text
 * does. */
size_t text_split_lines(char *text, size_t size, char **ret_lines, size_t max, size_t *ret_count);

/* At most size - 1 bytes of s into ret_text, which is returned, those that are no printable ASCII
 * as '?': what strangers wrote, fit for a message. */
const char *text_printable(char *ret_text, size_t size, const char *s);

enum { TEXT_NUMBER_MAX = 32 };

/* The fewest digits that read back as this very number, without an exponent where it is short:
 * "0.1", "5000", "1e-05". For finite numbers. The text is ret_text. */
const char *text_double(double value, char ret_text[TEXT_NUMBER_MAX]);
const char *text_float(float value, char ret_text[TEXT_NUMBER_MAX]);

/* The same with at most so many significant digits, which need not read back. */
const char *text_rounded(double value, int digits, char ret_text[TEXT_NUMBER_MAX]);

/* The number that all of a text is: a whole one, one from 0, a finite one with the locale's point.
 * false, with nothing set, for every other text, with blanks around it, say, or out of the type's
 * range. */
bool text_to_int(const char *text, int64_t *ret_value);
bool text_to_unsigned(const char *text, uint64_t *ret_value);
bool text_to_real(const char *text, double *ret_value);

enum { TEXT_DISTANCE_MAX = 64 };

/* How many letters must be put in, left out or changed to make one text the other (Levenshtein
 * 1966); TEXT_DISTANCE_MAX where one is longer than that. For "did you mean". */
size_t text_distance(const char *a, const char *b);

#endif
