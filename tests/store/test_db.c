/* The database file: made, migrated, refused when it is damaged, newer or another program's;
 * transactions under failures at every statement. */
#include "config.h"

#include "store/db.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/mem.h"
#include "../place.h"
#include "store/job_table.h"

static void raw(const char *path, const char *text)
{
    sqlite3 *sqlite;
    assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sqlite, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(sqlite);
}

static void refused(const char *path, int code, const char *words)
{
    struct err e = {0};
    struct db *db = NULL;
    assert_int_equal(db_open(path, &db, &e), code);
    assert_null(db);
    assert_non_null(strstr(e.text, words));
    assert_non_null(strstr(e.text, path));
}

static int64_t add(struct db *db)
{
    int64_t id = 0;
    assert_int_equal(job_table_add(db, "m", "{}", NULL, NULL, 100, 1, &id, NULL), 0);
    return id;
}

static void test_persists(void **state)
{
    (void)state;
    struct place p;
    struct db *db;
    struct job_row row;
    place_make(&p);
    const char *path = place_path(&p, "a.db");
    assert_int_equal(db_open(path, &db, NULL), 0);
    assert_int_equal(add(db), 1);
    db_close(db);
    assert_int_equal(db_open(path, &db, NULL), 0); /* a second opening migrates nothing */
    assert_int_equal(job_table_get(db, 1, &row, NULL), 0);
    assert_string_equal(row.model, "m");
    job_row_release(&row);
    assert_int_equal(add(db), 2);
    db_close(db);
    place_remove(&p);
}

static void test_refused(void **state)
{
    (void)state;
    struct place p;
    struct db *db;
    place_make(&p);
    refused(place_path(&p, "no/such/directory.db"), -ENOENT, "cannot open");

    const char text[] = "this is a text and no database, whatever its name says; it is long enough "
                        "to have a header";
    const struct file_piece piece = {text, sizeof(text)};
    const char *path = place_path(&p, "text.db");
    assert_int_equal(file_write_atomic(path, &piece, 1, NULL), 0);
    refused(path, -EBADMSG, "damaged");

    path = place_path(&p, "other.db");
    raw(path, "CREATE TABLE theirs (x)");
    refused(path, ERR_UNSUPPORTED, "another program");

    path = place_path(&p, "newer.db");
    assert_int_equal(db_open(path, &db, NULL), 0);
    db_close(db);
    raw(path, "PRAGMA user_version = 1000");
    refused(path, ERR_UNSUPPORTED, "newer");
    place_remove(&p);
}

/* Whichever page of the file is overwritten: the opening says so, or the content is what it was. */
static void test_damaged(void **state)
{
    (void)state;
    struct place p;
    struct db *db;
    place_make(&p);
    char path[PATH_MAX], *whole;
    size_t size;
    int refusals = 0;
    snprintf(path, sizeof(path), "%s", place_path(&p, "a.db"));
    assert_int_equal(db_open(path, &db, NULL), 0);
    for (int i = 0; i < 50; i++) add(db);
    db_close(db);
    assert_int_equal(file_read(path, 1 << 20, &whole, &size, NULL), 0);
    for (size_t page = 0; page < size / 4096; page++) {
        char *bytes = mem_new(size, 1);
        memcpy(bytes, whole, size);
        memset(bytes + page * 4096, 0xa5, 4096);
        const struct file_piece piece = {bytes, size};
        assert_int_equal(file_write_atomic(path, &piece, 1, NULL), 0);
        struct err e = {0};
        int rc = db_open(path, &db, &e);
        if (rc < 0) {
            refusals++;
            assert_int_equal(rc, -EBADMSG);
            assert_non_null(strstr(e.text, "damaged"));
        } else {
            db_close(db);
        }
        mem_free(bytes);
    }
    assert_true(refusals >= 3);
    mem_free(whole);
    place_remove(&p);
}

struct pair {
    int fail_after; /* statements of ours before fn itself gives up; -1: never */
    bool inner;
};

static int add_two(struct db *db, void *arg, struct err *e)
{
    const struct pair *pair = arg;
    struct pair once = {pair->fail_after, false};
    int64_t id;
    int rc = job_table_add(db, "m", "{}", NULL, NULL, 100, 1, &id, e);
    if (rc == 0 && pair->fail_after == 1) return err_set(e, ERR_CANCELLED, "on purpose");
    if (rc == 0 && pair->inner) return db_transaction(db, add_two, &once, e);
    if (rc == 0) rc = job_table_add(db, "m", "{}", NULL, NULL, 100, 1, &id, e);
    return rc;
}

static int64_t queued(struct db *db)
{
    int64_t n = -1;
    assert_int_equal(job_table_count(db, JOB_QUEUED, &n, NULL), 0);
    return n;
}

static void test_transactions(void **state)
{
    (void)state;
    struct db *db;
    struct err e = {0};
    assert_int_equal(db_open(":memory:", &db, NULL), 0);
    struct pair pair = {-1, false};
    assert_int_equal(db_transaction(db, add_two, &pair, NULL), 0);
    assert_int_equal(queued(db), 2);
    pair.fail_after = 1;
    assert_int_equal(db_transaction(db, add_two, &pair, &e), ERR_CANCELLED);
    assert_int_equal(queued(db), 2);
    pair = (struct pair){-1, true};
    assert_int_equal(db_transaction(db, add_two, &pair, NULL), 0);
    assert_int_equal(queued(db), 5);

    /* All or nothing, whichever statement meets the full disk. */
    int failed = 0;
    for (unsigned n = 1; n < 100; n++) {
        int64_t before = queued(db);
        db_fail_at(db, n);
        int rc = db_transaction(db, add_two, &pair, &e);
        db_fail_at(db, 0);
        if (rc == 0) {
            assert_int_equal(queued(db), before + 3);
            break;
        }
        failed++;
        assert_int_equal(rc, -ENOSPC);
        assert_non_null(strstr(e.text, "free some space"));
        assert_int_equal(queued(db), before);
    }
    assert_true(failed > 4);
    db_close(db);
}

static void test_no_memory(void **state)
{
    (void)state;
    unsigned n = 1;
    for (; n < 100; n++) {
        struct db *db = NULL;
        struct err e = {0};
        mem_fail_at(n);
        int rc = db_open(":memory:", &db, &e);
        bool fired = mem_fail_left() == 0;
        mem_fail_at(0);
        if (rc == 0) db_close(db);
        if (!fired) break;
        assert_int_equal(rc, -ENOMEM);
        assert_null(db);
    }
    assert_true(n > 1 && n < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_persists),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_damaged),   cmocka_unit_test(test_transactions),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("store/db", tests, NULL, NULL);
}
