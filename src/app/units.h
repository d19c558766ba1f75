/* Numbers with units, as options take them: "10s", "500 ms", "64MiB", "64M". */
#ifndef APP_UNITS_H
#define APP_UNITS_H

#include <stdint.h>

enum unit_kind {
    UNIT_NONE,  /* a count: nothing may stand behind it */
    UNIT_BYTES, /* B; K, M, G, T and KiB, MiB, GiB, TiB: powers of 1024; KB, MB, GB, TB: of 1000;
                   also in small letters */
    UNIT_MS,    /* ms, s, m or min, h, d; without one: ms */
};

/* A whole decimal number, maybe blanks, maybe a unit. 0, ERR_FORMAT for every other text, or
 * ERR_RANGE for more than an int64_t holds. */
int unit_parse(const char *text, enum unit_kind kind, int64_t *ret_value);

/* What may stand behind the number, for messages and help: "", ", also with K, M, ..". */
const char *unit_help(enum unit_kind kind);

/* "", " bytes", " ms": what the plain number counts. */
const char *unit_name(enum unit_kind kind);

#endif
