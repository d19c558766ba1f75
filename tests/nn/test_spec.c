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
    if (rc != code || e.code != code || !strstr(e.text, member))
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
}

static void test_how_things_fit(void **state)
{
    (void)state;
    refuse("cuts[0]", ERR_RANGE, offsetof(struct spec, cuts[0]), 0);
    refuse("cuts[1]", ERR_RANGE, offsetof(struct spec, cuts[1]), 2); /* not above cuts[0] */
    refuse("cuts[2]", ERR_RANGE, offsetof(struct spec, cuts[1]), 6); /* not above cuts[1] */
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
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_how_things_fit),
        cmocka_unit_test(test_scale),
    };
    return cmocka_run_group_tests_name("spec", tests, NULL, NULL);
}
