/* Errors. Every fallible function returns 0 or a positive result on success and a negative code on
 * failure: a negated errno, or one of the codes below. Functions that a user's input can make fail
 * also fill a `struct err` with one sentence for the human: the input, the place, the remedy. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

enum {
    ERR_FORMAT = -10001,      /* malformed input: broken file, broken JSON, wrong magic */
    ERR_RANGE = -10002,       /* a value outside what it may be */
    ERR_LIMIT = -10003,       /* a configured limit is exceeded */
    ERR_UNSUPPORTED = -10004, /* well formed, but not something that this program does */
    ERR_NOT_FOUND = -10005,   /* the thing that was named does not exist */
    ERR_CONFLICT = -10006,    /* contradicts other input or the present state */
    ERR_BUSY = -10007,        /* no room now; trying again later can work */
    ERR_DEADLINE = -10008,    /* not possible in the time given */
    ERR_CANCELLED = -10009,   /* given up on request */
    ERR_DIVERGED = -10010,    /* a loss, or what a model computed, is not finite */
    ERR_USAGE = -10011,       /* bad command line (exit code 2) */
};

enum { ERR_TEXT_MAX = 512 };

struct err {
    int code; /* 0: nothing set */
    char text[ERR_TEXT_MAX];
};

/* Stores code and the formatted message in *e (which may be NULL) and returns code, so that
 * `return err_set(e, ERR_RANGE, ...)` reads well. Any thread; *e belongs to the caller. */
int err_set(struct err *e, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the message in *e; e may be NULL. Returns e->code (0 when e is NULL). */
int err_prefix(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whether the same call may succeed later though nobody asks for anything else: short memory, a
 * full or failing disk, no descriptors, a lock. */
bool err_is_passing(int code);

/* Whether the disk takes nothing: full, read-only, a quota or a limit. All of these pass. */
bool err_is_disk(int code);

/* The general text of a code, for errno codes that of strerror. Never NULL; static storage. */
const char *err_text(int code);

#endif
