/* Jobs, epochs, idempotency keys, recovery after a dead daemon. */
#include "config.h"

#include "store/job_table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static int set_up(void **state)
{
    struct db *db;
    if (db_open(":memory:", &db, NULL) < 0) return -1;
    *state = db;
    return 0;
}

static int tear_down(void **state)
{
    db_close(*state);
    return 0;
}

static int64_t add(struct db *db, const char *key, const char *digest, int expected)
{
    int64_t id = 0;
    struct err e = {0};
    int rc = job_table_add(db, "resnet18", "{\"kind\":\"train\"}", key, digest, 100, 7, &id, &e);
    if (rc != expected) fail_msg("%d instead of %d: %s", rc, expected, e.text);
    return id;
}

static void set_state(struct db *db, int64_t id, enum job_state state, int64_t attempts)
{
    struct job_row row;
    assert_int_equal(job_table_get(db, id, &row, NULL), 0);
    row.state = state;
    row.attempts = attempts;
    assert_int_equal(job_table_update(db, &row, NULL), 0);
    job_row_release(&row);
}

static void test_row(void **state)
{
    struct db *db = *state;
    struct job_row row, again;
    struct err e = {0};
    assert_int_equal(add(db, NULL, NULL, 0), 1);
    assert_int_equal(job_table_get(db, 1, &row, NULL), 0);
    assert_int_equal(row.state, JOB_QUEUED);
    assert_string_equal(row.model, "resnet18");
    assert_string_equal(row.request, "{\"kind\":\"train\"}");
    assert_int_equal(row.created_ns, 7);
    assert_null(row.judgement);
    assert_null(row.reason);
    row.state = JOB_REJECTED;
    row.started_ns = 8;
    row.finished_ns = INT64_MAX;
    row.attempts = 2;
    row.version = 5;
    row.judgement = mem_strdup("{\"x\":1}");
    row.reason = mem_strdup("it's \"worse\"; -- \xc3\xa9");
    assert_int_equal(job_table_update(db, &row, NULL), 0);
    assert_int_equal(job_table_get(db, 1, &again, NULL), 0);
    assert_int_equal(again.state, JOB_REJECTED);
    assert_int_equal(again.started_ns, 8);
    assert_true(again.finished_ns == INT64_MAX);
    assert_int_equal(again.attempts, 2);
    assert_int_equal(again.version, 5);
    assert_string_equal(again.judgement, row.judgement);
    assert_string_equal(again.reason, row.reason);
    row.id = 2;
    assert_int_equal(job_table_update(db, &row, &e), ERR_NOT_FOUND);
    assert_int_equal(job_table_get(db, 2, &row, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "no job 2"));
    row.id = 1;
    row.state = (enum job_state)99;
    assert_int_equal(job_table_update(db, &row, &e), ERR_CONFLICT);
    job_row_release(&row);
    job_row_release(&again);
}

static void test_keys(void **state)
{
    struct db *db = *state;
    int64_t id = -1;
    int64_t first = add(db, "key", "digest", 0);
    assert_int_equal(add(db, "key", "digest", 1), first);
    assert_int_equal(add(db, "key", "other", ERR_UNSUPPORTED), 0);
    assert_int_equal(job_table_find_key(db, "key", "digest", &id, NULL), 1);
    assert_int_equal(id, first);
    assert_int_equal(job_table_find_key(db, "none", "digest", &id, NULL), 0);
    assert_int_equal(add(db, "key2", "digest", 0), first + 1);
    assert_int_equal(add(db, NULL, NULL, 0), first + 2);
}

/* Whichever statement fails: neither job nor key is there, and asking again makes one of each. */
static void test_key_and_job(void **state)
{
    struct db *db = *state;
    int64_t id, n = 0;
    unsigned fail = 1;
    for (; fail < 50; fail++) {
        struct err e = {0};
        db_fail_at(db, fail);
        int rc = job_table_add(db, "m", "{}", "k", "d", 100, 1, &id, &e);
        db_fail_at(db, 0);
        if (rc == 0) break;
        assert_int_equal(rc, -ENOSPC);
        assert_int_equal(job_table_find_key(db, "k", "d", &id, NULL), 0);
        assert_int_equal(job_table_count(db, JOB_QUEUED, &n, NULL), 0);
        assert_int_equal(n, 0);
    }
    assert_true(fail > 3 && fail < 50);
    assert_int_equal(job_table_count(db, JOB_QUEUED, &n, NULL), 0);
    assert_int_equal(n, 1);
}

static void test_queue(void **state)
{
    struct db *db = *state;
    struct job_row row;
    struct err e = {0};
    int64_t id;
    assert_int_equal(job_table_next(db, &row, &e), ERR_NOT_FOUND);
    for (int i = 0; i < 3; i++) add(db, NULL, NULL, 0);
    assert_int_equal(job_table_add(db, "m", "{}", NULL, NULL, 3, 1, &id, &e), ERR_BUSY);
    set_state(db, 1, JOB_RUNNING, 1);
    assert_int_equal(job_table_next(db, &row, NULL), 0);
    assert_int_equal(row.id, 2);
    job_row_release(&row);
    assert_int_equal(job_table_add(db, "m", "{}", NULL, NULL, 3, 1, &id, NULL), 0);
    set_state(db, 1, JOB_QUEUED, 1); /* goes on before those that came later */
    assert_int_equal(job_table_next(db, &row, NULL), 0);
    assert_int_equal(row.id, 1);
    job_row_release(&row);
}

static void test_recover(void **state)
{
    struct db *db = *state;
    static const struct {
        enum job_state before;
        int64_t attempts;
        enum job_state after;
    } rows[] = {
        {JOB_QUEUED, 0, JOB_QUEUED},     {JOB_QUEUED, 3, JOB_QUEUED},
        {JOB_RUNNING, 1, JOB_QUEUED},    {JOB_RUNNING, 2, JOB_QUEUED},
        {JOB_RUNNING, 3, JOB_FAILED},    {JOB_EVALUATING, 1, JOB_QUEUED},
        {JOB_EVALUATING, 4, JOB_FAILED}, {JOB_SUCCEEDED, 3, JOB_SUCCEEDED},
        {JOB_REJECTED, 1, JOB_REJECTED}, {JOB_CANCELLED, 3, JOB_CANCELLED},
        {JOB_FAILED, 3, JOB_FAILED},
    };
    enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
    for (int i = 0; i < ROWS; i++)
        set_state(db, add(db, NULL, NULL, 0), rows[i].before, rows[i].attempts);
    assert_int_equal(job_table_recover(db, 3, 99, NULL), 5);
    for (int i = 0; i < ROWS; i++) {
        struct job_row row;
        assert_int_equal(job_table_get(db, i + 1, &row, NULL), 0);
        assert_int_equal(row.state, rows[i].after);
        assert_int_equal(row.attempts, rows[i].attempts);
        bool failed_now = rows[i].after == JOB_FAILED && rows[i].before != JOB_FAILED;
        assert_int_equal(row.finished_ns, failed_now ? 99 : 0);
        if (failed_now) assert_non_null(strstr(row.reason, "times while this job was running"));
        job_row_release(&row);
    }
    assert_int_equal(job_table_recover(db, 3, 99, NULL), 0);
}

struct seen {
    int64_t ids[16];
    int n, stop_after;
    char text[256];
};

static int see(void *arg, const struct job_row *row)
{
    struct seen *seen = arg;
    seen->ids[seen->n++] = row->id;
    return seen->n == seen->stop_after ? -EIO : 0;
}

static int see_epoch(void *arg, int64_t epoch, const char *document)
{
    struct seen *seen = arg;
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof(seen->text) - used, "%lld%s ", (long long)epoch, document);
    return 0;
}

static void test_lists(void **state)
{
    struct db *db = *state;
    struct seen seen = {.n = 0};
    struct err e = {0};
    for (int i = 0; i < 5; i++) add(db, NULL, NULL, 0);
    assert_int_equal(job_table_each(db, 0, 3, see, &seen, NULL), 0);
    assert_int_equal(seen.n, 3);
    assert_int_equal(seen.ids[0], 5);
    assert_int_equal(seen.ids[2], 3);
    seen = (struct seen){.n = 0};
    assert_int_equal(job_table_each(db, 3, 100, see, &seen, NULL), 0);
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.ids[0], 2);
    seen = (struct seen){.stop_after = 1};
    assert_int_equal(job_table_each(db, 0, 100, see, &seen, &e), -EIO);
    assert_int_equal(seen.n, 1);

    assert_int_equal(job_table_add_epoch(db, 2, 10, "c", NULL), 0);
    assert_int_equal(job_table_add_epoch(db, 2, 2, "b", NULL), 0);
    assert_int_equal(job_table_add_epoch(db, 2, 1, "a", NULL), 0);
    assert_int_equal(job_table_add_epoch(db, 1, 1, "x", NULL), 0);
    assert_int_equal(job_table_add_epoch(db, 2, 2, "B", NULL), 0);
    seen = (struct seen){.n = 0};
    assert_int_equal(job_table_each_epoch(db, 2, see_epoch, &seen, NULL), 0);
    assert_string_equal(seen.text, "1a 2B 10c ");
    assert_int_equal(job_table_add_epoch(db, 77, 1, "x", &e), ERR_CONFLICT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_key_and_job, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_queue, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_recover, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lists, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("store/job_table", tests, NULL, NULL);
}
