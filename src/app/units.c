/* Units. Only whole numbers: what an option counts has no halves, and "1500ms" says as much as
 * "1.5s". */
#include "config.h"

#include "units.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

struct unit {
    const char *name;
    int64_t scale;
};

static const struct unit none[] = {{"", 1}, {NULL, 0}};

static const struct unit bytes[] = {
    {"", 1},
    {"b", 1},
    {"k", INT64_C(1) << 10},
    {"m", INT64_C(1) << 20},
    {"g", INT64_C(1) << 30},
    {"t", INT64_C(1) << 40},
    {"kib", INT64_C(1) << 10},
    {"mib", INT64_C(1) << 20},
    {"gib", INT64_C(1) << 30},
    {"tib", INT64_C(1) << 40},
    {"kb", 1000},
    {"mb", 1000000},
    {"gb", 1000000000},
    {"tb", 1000000000000},
    {NULL, 0},
};

static const struct unit times[] = {
    {"", 1},        {"ms", 1},      {"s", 1000},     {"m", 60000},
    {"min", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};

static const struct {
    const struct unit *units;
    int (*compare)(const char *a, const char *b); /* 5M is no time: megabytes? minutes? */
    const char *name, *help;
} kinds[] = {
    [UNIT_NONE] = {none, strcmp, "", ""},
    [UNIT_BYTES] = {bytes, strcasecmp, " bytes",
                    ", also with K, M, G, T (of 1024, as KiB) or KB (of 1000)"},
    [UNIT_MS] = {times, strcmp, " ms", ", also with ms, s, min, h or d"},
};

int unit_parse(const char *text, enum unit_kind kind, int64_t *ret_value)
{
    char *end;
    int64_t value;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    /* strtoll() skips blanks and takes a plus. */
    if (end == text || isspace((unsigned char)text[0]) || text[0] == '+') return ERR_FORMAT;
    bool far = errno != 0, spaced = false;
    for (; *end == ' '; end++) spaced = true;
    if (spaced && *end == '\0') return ERR_FORMAT;
    for (const struct unit *u = kinds[kind].units; u->name != NULL; u++) {
        if (kinds[kind].compare(u->name, end) != 0) continue;
        if (far || __builtin_mul_overflow(number, u->scale, &value)) return ERR_RANGE;
        *ret_value = value;
        return 0;
    }
    return ERR_FORMAT;
}

const char *unit_help(enum unit_kind kind)
{
    return kinds[kind].help;
}

const char *unit_name(enum unit_kind kind)
{
    return kinds[kind].name;
}
