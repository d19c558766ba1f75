/* UTF-8 and numbers. No locale: the program sets none. */
#include "config.h"

#include "base/text.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>

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

/* Every decimal number of DBL_DIG digits survives the way through a double, and %g drops zeros at
 * the end: so these digits give the shortest text wherever there is one that short. */
const char *text_double(double value, char ret_text[TEXT_NUMBER_MAX])
{
    for (int digits = DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
        snprintf(ret_text, TEXT_NUMBER_MAX, "%.*g", digits, value);
        if (strtod(ret_text, NULL) == value) break;
    }
    return ret_text;
}

const char *text_float(float value, char ret_text[TEXT_NUMBER_MAX])
{
    for (int digits = FLT_DIG; digits <= FLT_DECIMAL_DIG; digits++) {
        snprintf(ret_text, TEXT_NUMBER_MAX, "%.*g", digits, (double)value);
        if (strtof(ret_text, NULL) == value) break;
    }
    return ret_text;
}
