/* The table of routes: every row says all that a row has to say, and no two stand at one place. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/api/routes.h"

static void rows_are_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        const struct route_row *row = &route_table[i];
        const struct route *route = &row->route;
        size_t n = strlen(row->summary);
        assert_true(n > 10 && row->summary[n - 1] == '.');
        assert_true(row->listeners != 0 && row->listeners <= (LISTENER_PUBLIC | LISTENER_ADMIN));
        assert_non_null(route->handler);
        assert_null(route->arg);
        assert_true(route->pattern[0] == '/');
        /* One bit, and nothing of the admin's is open to the public. */
        assert_true(route->scope != 0 && (route->scope & (route->scope - 1)) == 0);
        assert_true((route->scope & SCOPES_ALL) == route->scope);
        if ((row->listeners & LISTENER_PUBLIC) != 0)
            assert_true((route->scope & SCOPES_PUBLIC) != 0);
        /* What takes a body says which. */
        assert_int_equal(route->body_max > 0, route->media != NULL);
        assert_true(route->media != NULL || route->also == NULL);
        assert_true(route->body_max > 0 || !route->body_optional);
        assert_true(strcmp(route->method, "GET") != 0 || route->body_max == 0);
        assert_true(route->query != NULL || !route->strict_query);
    }
}

static void query_members_are_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        const struct query_member *list = route_table[i].route.query;
        for (const struct query_member *m = list; m != NULL && m->name != NULL; m++) {
            assert_true(m - list < ROUTE_QUERY_MAX);
            assert_true(m->help != NULL && m->help[0] != '\0');
            assert_true(m->kind == QUERY_NAME || m->min < m->max);
            for (const struct query_member *other = list; other < m; other++)
                assert_string_not_equal(other->name, m->name);
        }
    }
}

static void answers_are_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        int good = 0;
        for (const struct answer_row *a = route_table[i].answers; a->status != 0; a++) {
            assert_true(a->status >= 200 && a->status < 600);
            assert_true(a->when[0] != '\0');
            if (a->status < 400)
                good++;
            else
                assert_string_equal(a->media, "application/problem+json");
            for (const struct answer_row *other = route_table[i].answers; other < a; other++)
                assert_int_not_equal(other->status, a->status);
        }
        assert_true(good > 0);
    }
}

static void places_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        for (size_t k = 0; k < i; k++) {
            const struct route_row *a = &route_table[i], *b = &route_table[k];
            bool same = strcmp(a->route.method, b->route.method) == 0 &&
                        strcmp(a->route.pattern, b->route.pattern) == 0;
            assert_false(same && (a->listeners & b->listeners) != 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_whole),
        cmocka_unit_test(query_members_are_whole),
        cmocka_unit_test(answers_are_whole),
        cmocka_unit_test(places_are_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
