/* Specs: range checks and scaling. A spec comes from a file, so nothing in it is believed: after
 * spec_check() every later size computation of this layer fits into size_t and int. What needs the
 * derived shapes (does the map of a stage vanish?) is found by net_new(). */
#include "config.h"

#include "nn/spec.h"

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { KERNEL_MAX = 15, STRIDE_MAX = 8 };

static int check_range(struct err *e, const char *member, int value, int low, int high)
{
    if (value >= low && value <= high) return 0;
    return err_set(e, ERR_RANGE, "spec: %s is %d, it must lie in %d..%d", member, value, low, high);
}

static int check_stage(const struct spec_stage *s, int index, struct err *e)
{
    const struct {
        const char *member;
        int value, high;
    } ranges[] = {
        {"blocks", s->blocks, SPEC_BLOCKS_MAX},
        {"channels", s->channels, SPEC_CHANNELS_MAX},
        {"stride", s->stride, STRIDE_MAX},
    };
    if (s->block != SPEC_BLOCK_BASIC)
        return err_set(e, ERR_UNSUPPORTED, "spec: stages[%d].block: %d is no known kind of block",
                       index, (int)s->block);
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        char member[64];
        snprintf(member, sizeof(member), "stages[%d].%s", index, ranges[i].member);
        int rc = check_range(e, member, ranges[i].value, 1, ranges[i].high);
        if (rc < 0) return rc;
    }
    return 0;
}

static int check_stages(const struct spec *spec, struct err *e, int *ret_blocks)
{
    int rc = check_range(e, "stages (their number)", spec->n_stages, 1, SPEC_STAGES_MAX);
    int blocks = 0;
    for (int i = 0; rc == 0 && i < spec->n_stages; i++) {
        rc = check_stage(&spec->stages[i], i, e);
        if (rc == 0) blocks += spec->stages[i].blocks;
        if (blocks > SPEC_BLOCKS_MAX)
            rc = err_set(e, ERR_RANGE, "spec: stages[%d].blocks: more than %d blocks in all stages",
                         i, SPEC_BLOCKS_MAX);
    }
    if (rc == 0) *ret_blocks = blocks;
    return rc;
}

static int check_cuts(const struct spec *spec, int blocks, struct err *e)
{
    int rc = check_range(e, "cuts (their number)", spec->n_sections, 1, SPEC_SECTIONS_MAX);
    if (rc < 0) return rc;

    int last = spec->n_sections - 1;
    for (int i = 0; i <= last; i++) {
        int low = i > 0 ? spec->cuts[i - 1] + 1 : 1;
        if (spec->cuts[i] < low || spec->cuts[i] > blocks)
            return err_set(
                e, ERR_RANGE,
                "spec: cuts[%d] is %d, it must lie in %d..%d (cuts rise and count blocks)", i,
                spec->cuts[i], low, blocks);
    }
    if (spec->cuts[last] != blocks)
        return err_set(e, ERR_RANGE,
                       "spec: cuts[%d] is %d, the last cut must be the number of blocks, %d", last,
                       spec->cuts[last], blocks);
    return 0;
}

int spec_check(const struct spec *spec, struct err *e)
{
    size_t length = strnlen(spec->name, sizeof(spec->name));
    if (length == 0 || length > SPEC_NAME_MAX)
        return err_set(e, ERR_RANGE, "spec: name must have 1 to %d characters", SPEC_NAME_MAX);

    const struct {
        const char *member;
        int value, low, high;
    } ranges[] = {
        {"classes", spec->classes, 1, SPEC_CLASSES_MAX},
        {"input.channels", spec->channels, 1, SPEC_CHANNELS_MAX},
        {"input.height", spec->height, 1, SPEC_SIDE_MAX},
        {"input.width", spec->width, 1, SPEC_SIDE_MAX},
        {"stem.kernel", spec->stem.kernel, 1, KERNEL_MAX},
        {"stem.channels", spec->stem.channels, 1, SPEC_CHANNELS_MAX},
        {"stem.stride", spec->stem.stride, 1, STRIDE_MAX},
        {"stem.pad", spec->stem.pad, 0, KERNEL_MAX / 2},
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        int rc = check_range(e, ranges[i].member, ranges[i].value, ranges[i].low, ranges[i].high);
        if (rc < 0) return rc;
    }
    /* A wider pad than this would make outputs that see no input at all. */
    if (spec->stem.pad >= spec->stem.kernel)
        return err_set(e, ERR_RANGE, "spec: stem.pad is %d, it must be less than stem.kernel, %d",
                       spec->stem.pad, spec->stem.kernel);

    int blocks = 0;
    int rc = check_stages(spec, e, &blocks);
    if (rc == 0) rc = check_cuts(spec, blocks, e);
    if (rc < 0) return rc;

    if (spec->n_sections == 1) return 0; /* no shallow head, nothing more to say about heads */
    if (spec->heads.kind != SPEC_HEAD_SCALA)
        return err_set(e, ERR_UNSUPPORTED,
                       "spec: heads.kind: %d is no kind of head that this program knows",
                       (int)spec->heads.kind);
    return check_range(e, "heads.mid_channels", spec->heads.mid_channels, 1, SPEC_CHANNELS_MAX);
}

/* round(channels * width / own), at least 1; a result past int's range fails the check that
 * follows. */
static int scale_channels(int channels, int width, int own)
{
    int64_t scaled = (2 * (int64_t)channels * width + own) / (2 * (int64_t)own);
    return scaled < 1 ? 1 : scaled > INT_MAX ? INT_MAX : (int)scaled;
}

int spec_scale(struct spec *spec, int width, int classes, struct err *e)
{
    int rc = spec_check(spec, e);
    if (rc == 0 && width != 0) rc = check_range(e, "width", width, 1, SPEC_CHANNELS_MAX);
    if (rc == 0 && classes != 0) rc = check_range(e, "classes", classes, 1, SPEC_CLASSES_MAX);
    if (rc < 0) return rc;

    struct spec scaled = *spec;
    if (width != 0) {
        int own = spec->stages[0].channels;
        scaled.stem.channels = scale_channels(spec->stem.channels, width, own);
        for (int i = 0; i < spec->n_stages; i++)
            scaled.stages[i].channels = scale_channels(spec->stages[i].channels, width, own);
        if (spec->n_sections > 1)
            scaled.heads.mid_channels = scale_channels(spec->heads.mid_channels, width, own);
    }
    if (classes != 0) scaled.classes = classes;
    rc = spec_check(&scaled, e);
    if (rc == 0) *spec = scaled;
    return rc;
}
