/* The reaper: what retires is freed on the store thread, whoever lets go of it; at once when it is
 * closed. Versions are stand-ins here that note where they were freed. */
#include "config.h"

#include "registry/reaper.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../place.h"

struct version {
    struct version *next;
    int freed;
    pthread_t by;
};

void version_list_add(struct version **list, struct version *version)
{
    version->next = *list;
    *list = version;
}

void version_list_free(struct version *list)
{
    while (list != NULL) {
        struct version *version = list;
        list = version->next;
        version->freed++;
        version->by = pthread_self();
    }
}

static sem_t entered, may_go_on;

static void hold(struct store_task *task, struct db *db)
{
    (void)task;
    (void)db;
    sem_post(&entered);
    sem_wait(&may_go_on);
}

static int who(struct db *db, void *arg, struct err *e)
{
    (void)db;
    (void)e;
    *(pthread_t *)arg = pthread_self();
    return 0;
}

static void the_store_thread_frees(void **state)
{
    (void)state;
    enum { VERSIONS = 5 };
    struct place place;
    struct store *store;
    struct version versions[VERSIONS + 1];
    struct store_task task = {.run = hold};
    pthread_t store_thread;
    memset(versions, 0, sizeof(versions));
    sem_init(&entered, 0, 0);
    sem_init(&may_go_on, 0, 0);
    place_make(&place);
    assert_int_equal(store_open(place.root, &store, NULL), 0);
    struct reaper *reaper = reaper_new(store);
    assert_non_null(reaper);
    store_post(store, &task);
    sem_wait(&entered);
    for (int i = 0; i < VERSIONS - 1; i++) reaper_take(reaper, &versions[i]);
    for (int i = 0; i < VERSIONS - 1; i++) assert_int_equal(versions[i].freed, 0);
    sem_post(&may_go_on);
    assert_int_equal(store_call(store, who, &store_thread, NULL), 0);
    for (int i = 0; i < VERSIONS - 1; i++) assert_int_equal(versions[i].freed, 1);

    reaper_take(reaper, &versions[VERSIONS - 1]); /* the task can be posted again */
    reaper_close(reaper);
    reaper_take(reaper, &versions[VERSIONS]); /* freed here */
    assert_int_equal(versions[VERSIONS].freed, 1);
    assert_true(pthread_equal(versions[VERSIONS].by, pthread_self()));
    store_close(store);
    for (int i = 0; i < VERSIONS; i++) {
        assert_int_equal(versions[i].freed, 1);
        assert_true(pthread_equal(versions[i].by, store_thread));
    }
    reaper_free(reaper);
    reaper_free(NULL);
    place_remove(&place);
    sem_destroy(&entered);
    sem_destroy(&may_go_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_store_thread_frees)};
    return cmocka_run_group_tests_name("reaper", tests, NULL, NULL);
}
