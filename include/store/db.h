/* The database: SQLite in WAL mode. A struct db is one connection, used by one thread: the store
 * thread has one, and the thread that only reads another. The tables have headers of their own:
 * job_table.h, version_table.h, audit_table.h. Every function fails with a message that names the
 * database file: ERR_CONFLICT for a violated constraint, -EBADMSG for a damaged file or row,
 * ERR_BUSY, -ENOSPC, -ENOMEM, -EIO, -EROFS. A file is damaged where its pages are; a row that
 * cannot be what was written is left out by those who read many, with a line in the log that names
 * it, and is an error for who asks for that one. */
#ifndef STORE_DB_H
#define STORE_DB_H

#include <stdbool.h>

#include "base/err.h"

struct db;

/* Opens or makes the file (":memory:" for tests), checks its integrity and brings its schema up to
 * date. ERR_UNSUPPORTED when a newer program wrote it; -EBADMSG when it is no database or
 * damaged. */
int db_open(const char *path, struct db **ret_db, struct err *e);

/* A second connection to a file that db_open() holds open, for another thread: sees what has been
 * committed, waits for no writer, and cannot write (-EROFS). */
int db_open_reading(const char *path, struct db **ret_db, struct err *e);

/* A connection to a file on a disk that takes nothing: reads what is there, writes nothing
 * (-EROFS). May be opened twice, for two threads. */
int db_open_frozen(const char *path, struct db **ret_db, struct err *e);

/* Empty tables in memory, in which nothing can be written (-EROFS), for a path where there is no
 * file and none can be made. reading: a second connection to the same, for another thread. */
int db_open_memory(const char *path, bool reading, struct db **ret_db, struct err *e);

/* NULL is fine. */
void db_close(struct db *db);

/* A transaction: all that fn does, or nothing when it returns a negative code. May be nested: an
 * inner one is part of the outer one. Returns what fn returned, or the error of the commit. */
int db_transaction(struct db *db, int (*fn)(struct db *db, void *arg, struct err *e), void *arg,
                   struct err *e);

/* For tests: the n-th statement from now on fails as if the disk were full (1 is the next; 0:
 * none). */
void db_fail_at(struct db *db, unsigned n);

#endif
