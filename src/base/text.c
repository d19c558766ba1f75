/* UTF-8, numbers, whatever the locale, and distances between words. */
#include "config.h"

#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t text_utf8_length(const char *s, size_t size)
{
    const unsigned char *u = (const unsigned char *)s;
    if (u[0] < 0x80) return 1;
    size_t n = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
    unsigned char low = 0x80, high = 0xbf; /* of the second byte */
    if (u[0] < 0xc2 || u[0] > 0xf4 || size < n) return 0;
    if (u[0] == 0xe0) low = 0xa0;  /* overlong */
    if (u[0] == 0xed) high = 0x9f; /* surrogates */
    if (u[0] == 0xf0) low = 0x90;  /* overlong */
    if (u[0] == 0xf4) high = 0x8f; /* past U+10FFFF */
    if (u[1] < low || u[1] > high) return 0;
    for (size_t i = 2; i < n; i++) {
        if (u[i] < 0x80 || u[i] > 0xbf) return 0;
    }
    return n;
}

bool text_has_control(const char *s)
{
    for (const unsigned char *u = (const unsigned char *)s; *u != '\0'; u++) {
        if (*u < 0x20 || *u == 0x7f || (u[0] == 0xc2 && u[1] < 0xa0)) return true;
    }
    return false;
}

size_t text_mark_length(const char *s, size_t size)
{
    return size >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

size_t text_split_lines(char *text, size_t size, char **ret_lines, size_t max, size_t *ret_count)
{
    size_t n = 0, used = 0;
    char *line = text + text_mark_length(text, size), *end = text + size;
    while (line < end) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        char *next = stop != NULL ? stop + 1 : end;
        if (stop == NULL) stop = end;
        while (stop > line && strchr(" \t\r", stop[-1]) != NULL && stop[-1] != '\0') stop--;
        *stop = '\0';
        if (strlen(line) != (size_t)(stop - line)) return n + 1;
        if (n < max) ret_lines[n] = line;
        n++;
        if (stop > line) used = n;
        line = next;
    }
    *ret_count = used;
    return 0;
}

const char *text_printable(char *ret_text, size_t size, const char *s)
{
    size_t n = 0;
    for (; s[n] != '\0' && n + 1 < size; n++) {
        ret_text[n] = s[n] >= 0x20 && s[n] < 0x7f ? s[n] : '?';
    }
    ret_text[n] = '\0';
    return ret_text;
}

/* printf() writes the locale's decimal point, which a program that links us may have set. */
static const char *with_point(char *text)
{
    char *point = text + strspn(text, "-0123456789");
    if (*point == '\0' || *point == 'e') return text;
    size_t length = strcspn(point, "0123456789");
    *point = '.';
    memmove(point + 1, point + length, strlen(point + length) + 1);
    return text;
}

/* Every decimal number of DBL_DIG digits survives the way through a double, and %g drops zeros at
 * the end: so these digits give the shortest text wherever there is one that short. Below DBL_MIN
 * doubles are further apart, and fewer digits may do. Likewise of floats. */
const char *text_double(double value, char ret_text[TEXT_NUMBER_MAX])
{
    for (int n = fabs(value) < DBL_MIN ? 1 : DBL_DIG; n <= DBL_DECIMAL_DIG; n++) {
        snprintf(ret_text, TEXT_NUMBER_MAX, "%.*g", n, value);
        if (strtod(ret_text, NULL) == value) break;
    }
    return with_point(ret_text);
}

const char *text_float(float value, char ret_text[TEXT_NUMBER_MAX])
{
    for (int n = fabsf(value) < FLT_MIN ? 1 : FLT_DIG; n <= FLT_DECIMAL_DIG; n++) {
        snprintf(ret_text, TEXT_NUMBER_MAX, "%.*g", n, (double)value);
        if (strtof(ret_text, NULL) == value) break;
    }
    return with_point(ret_text);
}

const char *text_rounded(double value, int digits, char ret_text[TEXT_NUMBER_MAX])
{
    snprintf(ret_text, TEXT_NUMBER_MAX, "%.*g", digits < DBL_DECIMAL_DIG ? digits : DBL_DECIMAL_DIG,
             value);
    return with_point(ret_text);
}

bool text_to_int(const char *text, int64_t *ret_value)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || isspace((unsigned char)*text)) return false;
    *ret_value = value;
    return true;
}

bool text_to_unsigned(const char *text, uint64_t *ret_value)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10); /* takes a minus, too */
    if (!isdigit((unsigned char)*text) || *end != '\0' || errno != 0) return false;
    *ret_value = value;
    return true;
}

bool text_to_real(const char *text, double *ret_value)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value) || isspace((unsigned char)*text))
        return false;
    *ret_value = value;
    return true;
}

/* Row by row; row[j]: from the first letters of a to the first j of b. */
size_t text_distance(const char *a, const char *b)
{
    size_t row[TEXT_DISTANCE_MAX + 1], n = strlen(b);
    if (n > TEXT_DISTANCE_MAX || strlen(a) > TEXT_DISTANCE_MAX) return TEXT_DISTANCE_MAX;
    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t best = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            if (row[j + 1] + 1 < best) best = row[j + 1] + 1;
            if (row[j] + 1 < best) best = row[j] + 1;
            row[j + 1] = best;
        }
    }
    return row[n];
}
