/* Versions and activations: against a model in a few lines, over random sequences; and the audit.
 */
#include "config.h"

#include "store/version_table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "store/audit_table.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

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

static int64_t add(struct db *db, const char *model, int64_t at_least, bool ready)
{
    int64_t number = 0;
    assert_int_equal(version_table_add(db, model, SHA, "job", "1", at_least, 5, &number, NULL), 0);
    if (ready) assert_int_equal(version_table_set_ready(db, model, number, NULL), 0);
    return number;
}

static int64_t active(struct db *db, const char *model)
{
    struct version_row row;
    return version_table_active(db, model, &row, NULL) == 0 ? row.number : 0;
}

static void test_numbers(void **state)
{
    struct db *db = *state;
    struct version_row row;
    struct err e = {0};
    assert_int_equal(add(db, "a", 1, true), 1);
    assert_int_equal(add(db, "a", 1, false), 2);
    assert_int_equal(add(db, "b", 1, true), 1);
    assert_int_equal(version_table_remove(db, "a", 1, &e), ERR_NOT_FOUND); /* it is ready */
    assert_int_equal(version_table_remove(db, "a", 2, NULL), 0);
    assert_int_equal(version_table_get(db, "a", 2, &row, &e), ERR_NOT_FOUND);
    assert_int_equal(add(db, "a", 1, true), 3);   /* never used again */
    assert_int_equal(add(db, "a", 10, true), 10); /* what lies on the disk keeps its number */
    assert_int_equal(add(db, "a", 4, true), 11);
    assert_int_equal(add(db, "c", 7, true), 7);
    assert_int_equal(version_table_get(db, "a", 10, &row, NULL), 0);
    assert_string_equal(row.model, "a");
    assert_string_equal(row.sha256, SHA);
    assert_string_equal(row.source, "job");
    assert_string_equal(row.detail, "1");
    assert_int_equal(row.created_ns, 5);
    assert_true(row.ready && !row.active);
    int64_t number;
    assert_int_equal(version_table_add(db, "a", "short", "job", "", 1, 5, &number, &e),
                     ERR_CONFLICT);
}

static void test_refused(void **state)
{
    struct db *db = *state;
    struct version_row row;
    struct err e = {0};
    int64_t one = add(db, "a", 1, true), half = add(db, "a", 1, false);
    assert_int_equal(version_table_active(db, "a", &row, &e), ERR_NOT_FOUND);
    assert_int_equal(version_table_activate(db, "a", half, 1, &e), ERR_CONFLICT);
    assert_int_equal(version_table_activate(db, "a", 99, 1, &e), ERR_NOT_FOUND);
    assert_int_equal(version_table_activate(db, "x", 1, 1, &e), ERR_NOT_FOUND);
    assert_int_equal(version_table_rollback(db, "a", &e), ERR_NOT_FOUND);
    assert_int_equal(version_table_activate(db, "a", one, 1, NULL), 0);
    assert_int_equal(version_table_activate(db, "a", one, 1, NULL), 0); /* once more is nothing */
    assert_int_equal(version_table_rollback(db, "a", &e), ERR_NOT_FOUND);
    assert_int_equal(active(db, "a"), one);
}

/* The table against a plain stack. */
static void test_property(void **state)
{
    struct db *db = *state;
    const char *text = getenv("TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
    print_message("# seed %llu (TEST_SEED)\n", (unsigned long long)seed);
    srandom((unsigned)seed);
    enum { STEPS = 2000, DEPTH = STEPS + 1 };
    static const char *const names[2] = {"a", "b"};
    static int64_t stack[2][DEPTH];
    int depth[2] = {0, 0};
    int64_t count[2] = {0, 0};
    for (int step = 0; step < STEPS; step++) {
        int m = (int)(random() % 2);
        struct version_row row;
        int what = (int)(random() % 5);
        if (what == 0 || count[m] == 0) {
            assert_int_equal(add(db, names[m], 1, true), ++count[m]);
        } else if (what <= 2) {
            int64_t number = 1 + random() % count[m];
            assert_int_equal(version_table_activate(db, names[m], number, step, NULL), 0);
            if (depth[m] == 0 || stack[m][depth[m] - 1] != number) stack[m][depth[m]++] = number;
        } else {
            int expected = depth[m] > 1 ? 0 : ERR_NOT_FOUND;
            assert_int_equal(version_table_previous(db, names[m], &row, NULL), expected);
            if (expected == 0) assert_int_equal(row.number, stack[m][depth[m] - 2]);
            assert_int_equal(version_table_rollback(db, names[m], NULL), expected);
            if (expected == 0) depth[m]--;
        }
        for (int i = 0; i < 2; i++)
            assert_int_equal(active(db, names[i]), depth[i] > 0 ? stack[i][depth[i] - 1] : 0);
    }
}

struct rows {
    char text[256];
};

static int see(void *arg, const struct version_row *row)
{
    struct rows *rows = arg;
    size_t used = strlen(rows->text);
    snprintf(rows->text + used, sizeof(rows->text) - used, "%s%lld%s ", row->model,
             (long long)row->number, row->active ? "*" : "");
    return 0;
}

static void test_each(void **state)
{
    struct db *db = *state;
    struct version_row row;
    struct rows rows = {""};
    for (int i = 0; i < 2; i++) add(db, "b", 1, true);
    for (int i = 0; i < 11; i++) add(db, "a", 1, true);
    assert_int_equal(version_table_activate(db, "a", 10, 1, NULL), 0);
    assert_int_equal(version_table_each(db, NULL, see, &rows, NULL), 0);
    assert_string_equal(rows.text, "a1 a2 a3 a4 a5 a6 a7 a8 a9 a10* a11 b1 b2 ");
    rows.text[0] = '\0';
    assert_int_equal(version_table_each(db, "b", see, &rows, NULL), 0);
    assert_string_equal(rows.text, "b1 b2 ");

    assert_int_equal(version_table_last_import(db, &row, NULL), ERR_NOT_FOUND);
    int64_t number;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            version_table_add(db, i == 0 ? "z" : "b", SHA, "import", "f", 1, 1, &number, NULL), 0);
        assert_int_equal(version_table_set_ready(db, i == 0 ? "z" : "b", number, NULL), 0);
    }
    assert_int_equal(version_table_add(db, "z", SHA, "import", "f", 1, 1, &number, NULL),
                     0); /* never ready */
    assert_int_equal(version_table_last_import(db, &row, NULL), 0);
    assert_string_equal(row.model, "b");
    assert_int_equal(row.number, 3);
}

static int see_audit(void *arg, const struct audit_row *row)
{
    struct rows *rows = arg;
    size_t used = strlen(rows->text);
    snprintf(rows->text + used, sizeof(rows->text) - used, "%lld %s %s %s %d %s|",
             (long long)row->at_ns, row->request_id, row->method, row->path, row->status,
             row->detail);
    return 0;
}

static void test_audit(void **state)
{
    struct db *db = *state;
    struct rows rows = {""};
    for (int i = 0; i < 3; i++) {
        const struct audit_row row = {i, "id", "POST", "/x'", 200 + i, i == 1 ? "why \"not\"" : ""};
        assert_int_equal(audit_table_add(db, &row, NULL), 0);
    }
    assert_int_equal(audit_table_each(db, 2, see_audit, &rows, NULL), 0);
    assert_string_equal(rows.text, "2 id POST /x' 202 |1 id POST /x' 201 why \"not\"|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_property, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_each, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_audit, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("store/version_table", tests, NULL, NULL);
}
