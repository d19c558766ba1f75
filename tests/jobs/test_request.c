/* What a job's body may say, and the command that it becomes. The table of refusals over HTTP
 * stands in tests/api/test_jobs.py; here is what needs the parts. */
#include "config.h"

#include "../../src/jobs/request.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../json/parse.h"
#include "../place.h"
#include "base/mem.h"

#define BASE "\"kind\":\"train\",\"data\":\"cifar100:x\",\"spec\":\"resnet18\""

static void test_check(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        const char *words; /* of the message */
    } rows[] = {
        {"{" BASE "}", 0, ""},
        {"{" BASE
         ",\"lr\":0,\"seed\":9007199254740992,\"kd_scale\":false,\"schedule\":\"steps:75,130\"}",
         0, ""},
        {"{" BASE ",\"momentum\":0,\"weight_decay\":0.0,\"warmup\":0,\"holdout\":0,\"threads\":0}",
         0, ""},
        {"{" BASE ",\"epochs\":1000000}", 0, ""},
        {"{" BASE ",\"epochs\":1000001}", ERR_RANGE,
         "\"epochs\" 1000001: it takes a whole number from 1 to 1000000"},
        {"{" BASE ",\"lr\":1e10}", ERR_RANGE, "\"lr\" 10000000000: it takes a number from 0"},
        {"{" BASE ",\"momentum\":1}", ERR_RANGE, "momentum"},
        {"{" BASE ",\"seed\":-1}", ERR_RANGE, "seed"},
        {"{" BASE ",\"seed\":9223372036854775807}", ERR_RANGE, "seed"},
        {"{" BASE ",\"Lr\":1}", ERR_RANGE,
         "\"Lr\" is not a member of a job, which takes: kind spec model promote data method "
         "epochs"},
        {"{" BASE ",\"out\":\"/etc/passwd\"}", ERR_RANGE, "\"out\""},
        {"{" BASE ",\"augment\":\"crop;flip\"}", ERR_RANGE, "augment"},
        {"{" BASE ",\"augment\":\"\"}", ERR_RANGE, "augment"},
        {"{" BASE ",\"method\":\"at\",\"teacher\":\"big/3\",\"beta\":0}", 0, ""},
        {"{" BASE ",\"seed\":\"18446744073709551615\"}", 0, ""},
        {"{" BASE ",\"seed\":\"18446744073709551616\"}", ERR_RANGE, "as a string of digits"},
        {"{" BASE ",\"method\":\"kd\",\"teacher\":\"/etc/passwd\"}", ERR_RANGE,
         "\"teacher\" takes a model's name"},
        {"{" BASE ",\"method\":\"kd\",\"teacher\":\"big/-3\"}", ERR_RANGE,
         "\"teacher\" takes a model's name"},
        {"{" BASE ",\"method\":\"kd\"}", ERR_RANGE, "\"method\" kd needs \"teacher\""},
        {"{" BASE ",\"teacher\":\"big/3\"}", ERR_RANGE,
         "\"teacher\": \"method\" byot does not read it"},
        {"{" BASE ",\"method\":\"baseline\",\"alpha\":0.5}", ERR_RANGE,
         "\"alpha\": \"method\" baseline does not read it"},
        {"{" BASE ",\"mixup\":1e-7}", ERR_RANGE, "\"mixup\" 1e-07: it takes 0, or a number"},
        {"{" BASE ",\"peer\":\"x\"}", ERR_RANGE, "\"peer\" is not a member"},
        {"{" BASE ",\"beta\":-1}", ERR_RANGE, "beta"},
        {"{" BASE ",\"method\":null,\"init\":null,\"epochs\":null,\"promote\":null}", 0, ""},
        {"{\"kind\":null,\"data\":\"cifar100:x\",\"spec\":\"resnet18\"}", ERR_RANGE,
         "\"kind\" must be given"},
        {"{" BASE ",\"nonsense\":null}", ERR_RANGE, "\"nonsense\" is not a member"},
        {"{" BASE ",\"peer\":null}", ERR_RANGE, "\"peer\" is not a member"},
        {"[]", ERR_FORMAT, "object"},
        {"\"x\"", ERR_FORMAT, "object"},
        {"{}", ERR_RANGE, "kind"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err e = {0};
        struct json *body = parse(rows[i].text, NULL);
        assert_non_null(body);
        int rc = request_check(body, &e);
        if (rc != rows[i].code || strstr(e.text, rows[i].words) == NULL)
            fail_msg("%s: %d %s", rows[i].text, rc, e.text);
        json_free(body);
    }
    struct err e = {0};
    assert_int_equal(request_check(NULL, &e), ERR_FORMAT);
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *text, *model, *init;
        int64_t version;
    } rows[] = {
        {"{" BASE "}", "resnet18", "", 0},
        {"{" BASE ",\"model\":\"mine\"}", "mine", "", 0},
        {"{\"kind\":\"train\",\"data\":\"cifar100:x\",\"spec\":\"vgg19.json\"}", "vgg19", "", 0},
        {"{\"kind\":\"train\",\"data\":\"cifar100:x\",\"init\":\"old\"}", "old", "old", 0},
        {"{" BASE ",\"init\":\"old/12\"}", "old", "old", 12},
        {"{" BASE ",\"init\":\"old/12\",\"model\":\"new\"}", "new", "old", 12},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char model[VERSION_MODEL_MAX + 1], init[VERSION_MODEL_MAX + 1];
        int64_t version;
        struct json *body = parse(rows[i].text, NULL);
        assert_int_equal(request_check(body, NULL), 0);
        request_model(body, model);
        request_version(body, "init", init, &version);
        assert_string_equal(model, rows[i].model);
        assert_string_equal(init, rows[i].init);
        assert_int_equal(version, rows[i].version);
        json_free(body);
    }
}

/* A teacher has no say in the name of what is trained. */
static void test_teacher(void **state)
{
    (void)state;
    char name[VERSION_MODEL_MAX + 1];
    int64_t version;
    struct json *body = parse("{" BASE ",\"method\":\"kd\",\"teacher\":\"big/3\"}", NULL);
    assert_int_equal(request_check(body, NULL), 0);
    request_version(body, "teacher", name, &version);
    assert_string_equal(name, "big");
    assert_int_equal(version, 3);
    request_version(body, "init", name, &version);
    assert_string_equal(name, "");
    request_model(body, name);
    assert_string_equal(name, "resnet18");
    json_free(body);
}

static void test_options(void **state)
{
    (void)state;
    struct json *body = parse(
        "{" BASE ",\"lr\":0,\"epochs\":3,\"weight_decay\":0.0005,\"kd_scale\":true,"
        "\"hint_exits\":\"1,2\",\"heads\":\"scala+attention\",\"mixup\":0.5,\"preset\":\"sdf\","
        "\"label_smoothing\":0.25,\"hint\":\"norm\",\"augment\":\"autoaugment,cutout\","
        "\"schedule\":\"steps:1,2\",\"promote\":\"manual\",\"model\":\"m\",\"holdout\":0}",
        NULL);
    assert_int_equal(request_check(body, NULL), 0);
    assert_true(request_is_manual(body));
    struct command c = {.n = 0};
    char text[512] = "";
    request_add_options(body, &c);
    for (size_t i = 0; i < c.n; i++) {
        strcat(text, c.words[i]);
        strcat(text, " ");
    }
    assert_null(c.words[c.n]);
    assert_string_equal(
        text,
        "--method byot --epochs 3 --heads scala+attention --lr 0 --weight-decay 0.0005 "
        "--schedule steps:1,2 --augment autoaugment,cutout --label-smoothing 0.25 --mixup 0.5 "
        "--preset sdf --kd-scale on --hint norm --hint-exits 1,2 --holdout 0 ");
    command_release(&c);
    mem_fail_at(3);
    request_add_options(body, &c);
    mem_fail_at(0);
    assert_true(c.failed);
    command_release(&c);
    for (int i = 0; i <= COMMAND_WORDS_MAX; i++) command_add(&c, "x");
    assert_true(c.failed);
    command_release(&c);
    json_free(body);
}

static void test_data(void **state)
{
    (void)state;
    struct place p;
    char path[256], root[128], outside[128], source[PATH_MAX];
    place_make(&p);
    snprintf(root, sizeof(root), "%s/root", p.root);
    snprintf(outside, sizeof(outside), "%s/root-outside",
             p.root); /* root's name is a prefix of its own */
    snprintf(path, sizeof(path), "%s/set", root);
    assert_int_equal(mkdir(root, 0700) | mkdir(outside, 0700) | mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/link", root);
    assert_int_equal(symlink("set", path), 0);
    snprintf(path, sizeof(path), "%s/way_out", root);
    assert_int_equal(symlink(outside, path), 0);
    snprintf(path, sizeof(path), "%s/loop", root);
    assert_int_equal(symlink("loop", path), 0);

    char absolute[256], absolute_out[256];
    snprintf(absolute, sizeof(absolute), "%s/set", root);
    snprintf(absolute_out, sizeof(absolute_out), "%s", outside);
    const struct {
        const char *data;
        bool good;
    } rows[] = {
        {"set", true},
        {"./set/../set", true},
        {"link", true},
        {absolute, true},
        {"", true},
        {"way_out", false},
        {"way_out/../root/set", true},
        {"loop", false},
        {"..", false},
        {"../root-outside", false},
        {absolute_out, false},
        {"/", false},
        {"/etc", false},
        {"nonesuch", false},
        {"set/nonesuch", false},
    };
    char expected[256], expected_root[256];
    snprintf(expected, sizeof(expected), "cifar100:%s/set", root);
    snprintf(expected_root, sizeof(expected_root), "cifar100:%s", root);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err e = {0};
        char text[512];
        snprintf(text, sizeof(text), "{\"data\":\"cifar100:%s\"}", rows[i].data);
        struct json *body = parse(text, NULL);
        int rc = request_data(body, root, source, sizeof(source), &e);
        if ((rc == 0) != rows[i].good) fail_msg("%s: %d %s", rows[i].data, rc, e.text);
        if (rc == 0)
            assert_string_equal(source, rows[i].data[0] == '\0' ? expected_root : expected);
        else
            assert_int_equal(rc, ERR_RANGE);
        json_free(body);
    }
    struct err e = {0};
    struct json *body = parse("{\"data\":\"cifar100:set\"}", NULL);
    assert_int_equal(request_data(body, "", source, sizeof(source), &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.text, "train.data_root"));
    assert_int_equal(request_data(body, "/nonesuch", source, sizeof(source), &e), ERR_UNSUPPORTED);
    assert_int_equal(request_data(body, root, source, 10, &e), ERR_RANGE);
    json_free(body);
    place_remove(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),   cmocka_unit_test(test_names),
        cmocka_unit_test(test_teacher), cmocka_unit_test(test_options),
        cmocka_unit_test(test_data),
    };
    return cmocka_run_group_tests_name("jobs/request", tests, NULL, NULL);
}
