/* The database file: opened, checked, migrated, and its transactions.
 *
 * The schema is a list of migrations; PRAGMA user_version says how many of them the file has seen,
 * and what is missing runs in one transaction. WAL with synchronous=FULL: a state that was answered
 * to a client survives a power cut, and these are a few writes a minute. Left out: backup, which
 * `sqlite3 .backup` does on a live file. */
#include "config.h"

#include "store/db.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "sql.h"

enum {
    APPLICATION_ID = 0x41446964, /* "ADid": another program's file is not taken for ours */
    BUSY_TIMEOUT_MS = 5000,      /* somebody looks at the file with the sqlite3 program */
};

static const char *const migrations[] = {
    "CREATE TABLE job ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 6),"
    " model TEXT NOT NULL,"
    " request TEXT NOT NULL,"
    " created INTEGER NOT NULL,"
    " started INTEGER NOT NULL DEFAULT 0,"
    " finished INTEGER NOT NULL DEFAULT 0,"
    " attempts INTEGER NOT NULL DEFAULT 0,"
    " version INTEGER NOT NULL DEFAULT 0,"
    " judgement TEXT,"
    " reason TEXT) STRICT;"
    "CREATE INDEX job_by_state ON job (state, id);"
    "CREATE TABLE epoch ("
    " job INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,"
    " epoch INTEGER NOT NULL,"
    " document TEXT NOT NULL,"
    " PRIMARY KEY (job, epoch)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE idempotency ("
    " key TEXT PRIMARY KEY,"
    " digest TEXT NOT NULL,"
    " job INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,"
    " at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE version ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " model TEXT NOT NULL,"
    " number INTEGER NOT NULL CHECK (number > 0),"
    " sha256 TEXT NOT NULL CHECK (length(sha256) = 64),"
    " source TEXT NOT NULL,"
    " detail TEXT NOT NULL,"
    " created INTEGER NOT NULL,"
    " ready INTEGER NOT NULL DEFAULT 0 CHECK (ready IN (0, 1)),"
    " UNIQUE (model, number)) STRICT;"
    "CREATE TABLE activation ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " version INTEGER NOT NULL REFERENCES version (id),"
    " previous INTEGER REFERENCES activation (id),"
    " at INTEGER NOT NULL) STRICT;"
    "CREATE TABLE model ("
    " name TEXT PRIMARY KEY,"
    " last_number INTEGER NOT NULL DEFAULT 0,"
    " current INTEGER REFERENCES activation (id)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE audit ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " at INTEGER NOT NULL,"
    " request_id TEXT NOT NULL,"
    " method TEXT NOT NULL,"
    " path TEXT NOT NULL,"
    " status INTEGER NOT NULL,"
    " detail TEXT NOT NULL) STRICT;",
};
enum { SCHEMA_VERSION = sizeof(migrations) / sizeof(migrations[0]) };

static int pragma_int(struct db *db, const char *text, int64_t *ret, struct err *e)
{
    struct sql_statement *statement;
    int rc = sql_begin(db, &statement, e, text, "");
    if (rc < 0) return rc;
    rc = sql_step(db, statement, e);
    if (rc == 1) *ret = sql_int(statement, 0);
    sql_end(statement);
    return rc < 0 ? rc : 0;
}

/* Whether the check complains of what stands in a row (a constraint, a type), not of the file. It
 * goes through the file's structure first, so that such a first line says that it is whole. */
static bool is_of_a_row(const char *line)
{
    return strncmp(line, "NULL value in ", 14) == 0 ||
           strncmp(line, "CHECK constraint ", 17) == 0 ||
           (strncmp(line, "***", 3) != 0 && strstr(line, " value in ") != NULL);
}

/* Rows that are damaged are left out by who reads them; a file whose pages are is of no use. */
static int check_integrity(struct db *db, struct err *e)
{
    struct sql_statement *statement;
    int rc = sql_begin(db, &statement, e, "PRAGMA quick_check(1)", "");
    if (rc < 0) return rc;
    rc = sql_step(db, statement, e);
    char text[256] = "";
    if (rc == 1) sql_text_into(statement, 0, text, sizeof(text));
    sql_end(statement);
    if (rc < 0) return rc;
    if (strcmp(text, "ok") == 0) return 0;
    if (is_of_a_row(text)) {
        log_error("%s: a row is damaged: %s", db->path, text);
        return 0;
    }
    return err_set(e, -EBADMSG,
                   "%s is damaged: %s (restore it from a backup, or move it away to "
                   "begin with an empty one)",
                   db->path, text);
}

static int migrate(struct db *db, void *arg, struct err *e)
{
    (void)arg;
    int64_t version = 0, application = 0, tables = 0;
    int rc = pragma_int(db, "PRAGMA user_version", &version, e);
    if (rc == 0) rc = pragma_int(db, "PRAGMA application_id", &application, e);
    if (rc == 0) rc = pragma_int(db, "SELECT count(*) FROM sqlite_schema", &tables, e);
    if (rc < 0) return rc;
    if (application != APPLICATION_ID && (application != 0 || version != 0 || tables != 0)) {
        return err_set(e, ERR_UNSUPPORTED, "%s is a database of another program", db->path);
    }
    if (version > SCHEMA_VERSION) {
        return err_set(e, ERR_UNSUPPORTED,
                       "%s was written by a newer autodidactd (schema %lld, this "
                       "program knows %d): start that one",
                       db->path, (long long)version, SCHEMA_VERSION);
    }
    if (version == SCHEMA_VERSION) return 0;
    for (int64_t i = version; i < SCHEMA_VERSION; i++) {
        rc = sql_exec(db, migrations[i], e);
        if (rc < 0) return rc;
    }
    char text[96];
    snprintf(text, sizeof(text), "PRAGMA application_id = %d; PRAGMA user_version = %d",
             APPLICATION_ID, SCHEMA_VERSION);
    return sql_exec(db, text, e);
}

static int set_up(struct db *db, struct err *e)
{
    int rc = sql_exec(db, "PRAGMA journal_mode = WAL", e);
    if (rc == 0) rc = sql_exec(db, "PRAGMA synchronous = FULL", e);
    if (rc == 0) rc = sql_exec(db, "PRAGMA foreign_keys = ON", e);
    if (rc == 0) rc = sql_exec(db, "PRAGMA trusted_schema = OFF", e);
    if (rc == 0) rc = check_integrity(db, e);
    if (rc == 0) rc = db_transaction(db, migrate, NULL, e);
    return rc;
}

/* Empty tables, in which nobody can write. */
static int set_up_empty(struct db *db, struct err *e)
{
    int rc = db_transaction(db, migrate, NULL, e);
    return rc == 0 ? sql_exec(db, "PRAGMA query_only = ON", e) : rc;
}

static int set_up_reading(struct db *db, struct err *e)
{
    int rc = sql_exec(db, "PRAGMA query_only = ON", e);
    return rc == 0 ? sql_exec(db, "PRAGMA trusted_schema = OFF", e) : rc;
}

/* file: the path, or a URI for it. */
static int open_with(const char *path, const char *file, int flags,
                     int (*set_up_fn)(struct db *db, struct err *e), struct db **ret_db,
                     struct err *e)
{
    struct db *db = mem_new(1, sizeof(*db));
    if (db != NULL) db->path = mem_strdup(path);
    if (db == NULL || db->path == NULL) {
        mem_free(db);
        return err_set(e, -ENOMEM, "%s: out of memory", path);
    }
    int rc = 0;
    flags |= SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(file, &db->sqlite, flags, NULL) != SQLITE_OK) {
        rc = sql_error(db, "open the database", e);
    } else {
        sqlite3_busy_timeout(db->sqlite, BUSY_TIMEOUT_MS);
        rc = set_up_fn(db, e);
    }
    if (rc < 0) {
        db_close(db);
        return rc;
    }
    *ret_db = db;
    return 0;
}

int db_open(const char *path, struct db **ret_db, struct err *e)
{
    int rc = open_with(path, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, set_up, ret_db, e);
    /* SQLite says only that it cannot open something. */
    if (rc < 0 && access(path, W_OK) < 0 && errno == EROFS)
        return err_set(e, -EROFS, "cannot write %s: %s", path, err_text(-EROFS));
    return rc;
}

int db_open_reading(const char *path, struct db **ret_db, struct err *e)
{
    return open_with(path, path, SQLITE_OPEN_READWRITE, set_up_reading, ret_db, e);
}

/* A query shows whether SQLite can do without the files that it wants to make beside this one. */
static int set_up_frozen(struct db *db, struct err *e)
{
    int64_t version = 0;
    int rc = set_up_reading(db, e);
    if (rc == 0) rc = pragma_int(db, "SELECT count(*) FROM job", &version, e);
    if (rc == 0) rc = pragma_int(db, "PRAGMA user_version", &version, e);
    if (rc == 0 && version != SCHEMA_VERSION)
        rc = err_set(e, -EROFS, "%s has another schema and cannot be brought up to date", db->path);
    return rc;
}

/* A path as SQLite's URIs have it. ERR_LIMIT. */
static int uri_of(const char *path, const char *query, char *ret_uri, size_t size)
{
    size_t n = (size_t)snprintf(ret_uri, size, "file:");
    for (; *path != '\0' && n + 4 < size; path++) {
        bool plain = *path != '?' && *path != '#' && *path != '%';
        n += (size_t)snprintf(ret_uri + n, size - n, plain ? "%c" : "%%%02x", (unsigned char)*path);
    }
    int more = snprintf(ret_uri + n, size - n, "?%s", query);
    return *path != '\0' || more < 0 || (size_t)more >= size - n ? ERR_LIMIT : 0;
}

int db_open_frozen(const char *path, struct db **ret_db, struct err *e)
{
    char uri[3 * PATH_MAX];
    int rc = open_with(path, path, SQLITE_OPEN_READONLY, set_up_frozen, ret_db, e);
    if (rc == 0) return 0;
    /* Without a log of changes the file alone is all there is. */
    if (uri_of(path, "immutable=1", uri, sizeof(uri)) < 0) return rc;
    return open_with(path, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, set_up_frozen, ret_db, e);
}

int db_open_memory(const char *path, bool reading, struct db **ret_db, struct err *e)
{
    /* Connections share what has a name of one component below "/". */
    char name[PATH_MAX], uri[3 * PATH_MAX];
    int n = snprintf(name, sizeof(name), "/%s", path);
    for (char *p = name + 1; *p != '\0'; p++)
        if (*p == '/') *p = '_';
    if (n < 0 || (size_t)n >= sizeof(name) || uri_of(name, "vfs=memdb", uri, sizeof(uri)) < 0)
        return err_set(e, ERR_LIMIT, "the path %s is too long", path);
    int flags = SQLITE_OPEN_URI | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    return open_with(path, uri, flags, reading ? set_up_reading : set_up_empty, ret_db, e);
}

void db_close(struct db *db)
{
    if (db == NULL) return;
    for (size_t i = 0; i < db->n_statements; i++) sqlite3_finalize(db->statements[i].stmt);
    sqlite3_close(db->sqlite); /* NULL is fine; writes the WAL back */
    mem_free(db->path);
    mem_free(db);
}

int db_transaction(struct db *db, int (*fn)(struct db *db, void *arg, struct err *e), void *arg,
                   struct err *e)
{
    if (db->depth > 0) return fn(db, arg, e);
    int rc = sql_exec(db, "BEGIN IMMEDIATE", e);
    if (rc < 0) return rc;
    db->depth++;
    int result = fn(db, arg, e);
    rc = result < 0 ? result : sql_exec(db, "COMMIT", e);
    db->depth--;
    /* After some errors (a full disk) SQLite has rolled back already. */
    if (rc < 0 && !sqlite3_get_autocommit(db->sqlite))
        sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
    return rc < 0 ? rc : result;
}

void db_fail_at(struct db *db, unsigned n)
{
    db->fail_at = n;
}
