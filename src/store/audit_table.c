/* The audit. Bounded: what is older than the last AUDIT_MAX entries is dropped with each addition,
 * so that a client that is refused for ever cannot fill the disk. */
#include "config.h"

#include "store/audit_table.h"

#include "sql.h"

enum { AUDIT_MAX = 100000 };

int audit_table_add(struct db *db, const struct audit_row *row, struct err *e)
{
    int rc = sql_run(db, e,
                     "INSERT INTO audit (at, request_id, method, path, status, detail) "
                     "VALUES (?, ?, ?, ?, ?, ?)",
                     "isssis", row->at_ns, row->request_id, row->method, row->path,
                     (int64_t)row->status, row->detail);
    if (rc < 0) return rc;
    return sql_run(db, e, "DELETE FROM audit WHERE id <= ?", "i",
                   (int64_t)sqlite3_last_insert_rowid(db->sqlite) - AUDIT_MAX);
}

int audit_table_each(struct db *db, int64_t limit,
                     int (*fn)(void *arg, const struct audit_row *row), void *arg, struct err *e)
{
    struct sql_statement *s;
    int rc =
        sql_begin(db, &s, e,
                  "SELECT at, request_id, method, path, status, detail FROM audit ORDER BY id DESC "
                  "LIMIT ?",
                  "i", limit);
    if (rc < 0) return rc;
    while ((rc = sql_step(db, s, e)) == 1) {
        char id[128], method[16], path[512], detail[ERR_TEXT_MAX];
        sql_text_into(s, 1, id, sizeof(id));
        sql_text_into(s, 2, method, sizeof(method));
        sql_text_into(s, 3, path, sizeof(path));
        sql_text_into(s, 5, detail, sizeof(detail));
        struct audit_row row = {sql_int(s, 0), id, method, path, (int)sql_int(s, 4), detail};
        rc = fn(arg, &row);
        if (rc < 0) {
            err_set(e, rc, "%s", err_text(rc));
            break;
        }
    }
    sql_end(s);
    return rc;
}
