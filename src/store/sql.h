/* Statements of the tables, inside the store layer only. A statement is prepared once for each text
 * (the texts are literals, so that their address names them) and kept until the database is closed.
 */
#ifndef STORE_SQL_H
#define STORE_SQL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/db.h"

enum { SQL_STATEMENTS_MAX = 64, SQL_TOLD_MAX = 64 };

struct db {
    sqlite3 *sqlite;
    char *path;
    struct sql_statement {
        const char *text;
        sqlite3_stmt *stmt;
        bool busy; /* between sql_begin() and sql_end() */
    } statements[SQL_STATEMENTS_MAX];
    size_t n_statements;
    int depth;                   /* of transactions */
    uint64_t told[SQL_TOLD_MAX]; /* a ring: sums of what the log has been told of damaged rows */
    unsigned n_told;
    unsigned fail_at; /* tests: statements until one fails */
};

/* The error of the connection's last call, as a code of ours, with "PATH: what failed: SQLite's
 * words". */
int sql_error(struct db *db, const char *what, struct err *e);

/* Runs a text without parameters or results. */
int sql_exec(struct db *db, const char *text, struct err *e);

/* Prepares text (a literal) and binds its parameters by types: 'i' int64_t, 's' const char * (NULL
 * binds NULL), 'd' double. The strings must live until sql_end(). */
int sql_begin(struct db *db, struct sql_statement **ret, struct err *e, const char *text,
              const char *types, ...);

/* 1: there is a row; 0: no more; negative: an error. */
int sql_step(struct db *db, struct sql_statement *statement, struct err *e);
void sql_end(struct sql_statement *statement); /* NULL is fine */

/* sql_begin(), all steps, sql_end(). */
int sql_run(struct db *db, struct err *e, const char *text, const char *types, ...);

/* Columns of the present row. Text is copied: sql_text_new() for mem_free() (NULL stays NULL;
 * -ENOMEM), sql_text_into() into a fixed array, cut where it does not fit. */
int64_t sql_int(struct sql_statement *statement, int column);
int sql_text_new(struct sql_statement *statement, int column, char **ret_text);
void sql_text_into(struct sql_statement *statement, int column, char *ret_text, size_t size);

/* Whether a column holds what it should, which a damaged file need not: a number in least..most; a
 * text of at most `most` bytes. */
bool sql_is_int(struct sql_statement *statement, int column, int64_t least, int64_t most);
bool sql_is_text(struct sql_statement *statement, int column, int most);
bool sql_is_text_or_null(struct sql_statement *statement, int column, int most);

/* -EBADMSG: a row that cannot be what was written; the format names it and what is odd. Who reads
 * many rows leaves it out and tells the log, once a row while it is known (sql_tell()). */
int sql_damaged(struct db *db, struct err *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void sql_tell(struct db *db, const struct err *e);

#endif
