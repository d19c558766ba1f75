/* Teams: every chunk once, results visible, helpers that come and go, none left at the close. */
#include "config.h"

#include "base/team.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { HELPERS = 3, CHUNKS = 7, LOOPS = 5000 };

struct loop {
    unsigned runs[CHUNKS]; /* plain memory: the team orders the accesses */
    unsigned number;
    int *seen_by[CHUNKS];
};

static void visit(void *arg, unsigned chunk, void *mine)
{
    struct loop *loop = arg;
    loop->runs[chunk] = loop->runs[chunk] == loop->number - 1 ? loop->number : 0;
    loop->seen_by[chunk] = mine;
}

struct helper {
    pthread_t thread;
    struct team *team;
    const atomic_uint *calls;
    atomic_bool *over;
    int joined; /* times; also what it brings along */
};

static void *help(void *arg)
{
    struct helper *h = arg;
    while (!atomic_load(h->over)) {
        unsigned seen = atomic_load(h->calls);
        if (!team_join(h->team)) {
            sched_yield();
            continue;
        }
        h->joined++;
        team_help(h->team, &h->joined, h->calls, seen);
    }
    return NULL;
}

static void check_loop(const struct loop *loop)
{
    for (int c = 0; c < CHUNKS; c++) {
        if (loop->runs[c] != loop->number) fail_msg("loop %u, chunk %d", loop->number, c);
        assert_non_null(loop->seen_by[c]);
    }
}

static void test_alone(void **state)
{
    (void)state;
    static struct team team;
    struct loop loop = {.number = 1};
    int mine = 0;
    assert_false(team_join(&team)); /* closed */
    for (; loop.number <= 10; loop.number++) {
        team_run(&team, visit, &loop, CHUNKS, &mine);
        check_loop(&loop);
        for (int c = 0; c < CHUNKS; c++) assert_ptr_equal(loop.seen_by[c], &mine);
    }
    team_open(&team);
    assert_int_equal(team_size(&team), 1);
    assert_true(team_join(&team));
    assert_int_equal(team_size(&team), 2);
    const atomic_uint calls = 1;
    team_help(&team, &mine, &calls, 0); /* called away before it begins */
    assert_int_equal(team_size(&team), 1);
    team_close(&team);
    assert_false(team_join(&team));
}

/* Opened, closed and called away all the time; every loop is whole, and somebody did help. */
static void test_come_and_go(void **state)
{
    (void)state;
    static struct team team;
    static atomic_uint calls;
    static atomic_bool over;
    struct helper helpers[HELPERS];
    memset(helpers, 0, sizeof(helpers));
    for (int i = 0; i < HELPERS; i++) {
        helpers[i].team = &team;
        helpers[i].calls = &calls;
        helpers[i].over = &over;
        assert_int_equal(pthread_create(&helpers[i].thread, NULL, help, &helpers[i]), 0);
    }
    struct loop loop = {.number = 1};
    int mine = 0;
    unsigned helped = 0;
    team_open(&team);
    for (; loop.number <= LOOPS || (helped == 0 && loop.number < 1000000); loop.number++) {
        memset(loop.seen_by, 0, sizeof(loop.seen_by));
        team_run(&team, visit, &loop, CHUNKS, &mine);
        check_loop(&loop);
        for (int c = 0; c < CHUNKS; c++) helped += loop.seen_by[c] != &mine;
        if (loop.number % 97 == 0) atomic_fetch_add(&calls, 1);
        if (loop.number % 251 == 0) {
            team_close(&team);
            assert_int_equal(team_size(&team), 1);
            team_open(&team);
        }
        if (loop.number % 16 == 0) sched_yield();
    }
    team_close(&team);
    atomic_store(&over, true);
    for (int i = 0; i < HELPERS; i++) pthread_join(helpers[i].thread, NULL);
    assert_true(helped > 0);
    print_message("# %u chunks by helpers, who joined %d, %d and %d times\n", helped,
                  helpers[0].joined, helpers[1].joined, helpers[2].joined);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
