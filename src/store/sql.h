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

enum { SQL_STATEMENTS_MAX = 64 };

struct db {
    sqlite3 *sqlite;
    char *path;
    struct sql_statement {
        const char *text;
        sqlite3_stmt *stmt;
        bool busy; /* between sql_begin() and sql_end() */
    } statements[SQL_STATEMENTS_MAX];
    size_t n_statements;
    int depth;        /* of transactions */
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

#endif
