/* A journal: a file that only grows, by whole pieces. What is put waits in memory until
 * journal_flush() writes all of it or nothing, so that a full disk costs a delay and never leaves
 * half a piece. Its mark says how far it has been written: who goes on from a mark goes on from
 * those bytes, and what came behind them is cut off. One caller at a time. */
#ifndef BASE_JOURNAL_H
#define BASE_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct journal;

struct journal_mark {
    int64_t bytes;
    uint32_t crc; /* CRC-32C of them */
};

/* A new file, with mode 0666 less the umask. -EEXIST when there is something already. Errors name
 * the path. */
int journal_create(const char *path, struct journal **ret_journal, struct err *e);

/* Goes on from a mark. ERR_CONFLICT when the file does not begin with the bytes that the mark is
 * of; it is then left as it is. */
int journal_resume(const char *path, const struct journal_mark *mark, struct journal **ret_journal,
                   struct err *e);

/* What was not flushed is lost. */
void journal_free(struct journal *journal);

enum { JOURNAL_WAITING_MAX = 16 << 20 };

/* A piece for the next flush. ERR_LIMIT when more than JOURNAL_WAITING_MAX would wait, -ENOMEM;
 * nothing of it is taken then. */
int journal_put(struct journal *journal, const void *data, size_t size);

/* Writes what waits and has the disk take it. On failure, whose error names the path, the file is
 * as it was and everything goes on waiting. */
int journal_flush(struct journal *journal, struct err *e);

/* How far it has been flushed. */
struct journal_mark journal_mark(const struct journal *journal);

#endif
