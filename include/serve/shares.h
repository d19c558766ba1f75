/* Shares of the machine: of several models each has its share before others, and the rest is for
 * whoever wants it ("Shares" in doc/scheduler.md). Weights, of models by name; who is not named has
 * 1. A plain value. Any thread. */
#ifndef SERVE_SHARES_H
#define SERVE_SHARES_H

#include <stddef.h>

#include "base/err.h"
#include "base/name.h"

enum { SHARES_MAX = 32 };

#define SHARE_LEAST 0.001
#define SHARE_MOST 1000

struct shares {
    size_t n;
    struct {
        char name[NAME_BYTES_MAX + 1];
        double share;
    } of[SHARES_MAX];
};

/* NAME=SHARE with commas between, SHARE a decimal from SHARE_LEAST to SHARE_MOST; "" names nobody.
 * ERR_RANGE with a message that says what it takes; *ret_shares is set on success only. */
int shares_parse(const char *text, struct shares *ret_shares, struct err *e);

double shares_of(const struct shares *shares, const char *name);

#endif
