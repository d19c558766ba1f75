/* Versions: readers keep what they took while others are published; each retires once, with its
 * last reference, and never while somebody reads it (sanitizers watch). */
#include "config.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "fixture.h"

static const double costs[TINY_SECTIONS] = {1, 1, 1, 1};

/* What has retired. */
struct retired {
    pthread_mutex_t lock;
    struct version *list;
    int count;
    int64_t last; /* its number */
};

static void retire(void *arg, struct version *version)
{
    struct retired *retired = arg;
    pthread_mutex_lock(&retired->lock);
    version_list_add(&retired->list, version);
    retired->count++;
    retired->last = version_number(version);
    pthread_mutex_unlock(&retired->lock);
}

static struct engine *start(struct retired *retired)
{
    struct engine_options options;
    struct err e = {.code = 0};
    default_options(&options);
    options.workers = 1;
    options.batch_max = 1;
    if (retired != NULL) {
        *retired = (struct retired){.lock = PTHREAD_MUTEX_INITIALIZER};
        options.retire = retire;
        options.retire_arg = retired;
    }
    struct engine *engine = engine_new(&options, NULL, &e);
    assert_non_null(engine);
    return engine;
}

static int publish(struct engine *engine, const char *name, int64_t number)
{
    struct cost *cost = cost_new_linear(TINY_SECTIONS, 1, costs, costs);
    assert_non_null(cost);
    return publish_version(engine, tiny_model(name, 7, NULL), number, cost);
}

static void a_version_retires_with_its_last_reference(void **state)
{
    (void)state;
    struct retired retired;
    struct engine *engine = start(&retired);
    assert_null(engine_version(engine, ""));
    assert_int_equal(publish(engine, "tiny", 1), 0);
    struct version *first = engine_version(engine, "tiny"), *also = engine_version(engine, "");
    assert_ptr_equal(first, also);
    assert_int_equal(publish(engine, "tiny", 2), 0);
    assert_int_equal(version_number(first), 1);
    version_unref(first);
    assert_int_equal(retired.count, 0);
    version_unref(also);
    assert_int_equal(retired.count, 1);
    assert_int_equal(retired.last, 1);
    struct version *second = engine_version(engine, "tiny");
    version_acquire(second);
    version_unref(second);
    engine_free(engine);
    assert_int_equal(retired.count, 1);
    assert_string_equal(version_model(second)->name, "tiny"); /* outlives its engine */
    version_unref(second);
    assert_int_equal(retired.count, 2);
    version_list_free(retired.list);
    version_list_free(NULL);
    version_unref(NULL);
}

/* Nobody takes them: freed at once (sanitizers see what is not). */
static void without_retire_versions_are_freed(void **state)
{
    (void)state;
    struct engine *engine = start(NULL);
    assert_int_equal(publish(engine, "tiny", 1), 0);
    assert_int_equal(publish(engine, "tiny", 2), 0);
    struct version *second = engine_version(engine, "tiny");
    engine_free(engine);
    version_unref(second);
}

static void there_is_a_limit_of_names(void **state)
{
    (void)state;
    struct engine *engine = start(NULL);
    int n = 0, rc;
    for (; n < 2000; n++) {
        char name[16];
        snprintf(name, sizeof(name), "m%d", n);
        rc = publish(engine, name, 1);
        if (rc < 0) break;
    }
    assert_int_equal(rc, ERR_LIMIT); /* the model came back: publish_version() looks */
    assert_true(n >= 64 && n < 2000);
    assert_int_equal(publish(engine, "m3", 2), 0); /* a name that is known already */
    const char *names[1];
    assert_int_equal(engine_model_names(engine, names, 1), 1);
    assert_string_equal(names[0], "m0");
    engine_free(engine);
}

enum { READERS = 3, VERSIONS = 60 };

struct reading {
    struct engine *engine;
    atomic_bool *stop;
    bool good;
};

static void *read_versions(void *arg)
{
    struct reading *r = arg;
    int64_t last = 0;
    r->good = true;
    while (!atomic_load(r->stop)) {
        struct version *v = engine_version(r->engine, "tiny");
        r->good = r->good && version_number(v) >= last &&
                  strcmp(version_model(v)->name, "tiny") == 0 && engine_cost(r->engine, v, 0) > 0;
        last = version_number(v);
        version_unref(v);
    }
    return NULL;
}

static void readers_keep_what_they_took(void **state)
{
    (void)state;
    struct retired retired;
    struct engine *engine = start(&retired);
    struct reading readings[READERS];
    pthread_t threads[READERS];
    atomic_bool stop = false;
    assert_int_equal(publish(engine, "tiny", 1), 0);
    for (int i = 0; i < READERS; i++) {
        readings[i] = (struct reading){engine, &stop, false};
        assert_int_equal(pthread_create(&threads[i], NULL, read_versions, &readings[i]), 0);
    }
    for (int64_t number = 2; number <= VERSIONS; number++) {
        assert_int_equal(publish(engine, "tiny", number), 0);
        pthread_mutex_lock(&retired.lock);
        struct version *list = retired.list;
        retired.list = NULL;
        pthread_mutex_unlock(&retired.lock);
        version_list_free(list);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(readings[i].good);
    }
    engine_free(engine);
    assert_int_equal(retired.count, VERSIONS);
    version_list_free(retired.list);
}

static double share_now(struct engine *engine, const char *name)
{
    struct version *version = engine_version(engine, name);
    struct engine_costs found;
    engine_costs(engine, version, &found);
    version_unref(version);
    return found.share;
}

static void models_have_their_shares(void **state)
{
    (void)state;
    struct engine *engine = start(NULL);
    struct shares shares;
    assert_int_equal(publish(engine, "tiny", 1), 0);
    assert_true(share_now(engine, "tiny") == 1);
    assert_int_equal(shares_parse("tiny=2.5,other=0.25", &shares, NULL), 0);
    engine_set_shares(engine, &shares);
    assert_true(share_now(engine, "tiny") == 2.5); /* which serves */
    assert_int_equal(publish(engine, "tiny", 2), 0);
    assert_int_equal(publish(engine, "other", 1), 0);
    assert_int_equal(publish(engine, "third", 1), 0);
    assert_true(share_now(engine, "tiny") == 2.5); /* and its next version */
    assert_true(share_now(engine, "other") == 0.25);
    assert_true(share_now(engine, "third") == 1);
    assert_int_equal(shares_parse("", &shares, NULL), 0);
    engine_set_shares(engine, &shares);
    assert_true(share_now(engine, "other") == 1);
    engine_free(engine);
}

static void shares_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "a",
        "a=",
        "=1",
        "a=0",
        "a=-1",
        "a=0.0001",
        "a=1001",
        "a=nan",
        "a=inf",
        "a=1x",
        "a=1,",
        ",a=1",
        "a=1,,b=1",
        "a=1,a=2",
        "A=1",
        "a b=1",
        "a=1=2",
        "a=1;b=2",
        "../a=1",
        "a=1.0000000000000000000000000000000000001",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1"};
    struct shares shares = {.n = 7};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = {.code = 0};
        if (shares_parse(bad[i], &shares, &e) != ERR_RANGE || e.code != ERR_RANGE)
            fail_msg("\"%s\" is taken", bad[i]);
    }
    assert_int_equal(shares.n, 7); /* untouched */
    struct buf text;
    buf_init(&text, 10000);
    for (int i = 0; i <= SHARES_MAX; i++) {
        assert_int_equal(shares_parse(i > 0 ? buf_text(&text) : "", &shares, NULL), 0);
        assert_int_equal(shares.n, i);
        assert_int_equal(buf_printf(&text, "%sm%d=%d", i > 0 ? "," : "", i, i + 1), 0);
    }
    assert_int_equal(shares_parse(buf_text(&text), &shares, NULL), ERR_RANGE);
    assert_true(shares_of(&shares, "m3") == 4);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_version_retires_with_its_last_reference),
        cmocka_unit_test(without_retire_versions_are_freed),
        cmocka_unit_test(there_is_a_limit_of_names),
        cmocka_unit_test(readers_keep_what_they_took),
        cmocka_unit_test(models_have_their_shares),
        cmocka_unit_test(shares_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
