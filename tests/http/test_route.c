/* Routes: which pattern takes which path. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/http/routes.h"
#include "../seeded.h"

static const struct routes routes = {
    .list = {{.method = "GET", .pattern = "/"},
             {.method = "GET", .pattern = "/v2"},
             {.method = "GET", .pattern = "/jobs"},
             {.method = "POST", .pattern = "/jobs"},
             {.method = "GET", .pattern = "/jobs/{id}"},
             {.method = "POST", .pattern = "/jobs/{id}/cancel"},
             {.method = "DELETE", .pattern = "/jobs/{id}"},
             {.method = "GET", .pattern = "/m/{model}/v/{version}"},
             {.method = "GET", .pattern = "/a/{x}/{y}/{z}/{w}/{v}"}},
    .n = 9,
};

static int find(const char *method, const char *path, size_t *ret_index, struct route_match *match,
                char allow[ROUTE_ALLOW_MAX])
{
    const struct route *route = NULL;
    int rc = routes_find(&routes, method, path, &route, match, allow);
    if (rc == 0) *ret_index = (size_t)(route - routes.list);
    return rc;
}

static void finds(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        int expected; /* index, or a code */
        const char *first, *second, *allow;
    } cases[] = {
        {"GET", "/", 0, NULL, NULL, ""},
        {"GET", "/v2", 1, NULL, NULL, ""},
        {"GET", "/v2/", 1, NULL, NULL, ""},
        {"HEAD", "/v2", 1, NULL, NULL, ""},
        {"GET", "/v2//", ERR_NOT_FOUND, NULL, NULL, ""},
        {"GET", "/v", ERR_NOT_FOUND, NULL, NULL, ""},
        {"GET", "", ERR_NOT_FOUND, NULL, NULL, ""},
        {"GET", "v2", ERR_NOT_FOUND, NULL, NULL, ""},
        {"POST", "/jobs", 3, NULL, NULL, NULL},
        {"PUT", "/jobs", ERR_UNSUPPORTED, NULL, NULL, "GET, HEAD, POST"},
        {"get", "/jobs", ERR_UNSUPPORTED, NULL, NULL, "GET, HEAD, POST"},
        {"HEAD", "/jobs/7/cancel", ERR_UNSUPPORTED, NULL, NULL, "POST"},
        {"GET", "/jobs/17", 4, "17", NULL, ""},
        {"DELETE", "/jobs/17", 6, "17", NULL, NULL},
        {"GET", "/jobs/", 2, NULL, NULL, ""},
        {"GET", "/jobs/17/", ERR_NOT_FOUND, NULL, NULL, ""},
        {"GET", "/jobs/1/2", ERR_NOT_FOUND, NULL, NULL, ""},
        {"GET", "/jobs//cancel", ERR_NOT_FOUND, NULL, NULL, ""},
        {"POST", "/jobs/a.b_c-d/cancel", 5, "a.b_c-d", NULL, ""},
        {"GET", "/m/resnet18/v/3", 7, "resnet18", "3", ""},
        {"GET", "/m/resnet18/v/", ERR_NOT_FOUND, NULL, NULL, ""},
        {"GET", "/a/1/2/3/4/5", ERR_NOT_FOUND, NULL, NULL,
         ""}, /* more parameters than there may be */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct route_match match = {0};
        char allow[ROUTE_ALLOW_MAX];
        size_t index = 99;
        int rc = find(cases[i].method, cases[i].path, &index, &match, allow);
        if (cases[i].expected < 0) {
            assert_int_equal(rc, cases[i].expected);
        } else {
            assert_int_equal(rc, 0);
            assert_int_equal(index, cases[i].expected);
        }
        if (cases[i].first != NULL) assert_string_equal(match.parameters[0].value, cases[i].first);
        if (cases[i].second != NULL)
            assert_string_equal(match.parameters[1].value, cases[i].second);
        if (cases[i].allow != NULL) assert_string_equal(allow, cases[i].allow);
    }
}

static void long_segments(void **state)
{
    (void)state;
    char path[2 * ROUTE_VALUE_MAX + 10] = "/jobs/";
    struct route_match match;
    char allow[ROUTE_ALLOW_MAX];
    size_t index;
    for (size_t n = ROUTE_VALUE_MAX - 2; n <= ROUTE_VALUE_MAX + 2; n++) {
        memset(path + 6, 'x', n);
        path[6 + n] = '\0';
        int rc = find("GET", path, &index, &match, allow);
        assert_int_equal(rc, n < ROUTE_VALUE_MAX ? 0 : ERR_NOT_FOUND);
    }
}

/* Whatever the path: never past the end (the sanitizer looks), values without a slash. */
static void any_path(void **state)
{
    (void)state;
    struct rng rng = seeded(5);
    static const char alphabet[] = "/jobs/{id}12mv%.";
    for (int round = 0; round < 20000; round++) {
        char path[24];
        size_t n = rng_below(&rng, sizeof(path) - 1);
        struct route_match match = {0};
        char allow[ROUTE_ALLOW_MAX];
        size_t index;
        for (size_t i = 0; i < n; i++) path[i] = alphabet[rng_below(&rng, sizeof(alphabet) - 1)];
        path[n] = '\0';
        if (find("GET", path, &index, &match, allow) == 0) {
            for (size_t i = 0; i < match.n; i++) {
                assert_true(match.parameters[i].value[0] != '\0');
                assert_null(strchr(match.parameters[i].value, '/'));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds),
        cmocka_unit_test(long_segments),
        cmocka_unit_test(any_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
