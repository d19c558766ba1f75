/* The store thread: order, draining, many posters, one owner of a directory. */
#include "config.h"

#include "store/store.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "../place.h"
#include "store/job_table.h"

enum { POSTERS = 4, EACH = 500 };

struct numbered {
    struct store_task task;
    int poster, number;
};

static struct numbered tasks[POSTERS][EACH];
static int last[POSTERS], ran; /* the store thread's */

static void run_numbered(struct store_task *task, struct db *db)
{
    struct numbered *n = (struct numbered *)task;
    if (db != NULL && n->number == last[n->poster] + 1) ran++;
    last[n->poster] = n->number;
}

struct poster {
    struct store *store;
    int number;
};

static void *post_all(void *arg)
{
    const struct poster *poster = arg;
    for (int i = 0; i < EACH; i++) store_post(poster->store, &tasks[poster->number][i].task);
    return NULL;
}

/* In the order of each poster; store_close() runs what is left. */
static void test_order(void **state)
{
    (void)state;
    struct place p;
    struct store *store;
    pthread_t threads[POSTERS];
    struct poster posters[POSTERS];
    place_make(&p);
    assert_int_equal(store_open(p.root, &store, NULL), 0);
    ran = 0;
    for (int i = 0; i < POSTERS; i++) {
        last[i] = -1;
        for (int j = 0; j < EACH; j++) tasks[i][j] = (struct numbered){{run_numbered, NULL}, i, j};
        posters[i] = (struct poster){store, i};
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
    }
    for (int i = 0; i < POSTERS; i++) pthread_join(threads[i], NULL);
    store_close(store);
    assert_int_equal(ran, POSTERS * EACH);
    place_remove(&p);
}

struct freeing {
    struct store_task task;
    struct store *store;
    int left;
};

/* The task is freed before it returns, and posts the next one from the store thread. */
static void run_freeing(struct store_task *task, struct db *db)
{
    (void)db;
    struct freeing *f = (struct freeing *)task;
    ran++;
    if (f->left > 0) {
        struct freeing *next = mem_new(1, sizeof(*next));
        *next = (struct freeing){{run_freeing, NULL}, f->store, f->left - 1};
        store_post(f->store, &next->task);
    }
    mem_free(f);
}

static void test_chain(void **state)
{
    (void)state;
    struct place p;
    struct store *store;
    place_make(&p);
    assert_int_equal(store_open(p.root, &store, NULL), 0);
    struct freeing *first = mem_new(1, sizeof(*first));
    *first = (struct freeing){{run_freeing, NULL}, store, 99};
    ran = 0;
    store_post(store, &first->task);
    store_close(store);
    assert_int_equal(ran, 100);
    place_remove(&p);
}

static int add(struct db *db, void *arg, struct err *e)
{
    return job_table_add(db, "m", "{}", NULL, NULL, 10, 1, arg, e);
}

static int fail_it(struct db *db, void *arg, struct err *e)
{
    (void)db;
    (void)arg;
    return err_set(e, ERR_BUSY, "as asked");
}

static void test_call(void **state)
{
    (void)state;
    struct place p;
    struct store *store, *second;
    struct err e = {0};
    int64_t id = 0;
    place_make(&p);
    assert_int_equal(store_open(place_path(&p, "made/for/it"), &store, NULL), 0);
    assert_int_equal(store_call(store, add, &id, NULL), 0);
    assert_int_equal(id, 1);
    assert_int_equal(store_call(store, fail_it, NULL, &e), ERR_BUSY);
    assert_string_equal(e.text, "as asked");
    assert_int_equal(store_open(p.path, &second, &e), ERR_CONFLICT);
    assert_non_null(strstr(e.text, "another autodidactd"));
    store_close(store);
    assert_int_equal(store_open(p.path, &store, NULL), 0); /* the lock went with it */
    assert_int_equal(store_call(store, add, &id, NULL), 0);
    assert_int_equal(id, 2);
    store_close(store);
    place_remove(&p);
}

struct looking {
    struct store_task task;
    struct blocking *blocking; /* lets go of it, when not NULL */
    int64_t queued;
    int rc, write_rc;
};

struct blocking {
    struct store_task task;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool begun, let_go;
};

static void set(struct blocking *b, bool *what)
{
    pthread_mutex_lock(&b->lock);
    *what = true;
    pthread_cond_broadcast(&b->wake);
    pthread_mutex_unlock(&b->lock);
}

static void wait_for(struct blocking *b, const bool *what)
{
    pthread_mutex_lock(&b->lock);
    while (!*what) pthread_cond_wait(&b->wake, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

/* Adds a job, and stays in the transaction that adds another. */
static int add_and_wait(struct db *db, void *arg, struct err *e)
{
    struct blocking *b = arg;
    int64_t id;
    int rc = add(db, &id, e);
    set(b, &b->begun);
    wait_for(b, &b->let_go);
    return rc;
}

static void run_blocking(struct store_task *task, struct db *db)
{
    int64_t id;
    if (add(db, &id, NULL) == 0) db_transaction(db, add_and_wait, task, NULL);
}

static void run_looking(struct store_task *task, struct db *db)
{
    struct looking *l = (struct looking *)task;
    int64_t id;
    l->rc = job_table_count(db, JOB_QUEUED, &l->queued, NULL);
    l->write_rc = add(db, &id, NULL);
    if (l->blocking != NULL) set(l->blocking, &l->blocking->let_go);
}

/* Who only reads does not wait for the store thread, sees what is committed, and writes nothing.
 * Were it otherwise, this would not end. */
static void test_reading(void **state)
{
    (void)state;
    struct place p;
    struct store *store;
    struct blocking b = {.task = {run_blocking, NULL}};
    pthread_mutex_init(&b.lock, NULL);
    pthread_cond_init(&b.wake, NULL);
    struct looking during = {.task = {run_looking, NULL}, .blocking = &b};
    struct looking after = {.task = {run_looking, NULL}};
    place_make(&p);
    assert_int_equal(store_open(p.root, &store, NULL), 0);
    store_post(store, &b.task);
    wait_for(&b, &b.begun);
    store_post_reading(store, &during.task);
    wait_for(&b, &b.let_go);
    int64_t id;
    assert_int_equal(store_call(store, add, &id, NULL), 0); /* behind the blocking one */
    store_post_reading(store, &after.task);
    store_close(store); /* runs it */
    assert_int_equal(during.rc, 0);
    assert_int_equal(during.queued, 1);
    assert_int_equal(during.write_rc, -EROFS);
    assert_int_equal(after.queued, 3);
    assert_int_equal(after.write_rc, -EROFS);
    pthread_cond_destroy(&b.wake);
    pthread_mutex_destroy(&b.lock);
    place_remove(&p);
}

/* A process that is killed in the middle leaves a database that opens, with all that was answered.
 */
static void test_killed(void **state)
{
    (void)state;
    struct place p;
    struct store *store;
    place_make(&p);
    int64_t answered = 0;
    for (int round = 0; round < 3; round++) {
        int out[2];
        assert_int_equal(pipe(out), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            int64_t id;
            if (store_open(p.root, &store, NULL) < 0) _exit(1);
            for (;;) {
                if (store_call(store, add, &id, NULL) == ERR_BUSY) _exit(2);
                if (write(out[1], &id, sizeof(id)) != (ssize_t)sizeof(id) || id % 3 == 0) _exit(0);
            }
        }
        close(out[1]);
        int64_t id;
        while (read(out[0], &id, sizeof(id)) == (ssize_t)sizeof(id)) answered = id;
        close(out[0]);
        int status;
        assert_true(waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
                    WEXITSTATUS(status) == 0);
    }
    assert_int_equal(answered, 9);
    assert_int_equal(store_open(p.root, &store, NULL), 0);
    int64_t id;
    assert_int_equal(store_call(store, add, &id, NULL), 0);
    assert_int_equal(id, answered + 1);
    store_close(store);
    place_remove(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),   cmocka_unit_test(test_chain),  cmocka_unit_test(test_call),
        cmocka_unit_test(test_reading), cmocka_unit_test(test_killed),
    };
    return cmocka_run_group_tests_name("store/store", tests, NULL, NULL);
}
