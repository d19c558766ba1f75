/* The canary: what it computes, and that a version which fails it does not serve. */
#include "config.h"

#include <errno.h>
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/serve/canary.h"
#include "base/mem.h"
#include "fixture.h"

static void set_linear(const struct net *net, float *params, int exit, float weight, float bias)
{
    size_t n;
    const struct param *p = net_params(net, &n);
    for (size_t i = 0; i < n; i++) {
        if (exit >= 0 && p[i].exit != exit) continue;
        for (size_t k = 0; k < p[i].size && p[i].role == PARAM_LINEAR_WEIGHT; k++)
            params[p[i].offset + k] = weight;
        if (p[i].role == PARAM_LINEAR_BIAS) params[p[i].offset] = bias;
    }
}

static void infinite_second(const struct net *net, float *params)
{
    set_linear(net, params, 1, FLT_MAX, FLT_MAX);
}

static void infinite_sum(const struct net *net, float *params)
{
    set_linear(net, params, -1, FLT_MIN, FLT_MAX);
}

static void constant_third(const struct net *net, float *params)
{
    set_linear(net, params, 2, 0, 1);
}

static void sound(const struct net *net, float *params)
{
    (void)net;
    (void)params;
}

static void each_classifier_is_looked_at(void **state)
{
    (void)state;
    static const struct {
        void (*change)(const struct net *net, float *params);
        const char *words; /* of the message; NULL: it may serve */
    } rows[] = {
        {sound, NULL},
        {infinite_second, "classifier 2 computes inf for class 0 of a test image (black)"},
        {infinite_sum, "classifier ensemble computes inf"},
        {constant_third, "classifier 3 computes the same for 7 different test images (1 for"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct engine_options options;
        struct err e = {.code = 0};
        default_options(&options);
        options.workers = 1;
        struct engine *engine = engine_new(&options, NULL, &e);
        assert_non_null(engine);
        assert_int_equal(publish_version(engine, tiny_model("tiny", 7, NULL), 1, NULL), 0);
        struct model *model = tiny_model_changed("tiny", 7, NULL, rows[i].change);
        struct publication p = {.number = 2, .canary = true};
        int rc = try_publication(engine, model, &p);
        struct version *version = engine_version(engine, "tiny");
        if (rows[i].words == NULL) {
            assert_int_equal(rc, 0);
            assert_int_equal(version_number(version), 2);
        } else {
            assert_int_equal(rc, ERR_UNSUPPORTED);
            if (strstr(p.error.text, rows[i].words) == NULL) fail_msg("%s", p.error.text);
            assert_int_equal(version_number(version), 1);
            assert_ptr_equal(p.model, model); /* the caller's again */
            model_free(model);
        }
        version_unref(version);
        engine_free(engine);
    }
}

/* All different, in the range of what an image can be, and the same each time. */
static void images_are_what_they_are(void **state)
{
    (void)state;
    enum { SIDE = 16, VALUES = 3 * SIDE * SIDE, MOST = 16 };
    static float images[MOST][VALUES], again[VALUES];
    const struct preprocess p = {
        .width = SIDE, .height = SIDE, .mean = {0.5f, 0.5f, 0.5f}, .std = {0.25f, 0.25f, 0.25f}};
    assert_in_range(canary_images(), 2, MOST);
    for (int i = 0; i < canary_images(); i++) {
        assert_non_null(canary_image(&p, i, images[i]));
        canary_image(&p, i, again);
        assert_memory_equal(images[i], again, sizeof(again));
        for (int k = 0; k < i; k++) assert_true(memcmp(images[i], images[k], sizeof(again)) != 0);
        for (int k = 0; k < VALUES; k++) assert_true(images[i][k] >= -2 && images[i][k] <= 2);
    }
}

static void allocations_may_fail(void **state)
{
    (void)state;
    struct err e = {.code = 0};
    struct model *model = tiny_model("tiny", 7, NULL);
    const struct plan_options by_rule = {.forced = false};
    assert_int_equal(model_plan(model, &by_rule, &e), 0);
    struct exec *exec = exec_new(model->plan, 1, &e);
    assert_non_null(exec);
    unsigned n = 1;
    for (; n < 20; n++) {
        mem_fail_at(n);
        int rc = canary_check(model, exec, &e);
        bool fired = mem_fail_left() == 0;
        mem_fail_at(0);
        assert_int_equal(rc, fired ? -ENOMEM : 0);
        if (!fired) break;
    }
    assert_in_range(n, 2, 19);
    exec_free(exec);
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_classifier_is_looked_at),
        cmocka_unit_test(images_are_what_they_are),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
