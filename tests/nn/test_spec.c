/* Specs: what is refused, with the member's name in the message, and scaling. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "nets.h"
#include "nn/net.h"

/* A change of one member of ResNet18's spec, and what the message must name. */
static void refuse(const char *member, int code, size_t offset, int value)
{
    struct err e = {0};
    struct spec spec = spec_resnet18();
    memcpy((char *)&spec + offset, &value, sizeof(value));
    int rc = spec_check(&spec, &e);
    if (rc != code || e.code != code || strstr(e.text, member) == NULL)
        fail_msg("%s = %d: code %d, \"%s\"", member, value, rc, e.text);
    assert_null(net_new(&spec, &e)); /* which checks again */
    assert_int_equal(e.code, code);
}

#define REFUSE_OUTSIDE(member, low, high)                                                          \
    do {                                                                                           \
        refuse(#member, ERR_RANGE, offsetof(struct spec, member), (low)-1);                        \
        refuse(#member, ERR_RANGE, offsetof(struct spec, member), (high) + 1);                     \
        refuse(#member, ERR_RANGE, offsetof(struct spec, member), INT32_MIN);                      \
        refuse(#member, ERR_RANGE, offsetof(struct spec, member), INT32_MAX);                      \
    } while (0)

static void test_ranges(void **state)
{
    (void)state;
    REFUSE_OUTSIDE(classes, 1, SPEC_CLASSES_MAX);
    REFUSE_OUTSIDE(channels, 1, SPEC_CHANNELS_MAX);
    REFUSE_OUTSIDE(height, 1, SPEC_SIDE_MAX);
    REFUSE_OUTSIDE(width, 1, SPEC_SIDE_MAX);
    REFUSE_OUTSIDE(stem.kernel, 1, 15);
    REFUSE_OUTSIDE(stem.channels, 1, SPEC_CHANNELS_MAX);
    REFUSE_OUTSIDE(stem.stride, 1, 8);
    REFUSE_OUTSIDE(stem.pad, 0, 2); /* less than the kernel, 3 */
    REFUSE_OUTSIDE(stages[0].channels, 1, SPEC_CHANNELS_MAX);
    REFUSE_OUTSIDE(stages[2].stride, 1, 8);
    REFUSE_OUTSIDE(stages[3].blocks, 1, SPEC_BLOCKS_MAX);
    REFUSE_OUTSIDE(heads.mid_channels, 1, SPEC_CHANNELS_MAX);
    refuse("stages (their number)", ERR_RANGE, offsetof(struct spec, n_stages), 0);
    refuse("stages (their number)", ERR_RANGE, offsetof(struct spec, n_stages),
           SPEC_STAGES_MAX + 1);
    refuse("cuts (their number)", ERR_RANGE, offsetof(struct spec, n_sections), 0);
    refuse("cuts (their number)", ERR_RANGE, offsetof(struct spec, n_sections),
           SPEC_SECTIONS_MAX + 1);
    refuse("stages[1].block", ERR_UNSUPPORTED, offsetof(struct spec, stages[1].block), 77);
    refuse("heads.kind", ERR_UNSUPPORTED, offsetof(struct spec, heads.kind), 77);
    refuse("stem.after", ERR_UNSUPPORTED, offsetof(struct spec, stem.after), 77);
    REFUSE_OUTSIDE(stem.pool.kernel, 0, 15);
    REFUSE_OUTSIDE(stem.pool.pad, 0, 7);
    REFUSE_OUTSIDE(classifier.pooled, 0, 64);
    REFUSE_OUTSIDE(stages[1].pool, 0, 15);
    refuse("classifier.hidden (their number)", ERR_RANGE,
           offsetof(struct spec, classifier.n_hidden), SPEC_HIDDEN_MAX + 1);
    refuse("classifier.hidden (their number)", ERR_RANGE,
           offsetof(struct spec, classifier.n_hidden), -1);
    refuse("classifier.hidden[0]", ERR_RANGE, offsetof(struct spec, classifier.n_hidden), 1);
}

static void test_how_things_fit(void **state)
{
    (void)state;
    refuse("cuts[0]", ERR_RANGE, offsetof(struct spec, cuts[0]), 0);
    refuse("cuts[1] is 2, behind 2: cuts rise", ERR_RANGE, offsetof(struct spec, cuts[1]), 2);
    refuse("cuts[2] is 6, behind 8: cuts rise", ERR_RANGE, offsetof(struct spec, cuts[1]), 8);
    refuse("cuts[3]", ERR_RANGE, offsetof(struct spec, cuts[3]), 7); /* not the last block */
    refuse("cuts[3]", ERR_RANGE, offsetof(struct spec, cuts[3]), 9); /* more than there are */
    refuse("stages[3].blocks", ERR_RANGE, offsetof(struct spec, stages[3].blocks),
           SPEC_BLOCKS_MAX - 5);

    struct err e = {0};
    struct spec spec = spec_resnet18();
    spec.name[0] = '\0';
    assert_int_equal(spec_check(&spec, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "name"));
    memset(spec.name, 'x', sizeof(spec.name)); /* not terminated */
    assert_int_equal(spec_check(&spec, &e), ERR_RANGE);
    memset(spec.name, 'x', SPEC_NAME_MAX);
    spec.name[SPEC_NAME_MAX] = '\0';
    assert_int_equal(spec_check(&spec, &e), 0);
    assert_int_equal(spec_check(&spec, NULL), 0);
    spec.classes = 0;
    assert_int_equal(spec_check(&spec, NULL), ERR_RANGE);

    /* Without shallow heads nothing is asked of them. */
    spec = spec_resnet18();
    spec.n_sections = 1;
    spec.cuts[0] = 8;
    spec.heads.mid_channels = 0;
    assert_int_equal(spec_check(&spec, &e), 0);
    assert_int_equal(spec_scale(&spec, 16, 0, &e), 0);
}

static void assert_refused(const struct spec *spec, const char *words)
{
    struct err e = {0};
    int rc = spec_check(spec, &e);
    if (rc != ERR_RANGE || strstr(e.text, words) == NULL)
        fail_msg("%s: %d, \"%s\"", words, rc, e.text);
}

/* Members that belong to some kinds only. */
static void test_kinds(void **state)
{
    (void)state;
    struct err e = {0};
    for (int block = 0; block <= SPEC_BLOCK_VGG; block++) {
        for (int head = 0; head <= SPEC_HEAD_SEPCONV_ATTENTION; head++) {
            struct spec spec = spec_tiny((enum spec_block)block, (enum spec_head)head);
            if (spec_check(&spec, &e) < 0) fail_msg("%d, %d: %s", block, head, e.text);
            spec.stages[1].groups = 2;
            if (block == SPEC_BLOCK_BOTTLENECK)
                assert_int_equal(spec_check(&spec, &e), 0);
            else
                assert_refused(&spec, "stages[1].groups: only bottleneck");
        }
    }

    struct spec spec = spec_tiny(SPEC_BLOCK_BOTTLENECK, SPEC_HEAD_SCALA);
    assert_int_equal(spec_inner_channels(&spec.stages[0]), 4);
    spec.stages[0].group_width = 5;
    assert_int_equal(spec_inner_channels(&spec.stages[0]), 5);
    spec.stages[0].groups = 3;
    assert_int_equal(spec_inner_channels(&spec.stages[0]), 15);
    spec.stages[0].group_width = SPEC_CHANNELS_MAX / 3 + 1;
    assert_refused(&spec, "stages[0].group_width");
    spec.stages[0].group_width = 0;
    assert_refused(&spec, "stages[0].groups is 3, which does not divide the 4 channels");

    spec = spec_tiny(SPEC_BLOCK_PYRAMID, SPEC_HEAD_SCALA);
    spec.stages[1].channels = 3;
    assert_refused(&spec, "stages[1].channels is 3, a pyramid");
    spec.stages[1].channels = 4; /* no more, but no fewer */
    assert_int_equal(spec_check(&spec, &e), 0);
    memset(&spec.stem, 0, sizeof(spec.stem));
    assert_refused(&spec, "stem: missing");

    spec = spec_tiny(SPEC_BLOCK_VGG, SPEC_HEAD_SEPCONV_ATTENTION);
    spec.stem.after = SPEC_AFTER_NORM;
    assert_refused(&spec, "stem.after: there is no stem");
    spec.stem.after = SPEC_AFTER_NORM_RELU;
    spec.stem.pool.kernel = 2;
    assert_refused(&spec, "stem.pool: there is no stem");
    spec.stem.pool.kernel = 0;
    spec.heads.mid_channels = 1;
    assert_refused(&spec, "heads.mid_channels");
    spec.heads.mid_channels = 0;
    spec.classifier.pooled = 2;
    assert_refused(&spec, "classifier.pooled is 2, but without hidden layers");
    spec.classifier.pooled = 0;
    spec.stages[0].pool = 1;
    assert_refused(&spec, "stages[0].pool is 1");

    spec = spec_resnet18();
    spec.stem.pool.kernel = 3; /* whose stride is 0 */
    assert_refused(&spec, "stem.pool.stride");
    spec.stem.pool.stride = 2;
    spec.stem.pool.pad = 3;
    assert_refused(&spec, "stem.pool.pad is 3");
}

static void check_cuts(void (*cut)(struct spec *spec), int n_stages, const int *blocks, int n,
                       const int *wanted)
{
    struct spec spec = spec_resnet18();
    spec.n_stages = n_stages;
    for (int i = 0; i < n_stages; i++) {
        spec.stages[i] = spec.stages[0];
        spec.stages[i].blocks = blocks[i];
    }
    cut(&spec);
    assert_int_equal(spec.n_sections, n);
    assert_memory_equal(spec.cuts, wanted, (size_t)n * sizeof(*wanted));
    assert_int_equal(spec_check(&spec, NULL), 0);
}

/* The tables of method.md 3.7: columns Q and S. */
static void test_cuts(void **state)
{
    (void)state;
    static const int three[] = {3, 3, 3}, seven[] = {7, 7, 7}, four[] = {4, 4, 4};
    static const int eleven[] = {11, 11, 11}, fifty[] = {3, 4, 6, 3}, one[] = {1, 1, 1};
    check_cuts(spec_cut_quarters, 3, three, 4, (const int[]){3, 5, 7, 9});
    check_cuts(spec_cut_quarters, 3, seven, 4, (const int[]){6, 11, 16, 21});
    check_cuts(spec_cut_quarters, 3, four, 4, (const int[]){3, 6, 9, 12});
    check_cuts(spec_cut_quarters, 3, eleven, 4, (const int[]){9, 17, 25, 33});
    check_cuts(spec_cut_quarters, 3, one, 3, (const int[]){1, 2, 3});
    check_cuts(spec_cut_quarters, 1, one, 1, (const int[]){1});
    check_cuts(spec_cut_stages, 3, three, 4, (const int[]){3, 6, 8, 9});
    check_cuts(spec_cut_stages, 3, seven, 4, (const int[]){7, 14, 18, 21});
    check_cuts(spec_cut_stages, 3, four, 4, (const int[]){4, 8, 10, 12});
    check_cuts(spec_cut_stages, 3, eleven, 4, (const int[]){11, 22, 28, 33});
    check_cuts(spec_cut_stages, 4, fifty, 4, (const int[]){3, 7, 13, 16});
    check_cuts(spec_cut_stages, 3, one, 3, (const int[]){1, 2, 3});

    struct spec spec = spec_resnet18(); /* nonsense stays within the arrays, and is refused */
    spec.n_stages = INT32_MAX;
    for (int i = 0; i < SPEC_STAGES_MAX; i++) spec.stages[i].blocks = INT32_MAX;
    spec_cut_quarters(&spec);
    assert_int_equal(spec_check(&spec, NULL), ERR_RANGE);
    spec_cut_stages(&spec);
    assert_int_equal(spec_check(&spec, NULL), ERR_RANGE);
    spec.n_stages = 0;
    spec_cut_quarters(&spec);
    spec_cut_stages(&spec);
    assert_int_equal(spec.n_sections, 0);
}

static void test_scale(void **state)
{
    (void)state;
    struct err e = {0};
    struct spec spec = spec_resnet18(), old = spec;
    assert_int_equal(spec_scale(&spec, 0, 0, &e), 0);
    assert_memory_equal(&spec, &old, sizeof(spec));

    assert_int_equal(spec_scale(&spec, 16, 10, &e), 0);
    assert_int_equal(spec.classes, 10);
    assert_int_equal(spec.stem.channels, 16);
    assert_int_equal(spec.stages[0].channels, 16);
    assert_int_equal(spec.stages[3].channels, 128);
    assert_int_equal(spec.heads.mid_channels, 32);

    spec = old;
    spec.heads.mid_channels = 111; /* 111 * 9 / 64 = 15.6, 5 * 9 / 64 = 0.7, 3 * 9 / 64 = 0.4 */
    spec.stem.channels = 5;
    assert_int_equal(spec_scale(&spec, 9, 0, &e), 0);
    assert_int_equal(spec.heads.mid_channels, 16);
    assert_int_equal(spec.stem.channels, 1);
    spec = old;
    spec.stem.channels = 3;
    assert_int_equal(spec_scale(&spec, 9, 0, &e), 0);
    assert_int_equal(spec.stem.channels, 1); /* never none */

    spec = spec_tiny(SPEC_BLOCK_BOTTLENECK, SPEC_HEAD_SEPCONV_ATTENTION);
    spec.stages[0].groups = 2;
    spec.stages[1].groups = 4;
    spec.stages[1].group_width = 5;
    spec.classifier.n_hidden = 2;
    spec.classifier.hidden[0] = 100;
    spec.classifier.hidden[1] = 30;
    assert_int_equal(spec_scale(&spec, 8, 0, &e), 0);
    assert_int_equal(spec.stages[0].groups, 2); /* as many, but wider */
    assert_int_equal(spec.stages[0].group_width, 0);
    assert_int_equal(spec.stages[1].groups, 4);
    assert_int_equal(spec.stages[1].group_width, 10);
    assert_int_equal(spec.stages[1].channels, 12);
    assert_int_equal(spec.classifier.hidden[0], 200);
    assert_int_equal(spec.classifier.hidden[1], 60);
    assert_int_equal(spec.heads.mid_channels, 0);
    spec = spec_tiny(SPEC_BLOCK_VGG, SPEC_HEAD_SCALA);
    assert_int_equal(spec_scale(&spec, 6, 0, &e), 0);
    assert_int_equal(spec.stem.channels, 0); /* still none */

    spec = old; /* refused and unchanged */
    assert_int_equal(spec_scale(&spec, SPEC_CHANNELS_MAX, 0, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "stages[1].channels"));
    assert_int_equal(spec_scale(&spec, -1, 0, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "width"));
    assert_int_equal(spec_scale(&spec, 0, SPEC_CLASSES_MAX + 1, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "classes"));
    assert_memory_equal(&spec, &old, sizeof(spec));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges), cmocka_unit_test(test_how_things_fit),
        cmocka_unit_test(test_kinds),  cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_scale),
    };
    return cmocka_run_group_tests_name("spec", tests, NULL, NULL);
}
