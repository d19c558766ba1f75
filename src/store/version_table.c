/* Versions and activations. `model.current` names the top of a list of activations (each knows the
 * one below it): activating pushes, rolling back goes one down. What was rolled back from stays in
 * the table as history, no longer reachable. */
#include "config.h"

#include "store/version_table.h"

#include <string.h>

#include "base/name.h"
#include "sql.h"

struct addition {
    const char *model, *sha256, *source, *detail;
    int64_t at_least, now_ns, number;
};

static int no_version(const char *model, int64_t number, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, "model %s has no version %lld", model, (long long)number);
}

static int add(struct db *db, void *arg, struct err *e)
{
    struct addition *a = arg;
    struct sql_statement *s;
    int rc = sql_begin(
        db, &s, e,
        "INSERT INTO model (name, last_number) VALUES (?1, max(1, ?2)) ON CONFLICT (name) "
        "DO UPDATE SET last_number = max(last_number + 1, ?2) RETURNING last_number",
        "si", a->model, a->at_least);
    if (rc < 0) return rc;
    rc = sql_step(db, s, e);
    if (rc == 1) {
        a->number = sql_int(s, 0);
        rc = sql_step(db, s, e); /* to its end, or the statement has not happened */
    }
    sql_end(s);
    if (rc < 0) return rc;
    return sql_run(db, e,
                   "INSERT INTO version (model, number, sha256, source, detail, created) "
                   "VALUES (?, ?, ?, ?, ?, ?)",
                   "sisssi", a->model, a->number, a->sha256, a->source, a->detail, a->now_ns);
}

int version_table_add(struct db *db, const char *model, const char *sha256, const char *source,
                      const char *detail, int64_t at_least, int64_t now_ns, int64_t *ret_number,
                      struct err *e)
{
    struct addition a = {model, sha256, source, detail, at_least, now_ns, 0};
    int rc = db_transaction(db, add, &a, e);
    if (rc == 0) *ret_number = a.number;
    return rc;
}

static int adopt(struct db *db, void *arg, struct err *e)
{
    const struct addition *a = arg;
    int rc = sql_run(db, e,
                     "INSERT INTO model (name, last_number) VALUES (?1, ?2) ON CONFLICT (name) "
                     "DO UPDATE SET last_number = max(last_number, ?2)",
                     "si", a->model, a->number);
    if (rc < 0) return rc;
    return sql_run(db, e,
                   "INSERT INTO version (model, number, sha256, source, detail, created, ready) "
                   "VALUES (?, ?, ?, ?, ?, ?, 1)",
                   "sisssi", a->model, a->number, a->sha256, a->source, a->detail, a->now_ns);
}

int version_table_adopt(struct db *db, const struct version_row *row, struct err *e)
{
    struct addition a = {row->model, row->sha256,     row->source, row->detail,
                         0,          row->created_ns, row->number};
    return db_transaction(db, adopt, &a, e);
}

/* Looked for first, since nothing of it can be written to a disk that takes nothing. */
#define OF_A_VERSION                                                                               \
    "FROM activation a JOIN version v ON v.id = a.version "                                        \
    "WHERE v.model = model.name AND v.ready = 1 AND typeof(v.number) = 'integer' AND v.number > 0"
#define LOST                                                                                       \
    "(current IS NOT NULL AND NOT EXISTS (SELECT 1 " OF_A_VERSION " AND a.id = model.current)) "   \
    "OR typeof(last_number) <> 'integer'"

int version_table_mend(struct db *db, struct err *e)
{
    struct sql_statement *s;
    int rc = sql_begin(db, &s, e, "SELECT 1 FROM model WHERE " LOST " LIMIT 1", "");
    if (rc < 0) return rc;
    rc = sql_step(db, s, e);
    sql_end(s);
    if (rc <= 0) return rc;
    rc = sql_run(db, e,
                 "UPDATE model SET current = (SELECT max(a.id) " OF_A_VERSION "), last_number = "
                 "(SELECT coalesce(max(number), 0) FROM version v WHERE v.model = model.name AND "
                 "typeof(number) = 'integer') WHERE " LOST,
                 "");
    return rc < 0 ? rc : sqlite3_changes(db->sqlite);
}

int version_table_set_ready(struct db *db, const char *model, int64_t number, struct err *e)
{
    int rc = sql_run(db, e, "UPDATE version SET ready = 1 WHERE model = ? AND number = ?", "si",
                     model, number);
    if (rc < 0) return rc;
    return sqlite3_changes(db->sqlite) == 1 ? 0 : no_version(model, number, e);
}

int version_table_remove(struct db *db, const char *model, int64_t number, struct err *e)
{
    int rc = sql_run(db, e, "DELETE FROM version WHERE model = ? AND number = ? AND ready = 0",
                     "si", model, number);
    if (rc < 0) return rc;
    return sqlite3_changes(db->sqlite) == 1 ? 0 : no_version(model, number, e);
}

/* The columns of struct version_row; v is the version. */
#define VERSION_COLUMNS                                                                            \
    "v.model, v.number, v.sha256, v.source, v.detail, v.created, v.ready, "                        \
    "coalesce((SELECT a.version FROM model m JOIN activation a ON a.id = m.current WHERE m.name "  \
    "= v.model)"                                                                                   \
    " = v.id, 0)"

/* Model and number become a path, and the rest is held against the file: only they have to be
 * whole. */
static int read_row(struct db *db, struct sql_statement *s, struct version_row *row, struct err *e)
{
    sql_text_into(s, 0, row->model, sizeof(row->model));
    row->number = sql_int(s, 1);
    sql_text_into(s, 2, row->sha256, sizeof(row->sha256));
    sql_text_into(s, 3, row->source, sizeof(row->source));
    sql_text_into(s, 4, row->detail, sizeof(row->detail));
    row->created_ns = sql_int(s, 5);
    row->ready = sql_int(s, 6) != 0;
    row->active = sql_int(s, 7) != 0;
    if (sql_is_text(s, 0, NAME_BYTES_MAX) && name_is_valid(row->model) &&
        sql_is_int(s, 1, 1, INT64_MAX))
        return 0;
    char number[32];
    sql_text_into(s, 1, number, sizeof(number));
    return sql_damaged(db, e, "version \"%s\" of model \"%s\"", number, row->model);
}

/* The one row of a statement that has begun; ends it. 1, 0 when there is none. */
static int read_one(struct db *db, struct sql_statement *s, struct version_row *ret_row,
                    struct err *e)
{
    int rc = sql_step(db, s, e);
    if (rc == 1) {
        rc = read_row(db, s, ret_row, e);
        if (rc == 0) rc = 1;
    }
    sql_end(s);
    return rc;
}

/* The next row of a statement that is whole: 1, or 0 when there is none. */
static int next_row(struct db *db, struct sql_statement *s, struct version_row *ret_row,
                    struct err *e)
{
    int rc;
    while ((rc = sql_step(db, s, e)) == 1) {
        struct err damage = {0};
        if (read_row(db, s, ret_row, &damage) == 0) return 1;
        sql_tell(db, &damage);
    }
    return rc;
}

/* All rows of a statement that has begun; ends it. */
static int read_each(struct db *db, struct sql_statement *s,
                     int (*fn)(void *arg, const struct version_row *row), void *arg, struct err *e)
{
    int rc;
    struct version_row row;
    while ((rc = next_row(db, s, &row, e)) == 1) {
        rc = fn(arg, &row);
        if (rc < 0) {
            err_set(e, rc, "%s", err_text(rc));
            break;
        }
    }
    sql_end(s);
    return rc;
}

int version_table_get(struct db *db, const char *model, int64_t number, struct version_row *ret_row,
                      struct err *e)
{
    struct sql_statement *s;
    int rc = sql_begin(
        db, &s, e, "SELECT " VERSION_COLUMNS " FROM version v WHERE v.model = ? AND v.number = ?",
        "si", model, number);
    if (rc == 0) rc = read_one(db, s, ret_row, e);
    if (rc == 0) return no_version(model, number, e);
    return rc < 0 ? rc : 0;
}

int version_table_active(struct db *db, const char *model, struct version_row *ret_row,
                         struct err *e)
{
    struct sql_statement *s;
    int rc =
        sql_begin(db, &s, e,
                  "SELECT " VERSION_COLUMNS " FROM model o JOIN activation t ON t.id = o.current "
                  "JOIN version v ON v.id = t.version WHERE o.name = ?",
                  "s", model);
    if (rc == 0) rc = read_one(db, s, ret_row, e);
    if (rc == 0) return err_set(e, ERR_NOT_FOUND, "no version of model %s serves", model);
    return rc < 0 ? rc : 0;
}

int version_table_previous(struct db *db, const char *model, struct version_row *ret_row,
                           struct err *e)
{
    struct sql_statement *s;
    int rc =
        sql_begin(db, &s, e,
                  "SELECT " VERSION_COLUMNS " FROM model o JOIN activation t ON t.id = o.current "
                  "JOIN activation p ON p.id = t.previous JOIN version v ON v.id = p.version "
                  "WHERE o.name = ?",
                  "s", model);
    if (rc == 0) rc = read_one(db, s, ret_row, e);
    if (rc == 0) {
        return err_set(e, ERR_NOT_FOUND, "model %s served no other version before this one", model);
    }
    return rc < 0 ? rc : 0;
}

int version_table_each_below(struct db *db, const char *model,
                             int (*fn)(void *arg, const struct version_row *row), void *arg,
                             struct err *e)
{
    struct sql_statement *s;
    int rc = sql_begin(
        db, &s, e,
        "WITH RECURSIVE chain (version, previous, depth) AS ("
        " SELECT a.version, a.previous, 0 FROM model m JOIN activation a ON a.id = m.current"
        " WHERE m.name = ?1"
        " UNION ALL SELECT a.version, a.previous, depth + 1 FROM chain c JOIN activation a"
        " ON a.id = c.previous WHERE depth < 1000) " /* a damaged one may be a ring */
        "SELECT " VERSION_COLUMNS " FROM chain c JOIN version v ON v.id = c.version "
        "WHERE depth > 0 GROUP BY v.id ORDER BY min(depth)",
        "s", model);
    return rc < 0 ? rc : read_each(db, s, fn, arg, e);
}

int version_table_last_import(struct db *db, struct version_row *ret_row, struct err *e)
{
    struct sql_statement *s;
    int rc = sql_begin(db, &s, e,
                       "SELECT " VERSION_COLUMNS
                       " FROM version v WHERE v.source = 'import' AND v.ready = 1 "
                       "ORDER BY v.id DESC",
                       "");
    if (rc == 0) {
        rc = next_row(db, s, ret_row, e);
        sql_end(s);
    }
    if (rc == 0) return err_set(e, ERR_NOT_FOUND, "no model was ever imported");
    return rc < 0 ? rc : 0;
}

struct activation {
    const char *model;
    int64_t number, now_ns;
};

static int activate(struct db *db, void *arg, struct err *e)
{
    const struct activation *a = arg;
    struct version_row row;
    int rc = version_table_get(db, a->model, a->number, &row, e);
    if (rc < 0) return rc;
    if (!row.ready) {
        return err_set(e, ERR_CONFLICT, "version %lld of model %s is still being written",
                       (long long)a->number, a->model);
    }
    if (row.active) return 0;
    rc = sql_run(
        db, e,
        "INSERT INTO activation (version, previous, at) SELECT v.id, m.current, ?3 FROM version v "
        "JOIN model m ON m.name = v.model WHERE v.model = ?1 AND v.number = ?2",
        "sii", a->model, a->number, a->now_ns);
    if (rc < 0) return rc;
    return sql_run(db, e, "UPDATE model SET current = ? WHERE name = ?", "is",
                   (int64_t)sqlite3_last_insert_rowid(db->sqlite), a->model);
}

int version_table_activate(struct db *db, const char *model, int64_t number, int64_t now_ns,
                           struct err *e)
{
    struct activation a = {model, number, now_ns};
    return db_transaction(db, activate, &a, e);
}

int version_table_rollback(struct db *db, const char *model, struct err *e)
{
    int rc = sql_run(
        db, e,
        "UPDATE model SET current = (SELECT previous FROM activation WHERE id = current) "
        "WHERE name = ? AND (SELECT previous FROM activation WHERE id = current) IS NOT NULL",
        "s", model);
    if (rc < 0) return rc;
    if (sqlite3_changes(db->sqlite) == 1) return 0;
    return err_set(e, ERR_NOT_FOUND, "model %s served no other version before this one", model);
}

int version_table_each(struct db *db, const char *model,
                       int (*fn)(void *arg, const struct version_row *row), void *arg,
                       struct err *e)
{
    struct sql_statement *s;
    int rc = sql_begin(db, &s, e,
                       "SELECT " VERSION_COLUMNS " FROM version v WHERE ?1 IS NULL OR v.model = ?1 "
                       "ORDER BY v.model, v.number",
                       "s", model);
    return rc < 0 ? rc : read_each(db, s, fn, arg, e);
}
