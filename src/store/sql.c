/* Statements: prepared once, bound by a string of types, errors turned into our codes.
 *
 * The one design decision is that each statement's text is a literal whose address is its key: the
 * cache needs no hashing and no release in the tables, and what a table does is read where it is
 * done. */
#include "config.h"

#include "sql.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

/* What the system said where SQLite only says that it could not read, write or open; 0: nothing
 * that says more. */
static int system_code(sqlite3 *sqlite)
{
    int code = -sqlite3_system_errno(sqlite);
    return err_is_passing(code) || code == -EACCES || code == -ENOENT ? code : 0;
}

static int code_of(sqlite3 *sqlite, int sqlite_code)
{
    int system = 0;
    switch (sqlite_code & 0xff) {
    case SQLITE_CONSTRAINT:
        return ERR_CONFLICT;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_CANTOPEN:
        system = system_code(sqlite);
        return system != 0 ? system : -ENOENT;
    case SQLITE_TOOBIG:
        return -EMSGSIZE;
    case SQLITE_IOERR:
        if (sqlite_code == SQLITE_IOERR_NOMEM) return -ENOMEM;
        system = system_code(sqlite);
        return system != 0 ? system : -EIO;
    default:
        return -EIO;
    }
}

int sql_error(struct db *db, const char *what, struct err *e)
{
    int code = sqlite3_extended_errcode(db->sqlite); /* NULL: no memory */
    const char *text = db->sqlite != NULL ? sqlite3_errmsg(db->sqlite) : "out of memory";
    int rc = db->sqlite != NULL ? code_of(db->sqlite, code) : -ENOMEM;
    const char *remedy = rc == -ENOSPC  ? " (free some space and try again)"
                         : rc == -EROFS ? " (the disk takes nothing)"
                         : rc == -EBADMSG
                             ? " (the file is damaged: restore it from a backup, or move "
                               "it away to begin with an empty one)"
                             : "";
    return err_set(e, rc, "%s: cannot %s: %s%s", db->path, what, text, remedy);
}

/* The injected failure of a test. */
static int injected(struct db *db, struct err *e)
{
    if (db->fail_at == 0 || --db->fail_at > 0) return 0;
    return err_set(e, -ENOSPC,
                   "%s: cannot write: database or disk is full (free some space and try "
                   "again)",
                   db->path);
}

int sql_exec(struct db *db, const char *text, struct err *e)
{
    int rc = injected(db, e);
    if (rc < 0) return rc;
    if (sqlite3_exec(db->sqlite, text, NULL, NULL, NULL) == SQLITE_OK) return 0;
    char what[64];
    snprintf(what, sizeof(what), "run \"%.40s\"", text);
    return sql_error(db, what, e);
}

static int find(struct db *db, const char *text, struct sql_statement **ret, struct err *e)
{
    for (size_t i = 0; i < db->n_statements; i++) {
        if (db->statements[i].text == text && !db->statements[i].busy) {
            *ret = &db->statements[i];
            return 0;
        }
    }
    if (db->n_statements == SQL_STATEMENTS_MAX) {
        return err_set(e, ERR_LIMIT, "%s: more than %d statements", db->path, SQL_STATEMENTS_MAX);
    }
    struct sql_statement *statement = &db->statements[db->n_statements];
    if (sqlite3_prepare_v3(db->sqlite, text, -1, SQLITE_PREPARE_PERSISTENT, &statement->stmt,
                           NULL) != SQLITE_OK) {
        return sql_error(db, "prepare a statement", e);
    }
    statement->text = text;
    db->n_statements++;
    *ret = statement;
    return 0;
}

static int begin(struct db *db, struct sql_statement **ret, struct err *e, const char *text,
                 const char *types, va_list values)
{
    struct sql_statement *statement = NULL;
    int rc = injected(db, e);
    if (rc == 0) rc = find(db, text, &statement, e);
    if (rc < 0) return rc;
    int bound = SQLITE_OK;
    for (int i = 0; types[i] != '\0' && bound == SQLITE_OK; i++) {
        switch (types[i]) {
        case 'i':
            bound = sqlite3_bind_int64(statement->stmt, i + 1, va_arg(values, int64_t));
            break;
        case 'd':
            bound = sqlite3_bind_double(statement->stmt, i + 1, va_arg(values, double));
            break;
        default: /* a NULL pointer binds NULL */
            bound = sqlite3_bind_text(statement->stmt, i + 1, va_arg(values, const char *), -1,
                                      SQLITE_STATIC);
        }
    }
    if (bound != SQLITE_OK) {
        rc = sql_error(db, "bind a value", e);
        sql_end(statement);
        return rc;
    }
    statement->busy = true;
    *ret = statement;
    return 0;
}

int sql_begin(struct db *db, struct sql_statement **ret, struct err *e, const char *text,
              const char *types, ...)
{
    va_list values;
    va_start(values, types);
    int rc = begin(db, ret, e, text, types, values);
    va_end(values);
    return rc;
}

int sql_step(struct db *db, struct sql_statement *statement, struct err *e)
{
    int stepped = sqlite3_step(statement->stmt);
    if (stepped == SQLITE_ROW) return 1;
    if (stepped == SQLITE_DONE) return 0;
    char what[64];
    snprintf(what, sizeof(what), "run \"%.40s\"", statement->text);
    return sql_error(db, what, e);
}

void sql_end(struct sql_statement *statement)
{
    if (statement == NULL) return;
    sqlite3_reset(statement->stmt);
    sqlite3_clear_bindings(statement->stmt);
    statement->busy = false;
}

int sql_run(struct db *db, struct err *e, const char *text, const char *types, ...)
{
    struct sql_statement *statement;
    va_list values;
    va_start(values, types);
    int rc = begin(db, &statement, e, text, types, values);
    va_end(values);
    if (rc < 0) return rc;
    do {
        rc = sql_step(db, statement, e);
    } while (rc == 1);
    sql_end(statement);
    return rc;
}

int64_t sql_int(struct sql_statement *statement, int column)
{
    return sqlite3_column_int64(statement->stmt, column);
}

int sql_text_new(struct sql_statement *statement, int column, char **ret_text)
{
    *ret_text = NULL;
    if (sqlite3_column_type(statement->stmt, column) == SQLITE_NULL) return 0;
    const unsigned char *text = sqlite3_column_text(statement->stmt, column);
    if (text != NULL) *ret_text = mem_strdup((const char *)text);
    return *ret_text != NULL ? 0 : -ENOMEM;
}

void sql_text_into(struct sql_statement *statement, int column, char *ret_text, size_t size)
{
    const unsigned char *text = sqlite3_column_text(statement->stmt, column);
    snprintf(ret_text, size, "%s", text != NULL ? (const char *)text : "");
}

bool sql_is_int(struct sql_statement *statement, int column, int64_t least, int64_t most)
{
    if (sqlite3_column_type(statement->stmt, column) != SQLITE_INTEGER) return false;
    int64_t value = sql_int(statement, column);
    return value >= least && value <= most;
}

bool sql_is_text(struct sql_statement *statement, int column, int most)
{
    return sqlite3_column_type(statement->stmt, column) == SQLITE_TEXT &&
           sqlite3_column_bytes(statement->stmt, column) <= most;
}

bool sql_is_text_or_null(struct sql_statement *statement, int column, int most)
{
    return sqlite3_column_type(statement->stmt, column) == SQLITE_NULL ||
           sql_is_text(statement, column, most);
}

int sql_damaged(struct db *db, struct err *e, const char *format, ...)
{
    char text[ERR_TEXT_MAX];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    return err_set(e, -EBADMSG, "%.200s: a row is damaged: %.300s", db->path, text);
}

/* FNV-1a. */
static uint64_t sum_of(const char *text)
{
    uint64_t sum = 14695981039346656037u;
    for (; *text != '\0'; text++) sum = (sum ^ (unsigned char)*text) * 1099511628211u;
    return sum;
}

void sql_tell(struct db *db, const struct err *e)
{
    uint64_t sum = sum_of(e->text);
    for (unsigned i = 0; i < db->n_told && i < SQL_TOLD_MAX; i++)
        if (db->told[i] == sum) return;
    db->told[db->n_told++ % SQL_TOLD_MAX] = sum;
    log_error("%s; it is left out", e->text);
}
