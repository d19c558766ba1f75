/* Specs as JSON: read back as written, and every wrong member named by its path. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../seeded.h"
#include "base/mem.h"
#include "model/spec_file.h"
#include "nn/net.h"

static const char good[] =
    "{\"name\": \"net-1\", \"classes\": 10, \"input\": {\"channels\": 3, \"height\": 16, "
    "\"width\": 24},\n"
    " \"stem\": {\"kernel\": 3, \"channels\": 8, \"stride\": 1, \"pad\": 1},\n"
    " \"stages\": [{\"block\": \"basic\", \"blocks\": 2, \"channels\": 8, \"stride\": 1},\n"
    "  {\"block\": \"basic\", \"blocks\": 3, \"channels\": 16, \"stride\": 2}],\n"
    " \"cuts\": [2, 3, 5], \"heads\": {\"kind\": \"scala\", \"mid_channels\": 12}}";

/* The file that is shipped: the figures of the facts (method.md 3.1, 2.1). */
static void test_resnet18(void **state)
{
    (void)state;
    const char *top = getenv("top_srcdir");
    char path[1024];
    struct spec spec;
    struct err e = {0};
    snprintf(path, sizeof(path), "%s/models/resnet18.json", top != NULL ? top : ".");
    if (spec_read(path, &spec, &e) < 0) fail_msg("%s", e.text);
    assert_string_equal(spec.name, "resnet18");
    assert_int_equal(spec.n_sections, 4);
    struct net *net = net_new(&spec, &e);
    assert_non_null(net);
    const struct net_cost deepest = net_deepest_cost(net);
    assert_int_equal(deepest.params, 11220132);
    assert_int_equal(deepest.macs, 555468800);
    net_free(net);
}

static void test_values(void **state)
{
    (void)state;
    struct spec s;
    struct err e = {0};
    if (spec_parse(good, strlen(good), &s, &e) < 0) fail_msg("%s", e.text);
    assert_string_equal(s.name, "net-1");
    assert_int_equal(s.classes, 10);
    assert_int_equal(s.channels, 3);
    assert_int_equal(s.height, 16);
    assert_int_equal(s.width, 24);
    assert_int_equal(s.stem.kernel, 3);
    assert_int_equal(s.stem.channels, 8);
    assert_int_equal(s.stem.stride, 1);
    assert_int_equal(s.stem.pad, 1);
    assert_int_equal(s.n_stages, 2);
    assert_int_equal(s.stages[1].block, SPEC_BLOCK_BASIC);
    assert_int_equal(s.stages[1].blocks, 3);
    assert_int_equal(s.stages[1].channels, 16);
    assert_int_equal(s.stages[1].stride, 2);
    assert_int_equal(s.n_sections, 3);
    assert_int_equal(s.cuts[1], 3);
    assert_int_equal(s.cuts[2], 5);
    assert_int_equal(s.heads.kind, SPEC_HEAD_SCALA);
    assert_int_equal(s.heads.mid_channels, 12);
}

static void assert_same(const struct spec *a, const struct spec *b)
{
    assert_memory_equal(a, b, sizeof(*a)); /* spec_parse() zeroes what is not used */
}

/* Random specs that pass spec_check() survive being written and read. */
static void test_round_trip(void **state)
{
    (void)state;
    enum { ROUNDS = 2000 };
    struct rng rng = seeded(41);
    int good_ones = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct spec s, read;
        memset(&s, 0, sizeof(s));
        static const char letters[] = "abcxyz019._-";
        uint32_t length = 1 + rng_below(&rng, SPEC_NAME_MAX);
        for (uint32_t i = 0; i < length; i++)
            s.name[i] = letters[rng_below(&rng, sizeof(letters) - 1)];
        if (s.name[0] == '.') s.name[0] = 'a';
        s.classes = 1 + (int)rng_below(&rng, SPEC_CLASSES_MAX);
        s.channels = 1 + (int)rng_below(&rng, 8);
        s.height = 1 + (int)rng_below(&rng, SPEC_SIDE_MAX);
        s.width = 1 + (int)rng_below(&rng, SPEC_SIDE_MAX);
        s.stem.kernel = 1 + (int)rng_below(&rng, 7);
        s.stem.channels = 1 + (int)rng_below(&rng, SPEC_CHANNELS_MAX);
        s.stem.stride = 1 + (int)rng_below(&rng, 4);
        s.stem.pad = (int)rng_below(&rng, (uint32_t)s.stem.kernel);
        s.stem.after = (enum spec_after)rng_below(&rng, SPEC_AFTER_NOTHING + 1);
        if (rng_below(&rng, 2) == 0) {
            s.stem.pool.kernel = 1 + (int)rng_below(&rng, 4);
            s.stem.pool.stride = 1 + (int)rng_below(&rng, 4);
            s.stem.pool.pad = (int)rng_below(&rng, (uint32_t)s.stem.pool.kernel);
        }
        s.classifier.n_hidden = (int)rng_below(&rng, SPEC_HIDDEN_MAX + 1);
        for (int i = 0; i < s.classifier.n_hidden; i++)
            s.classifier.hidden[i] = 1 + (int)rng_below(&rng, SPEC_CHANNELS_MAX);
        if (s.classifier.n_hidden > 0) s.classifier.pooled = (int)rng_below(&rng, 9);
        s.n_stages = 1 + (int)rng_below(&rng, SPEC_STAGES_MAX);
        int blocks = 0;
        for (int i = 0; i < s.n_stages; i++) {
            struct spec_stage *stage = &s.stages[i];
            stage->block = (enum spec_block)rng_below(&rng, SPEC_BLOCK_VGG + 1);
            stage->blocks = 1 + (int)rng_below(&rng, 60);
            stage->channels = 1 + (int)rng_below(&rng, SPEC_CHANNELS_MAX);
            if (stage->block == SPEC_BLOCK_PYRAMID) stage->channels = SPEC_CHANNELS_MAX - 8 + i;
            stage->stride = 1 + (int)rng_below(&rng, 4);
            if (stage->block == SPEC_BLOCK_BOTTLENECK && rng_below(&rng, 2) == 0) {
                stage->groups = 1 + (int)rng_below(&rng, 9);
                stage->group_width = 1 + (int)rng_below(&rng, 99);
            }
            if (rng_below(&rng, 4) == 0) stage->pool = 2 + (int)rng_below(&rng, 2);
            blocks += s.stages[i].blocks;
        }
        for (int at = 0; s.n_sections < SPEC_SECTIONS_MAX - 1 && at < blocks;) {
            at += 1 + (int)rng_below(&rng, (uint32_t)blocks);
            if (at < blocks) s.cuts[s.n_sections++] = at;
        }
        s.cuts[s.n_sections++] = blocks;
        if (s.n_sections > 1) {
            s.heads.kind = (enum spec_head)rng_below(&rng, SPEC_HEAD_SEPCONV_ATTENTION + 1);
            if (s.heads.kind != SPEC_HEAD_SEPCONV_ATTENTION)
                s.heads.mid_channels = 1 + (int)rng_below(&rng, SPEC_CHANNELS_MAX);
        }
        if (s.stages[0].block == SPEC_BLOCK_VGG && rng_below(&rng, 2) == 0)
            memset(&s.stem, 0, sizeof(s.stem));
        if (spec_check(&s, NULL) < 0) continue;

        good_ones++;
        struct err e = {0};
        char *text = spec_format(&s);
        assert_non_null(text);
        if (spec_parse(text, strlen(text), &read, &e) < 0) fail_msg("%s: %s", text, e.text);
        assert_same(&s, &read);
        char *again = spec_format(&read);
        assert_string_equal(text, again);
        mem_free(text);
        mem_free(again);
    }
    assert_true(good_ones > ROUNDS / 4);
}

/* `from` in the good spec replaced by `to`. */
static void assert_refused(const char *from, const char *to, int code, const char *words)
{
    char text[2048];
    struct spec s;
    struct err e = {0};
    const char *at = strstr(good, from);
    assert_non_null(at);
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    memset(&s, 0x55, sizeof(s));
    int rc = spec_parse(text, strlen(text), &s, &e);
    if (rc != code || e.code != code || strstr(e.text, words) == NULL) {
        fail_msg("'%s': wanted %d with '%s', got %d: %s", to, code, words, rc, e.text);
    }
    for (size_t i = 0; i < sizeof(s); i++) assert_int_equal(((unsigned char *)&s)[i], 0x55);
}

static void test_wrong_members(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        int code;
        const char *words;
    } cases[] = {
        {"\"classes\"", "\"clases\"", ERR_FORMAT, "clases: unknown member"},
        {"\"classes\": 10, ", "", ERR_FORMAT, "classes: missing"},
        {"10", "\"10\"", ERR_FORMAT, "classes: must be an integer"},
        {"10", "10.0", ERR_FORMAT, "classes: must be an integer"},
        {"10", "0", ERR_RANGE, "classes"},
        {"10", "65537", ERR_RANGE, "classes"},
        {"10", "-1", ERR_RANGE, "classes"},
        {"10", "4294967306", ERR_RANGE, "classes"},
        {"10", "99999999999999999999", ERR_FORMAT, "too big"},
        {"10", "null", ERR_FORMAT, "classes: must be an integer in 0..2147483647, not null"},
        {"net-1", "", ERR_RANGE, "name"},
        {"net-1", "Net", ERR_RANGE, "name"},
        {"net-1", "a/b", ERR_RANGE, "name"},
        {"net-1", "..", ERR_RANGE, "name"},
        {"net-1", "a\\u0000", ERR_FORMAT, "line 1"},
        {"net-1", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ERR_LIMIT,
         "name"},
        {"\"height\": 16", "\"height\": 1025", ERR_RANGE, "input.height"},
        {"\"height\": 16", "\"heigth\": 16", ERR_FORMAT, "input.heigth"},
        {"\"height\": 16, ", "", ERR_FORMAT, "input.height: missing"},
        {"{\"channels\": 3, \"height\": 16, \"width\": 24}", "[3, 16, 24]", ERR_FORMAT,
         "input: must be"},
        {"\"pad\": 1", "\"pad\": 1, \"bias\": 0", ERR_FORMAT, "stem.bias: unknown"},
        {"\"pad\": 1", "\"pad\": 3", ERR_RANGE, "stem.pad"},
        {"\"stages\": [", "\"stages\": [[],", ERR_FORMAT, "stages[0]: must be an object"},
        {"\"stages\": [", "\"stages\": [1,", ERR_FORMAT, "stages[0]: must be an object"},
        {"\"blocks\": 3, ", "", ERR_FORMAT, "stages[1].blocks: missing"},
        {"\"blocks\": 3", "\"blocks\": 0", ERR_RANGE, "stages[1].blocks"},
        {"\"stride\": 2", "\"stride\": 9", ERR_RANGE, "stages[1].stride"},
        {"\"stride\": 2", "\"stride\": \"2\"", ERR_FORMAT, "stages[1].stride"},
        {"\"stride\": 2", "\"stride\": 2, \"gruops\": 8", ERR_FORMAT, "stages[1].gruops: unknown"},
        {"\"stride\": 2", "\"stride\": 2, \"groups\": 8", ERR_RANGE, "stages[1].groups: only"},
        {"\"basic\", \"blocks\": 3", "\"bottleneck\", \"groups\": 3, \"blocks\": 3", ERR_RANGE,
         "stages[1].groups is 3, which does not divide the 16 channels"},
        {"\"basic\", \"blocks\": 3", "\"bottleneck\", \"group_width\": 16385, \"blocks\": 3",
         ERR_RANGE, "stages[1].group_width"},
        {"\"basic\", \"blocks\": 3", "\"bottleneck\", \"groups\": -1, \"blocks\": 3", ERR_RANGE,
         "stages[1].groups"},
        {"\"stride\": 2", "\"pool\": 1", ERR_RANGE, "stages[1].pool is 1"},
        {"\"stride\": 2", "\"pool\": 16", ERR_RANGE, "stages[1].pool"},
        {"\"basic\", \"blocks\": 2, \"channels\": 8", "\"pyramid\", \"blocks\": 2, \"channels\": 7",
         ERR_RANGE, "stages[0].channels is 7, a pyramid must not have fewer"},
        {"\"pad\": 1", "\"pad\": 1, \"after\": \"relu\"", ERR_UNSUPPORTED,
         "stem.after: must be one of \"bn-relu\", \"bn\", \"nothing\""},
        {"\"pad\": 1", "\"pad\": 1, \"pool\": 2", ERR_FORMAT, "stem.pool: must be an object"},
        {"\"pad\": 1", "\"pad\": 1, \"pool\": {\"kernel\": 3, \"stride\": 2}", ERR_FORMAT,
         "stem.pool.pad: missing"},
        {"\"pad\": 1", "\"pad\": 1, \"pool\": {\"kernel\": 3, \"stride\": 2, \"pad\": 3}",
         ERR_RANGE, "stem.pool.pad"},
        {"\"pad\": 1", "\"pad\": 1, \"pool\": {\"kernel\": 3, \"stride\": 0, \"pad\": 1}",
         ERR_RANGE, "stem.pool.stride"},
        {" \"stem\": {\"kernel\": 3, \"channels\": 8, \"stride\": 1, \"pad\": 1},", "", ERR_RANGE,
         "stem: missing; only vgg blocks can see the image"},
        {"\"classes\": 10", "\"classes\": 10, \"classifier\": {}", ERR_FORMAT,
         "classifier.hidden: missing"},
        {"\"classes\": 10", "\"classes\": 10, \"classifier\": {\"hidden\": []}", ERR_RANGE,
         "classifier.hidden: must have 1 to 4 items"},
        {"\"classes\": 10", "\"classes\": 10, \"classifier\": {\"hidden\": [5, 0]}", ERR_RANGE,
         "classifier.hidden[1]"},
        {"\"classes\": 10", "\"classes\": 10, \"classifier\": {\"hidden\": [5, \"6\"]}", ERR_FORMAT,
         "classifier.hidden[1]"},
        {"\"classes\": 10", "\"classes\": 10, \"classifier\": {\"hidden\": [5], \"pooled\": 65}",
         ERR_RANGE, "classifier.pooled"},
        {"\"classes\": 10", "\"classes\": 10, \"classifier\": {\"hidden\": [5], \"dropout\": 1}",
         ERR_FORMAT, "classifier.dropout: unknown"},
        {"[2, 3, 5]", "\"thirds\"", ERR_UNSUPPORTED,
         "cuts: must be one of \"quarters\", \"stages\""},
        {"\"scala\"", "\"sepconv+attention\"", ERR_RANGE, "heads.mid_channels: separable"},
        {"\"basic\", \"blocks\": 3", "\"wide\", \"blocks\": 3", ERR_UNSUPPORTED, "stages[1].block"},
        {"\"basic\", \"blocks\": 3", "0, \"blocks\": 3", ERR_FORMAT, "stages[1].block"},
        {"[2, 3, 5]", "[]", ERR_RANGE, "cuts"},
        {"[2, 3, 5]", "5", ERR_FORMAT, "cuts"},
        {"[2, 3, 5]", "[2, 3.5, 5]", ERR_FORMAT, "cuts[1]"},
        {"[2, 3, 5]", "[2, 2, 5]", ERR_RANGE, "cuts[1]"},
        {"[2, 3, 5]", "[2, 3, 6]", ERR_RANGE, "cuts[2]"},
        {"[2, 3, 5]", "[2, 3]", ERR_RANGE, "cuts[1]"},
        {"[2, 3, 5]", "[0, 3, 5]", ERR_RANGE, "cuts[0]"},
        {"[2, 3, 5]", "[4294967298, 3, 5]", ERR_RANGE, "cuts[0]"},
        {"[2, 3, 5]", "[1,2,3,4,5,6,7,8,9]", ERR_RANGE, "cuts: must have 1 to 8"},
        {"\"scala\"", "\"linear\"", ERR_UNSUPPORTED, "heads.kind: must be one of \"scala\""},
        {"\"mid_channels\": 12", "\"mid_channels\": 0", ERR_RANGE, "heads.mid_channels"},
        {", \"mid_channels\": 12", "", ERR_FORMAT, "heads.mid_channels: missing"},
        {", \"heads\": {\"kind\": \"scala\", \"mid_channels\": 12}", "", ERR_FORMAT,
         "heads: missing"},
        {"\"classes\": 10", "\"classes\": 10, \"classes\": 10", ERR_FORMAT, "duplicate"},
        {"}}", "}", ERR_FORMAT, "line"},
        {"}}", "}} 1", ERR_FORMAT, "line"},
        {"}}", ",}}", ERR_FORMAT, "line"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_refused(cases[i].from, cases[i].to, cases[i].code, cases[i].words);
    }
}

/* Cuts by a word, or by none. */
static void test_cuts(void **state)
{
    (void)state;
    static const struct {
        const char *cuts;
        int n, at[4];
    } cases[] = {
        {"", 4, {2, 3, 4, 5}},
        {"\"cuts\": \"quarters\", ", 4, {2, 3, 4, 5}},
        {"\"cuts\": \"stages\", ", 2, {2, 5}},
    };
    const char *at = strstr(good, "\"cuts\""), *after = strstr(good, "\"heads\"");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[2048];
        struct spec s;
        struct err e = {0};
        snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, cases[i].cuts, after);
        if (spec_parse(text, strlen(text), &s, &e) < 0) fail_msg("%s", e.text);
        assert_int_equal(s.n_sections, cases[i].n);
        for (int j = 0; j < s.n_sections; j++) assert_int_equal(s.cuts[j], cases[i].at[j]);
    }
}

/* One section has no shallow head: the spec may name heads or not. */
static void test_one_section(void **state)
{
    (void)state;
    char text[2048];
    struct spec s, read;
    struct err e = {0};
    const char *cuts = strstr(good, "[2, 3, 5]");
    snprintf(text, sizeof(text), "%.*s[5]}", (int)(cuts - good), good);
    if (spec_parse(text, strlen(text), &s, &e) < 0) fail_msg("%s", e.text);
    assert_int_equal(s.n_sections, 1);
    char *written = spec_format(&s);
    assert_int_equal(spec_parse(written, strlen(written), &read, &e), 0);
    assert_same(&s, &read);
    mem_free(written);
    snprintf(text, sizeof(text), "%.*s[5]%s", (int)(cuts - good), good, cuts + strlen("[2, 3, 5]"));
    assert_int_equal(spec_parse(text, strlen(text), &s, &e), 0);
}

static void test_hostile(void **state)
{
    (void)state;
    enum { LONG = 300000 };
    struct spec s;
    struct err e = {0};
    char *text = mem_new(LONG, 1);
    memset(text, ' ', LONG);
    assert_int_equal(spec_parse(text, LONG, &s, &e), ERR_LIMIT);
    assert_int_equal(spec_parse("", 0, &s, &e), ERR_FORMAT);
    for (size_t i = 0; i < 200000; i += 4) memcpy(text + i, " [],", 4);
    assert_int_equal(spec_parse(text, 200000, &s, &e), ERR_FORMAT);
    memset(text, '[', 10000);
    assert_int_equal(spec_parse(text, 10000, &s, &e), ERR_FORMAT);
    mem_free(text);
    for (size_t n = 0; n < strlen(good); n++) {
        char *prefix = mem_new(n, 1);
        memcpy(prefix, good, n);
        assert_int_equal(spec_parse(prefix, n, &s, &e), ERR_FORMAT);
        mem_free(prefix);
    }
    assert_int_equal(spec_read("/does/not/exist.json", &s, &e), -ENOENT);
    assert_non_null(strstr(e.text, "/does/not/exist.json"));
}

static void test_no_memory(void **state)
{
    (void)state;
    struct spec s;
    assert_int_equal(spec_parse(good, strlen(good), &s, NULL), 0);
    for (unsigned n = 1;; n++) {
        mem_fail_at(n);
        char *text = spec_format(&s);
        bool fired = mem_fail_left() == 0;
        mem_fail_at(0);
        if (!fired) {
            assert_non_null(text);
            mem_free(text);
            break;
        }
        assert_null(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resnet18),   cmocka_unit_test(test_values),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_wrong_members),
        cmocka_unit_test(test_cuts),       cmocka_unit_test(test_one_section),
        cmocka_unit_test(test_hostile),    cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
