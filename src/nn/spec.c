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

enum { KERNEL_MAX = 15, STRIDE_MAX = 8, POOLED_MAX = 64, SCAN_MID_CHANNELS = 128 };

static int check_range(struct err *e, const char *member, int value, int low, int high)
{
    if (value >= low && value <= high) return 0;
    return err_set(e, ERR_RANGE, "spec: %s is %d, it must lie in %d..%d", member, value, low, high);
}

/* Members that only some kinds of blocks have. */
static int check_stage_kind(const struct spec_stage *s, int index, struct err *e)
{
    char member[64];
    if (s->block < SPEC_BLOCK_BASIC || s->block > SPEC_BLOCK_VGG)
        return err_set(e, ERR_UNSUPPORTED, "spec: stages[%d].block: %d is no known kind of block",
                       index, (int)s->block);
    if (s->block != SPEC_BLOCK_BOTTLENECK && (s->groups != 0 || s->group_width != 0))
        return err_set(e, ERR_RANGE, "spec: stages[%d].%s: only bottleneck blocks have groups",
                       index, s->groups != 0 ? "groups" : "group_width");
    snprintf(member, sizeof(member), "stages[%d].groups", index);
    int rc = check_range(e, member, s->groups, 0, SPEC_CHANNELS_MAX);
    if (rc < 0) return rc;
    snprintf(member, sizeof(member), "stages[%d].group_width", index);
    rc = check_range(e, member, s->group_width, 0,
                     SPEC_CHANNELS_MAX / (s->groups > 1 ? s->groups : 1));
    if (rc == 0 && s->groups > 1 && s->group_width == 0 && s->channels % s->groups != 0)
        rc = err_set(e, ERR_RANGE,
                     "spec: stages[%d].groups is %d, which does not divide the %d channels; give "
                     "group_width",
                     index, s->groups, s->channels);
    if (rc < 0) return rc;
    snprintf(member, sizeof(member), "stages[%d].pool", index);
    rc = check_range(e, member, s->pool, 0, KERNEL_MAX);
    if (rc == 0 && s->pool == 1)
        rc = err_set(e, ERR_RANGE, "spec: stages[%d].pool is 1, which does nothing; 0 is none",
                     index);
    return rc;
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
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        char member[64];
        snprintf(member, sizeof(member), "stages[%d].%s", index, ranges[i].member);
        int rc = check_range(e, member, ranges[i].value, 1, ranges[i].high);
        if (rc < 0) return rc;
    }
    return check_stage_kind(s, index, e);
}

/* A pyramid block's shortcut can add channels, not take away, and its channels grow from those of
 * what stands before it. */
static int check_pyramid(const struct spec *spec, int index, struct err *e)
{
    const struct spec_stage *s = &spec->stages[index];
    int before = index > 0 ? spec->stages[index - 1].channels : spec->stem.channels;
    if (s->block != SPEC_BLOCK_PYRAMID || s->channels >= before) return 0;
    return err_set(
        e, ERR_RANGE,
        "spec: stages[%d].channels is %d, a pyramid must not have fewer than what stands "
        "before it, %d",
        index, s->channels, before);
}

static int check_stages(const struct spec *spec, struct err *e, int *ret_blocks)
{
    int rc = check_range(e, "stages (their number)", spec->n_stages, 1, SPEC_STAGES_MAX);
    int blocks = 0;
    for (int i = 0; rc == 0 && i < spec->n_stages; i++) {
        rc = check_stage(&spec->stages[i], i, e);
        if (rc == 0) rc = check_pyramid(spec, i, e);
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
        if (spec->cuts[i] < 1 || spec->cuts[i] > blocks)
            return err_set(e, ERR_RANGE,
                           "spec: cuts[%d] is %d, it must lie in 1..%d (cuts count blocks)", i,
                           spec->cuts[i], blocks);
        if (i > 0 && spec->cuts[i] <= spec->cuts[i - 1])
            return err_set(e, ERR_RANGE,
                           "spec: cuts[%d] is %d, behind %d: cuts rise, they count blocks from the "
                           "beginning of the network",
                           i, spec->cuts[i], spec->cuts[i - 1]);
    }
    if (spec->cuts[last] != blocks)
        return err_set(e, ERR_RANGE,
                       "spec: cuts[%d] is %d, the last cut must be the number of blocks, %d", last,
                       spec->cuts[last], blocks);
    return 0;
}

/* Only blocks that begin with a convolution can see the image: others would norm it or add it. */
static int check_no_stem(const struct spec *spec, struct err *e)
{
    if (spec->stem.after != SPEC_AFTER_NORM_RELU || spec->stem.pool.kernel != 0)
        return err_set(e, ERR_RANGE, "spec: stem.%s: there is no stem that could have it",
                       spec->stem.pool.kernel != 0 ? "pool" : "after");
    if (spec->n_stages >= 1 && spec->stages[0].block != SPEC_BLOCK_VGG)
        return err_set(e, ERR_RANGE, "spec: stem: missing; only vgg blocks can see the image");
    return 0;
}

static int check_stem(const struct spec *spec, struct err *e)
{
    if (spec->stem.kernel == 0 && spec->stem.channels == 0 && spec->stem.stride == 0 &&
        spec->stem.pad == 0)
        return check_no_stem(spec, e);

    const struct {
        const char *member;
        int value, low, high;
    } ranges[] = {
        {"stem.kernel", spec->stem.kernel, 1, KERNEL_MAX},
        {"stem.channels", spec->stem.channels, 1, SPEC_CHANNELS_MAX},
        {"stem.stride", spec->stem.stride, 1, STRIDE_MAX},
        {"stem.pad", spec->stem.pad, 0, KERNEL_MAX / 2},
        {"stem.pool.kernel", spec->stem.pool.kernel, 0, KERNEL_MAX},
        {"stem.pool.stride", spec->stem.pool.stride, spec->stem.pool.kernel > 0, STRIDE_MAX},
        {"stem.pool.pad", spec->stem.pool.pad, 0, KERNEL_MAX / 2},
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        int rc = check_range(e, ranges[i].member, ranges[i].value, ranges[i].low, ranges[i].high);
        if (rc < 0) return rc;
    }
    if (spec->stem.after < SPEC_AFTER_NORM_RELU || spec->stem.after > SPEC_AFTER_NOTHING)
        return err_set(e, ERR_UNSUPPORTED,
                       "spec: stem.after: %d is nothing that this program knows",
                       (int)spec->stem.after);
    /* A wider pad than this would make outputs that see no input at all. */
    if (spec->stem.pad >= spec->stem.kernel)
        return err_set(e, ERR_RANGE, "spec: stem.pad is %d, it must be less than stem.kernel, %d",
                       spec->stem.pad, spec->stem.kernel);
    if (spec->stem.pool.kernel > 0 && spec->stem.pool.pad >= spec->stem.pool.kernel)
        return err_set(e, ERR_RANGE,
                       "spec: stem.pool.pad is %d, it must be less than stem.pool.kernel, %d",
                       spec->stem.pool.pad, spec->stem.pool.kernel);
    return 0;
}

static int check_classifier(const struct spec *spec, struct err *e)
{
    int rc = check_range(e, "classifier.hidden (their number)", spec->classifier.n_hidden, 0,
                         SPEC_HIDDEN_MAX);
    for (int i = 0; rc == 0 && i < spec->classifier.n_hidden; i++) {
        char member[64];
        snprintf(member, sizeof(member), "classifier.hidden[%d]", i);
        rc = check_range(e, member, spec->classifier.hidden[i], 1, SPEC_CHANNELS_MAX);
    }
    if (rc == 0) rc = check_range(e, "classifier.pooled", spec->classifier.pooled, 0, POOLED_MAX);
    if (rc == 0 && spec->classifier.n_hidden == 0 && spec->classifier.pooled > 1)
        rc = err_set(
            e, ERR_RANGE,
            "spec: classifier.pooled is %d, but without hidden layers the mean over the map "
            "is classified: leave it out",
            spec->classifier.pooled);
    return rc;
}

static int check_heads(const struct spec *spec, struct err *e)
{
    if (spec->n_sections == 1) return 0; /* no shallow head, nothing more to say about heads */
    switch (spec->heads.kind) {
    case SPEC_HEAD_SCALA:
    case SPEC_HEAD_SCALA_ATTENTION:
        return check_range(e, "heads.mid_channels", spec->heads.mid_channels, 1, SPEC_CHANNELS_MAX);
    case SPEC_HEAD_SEPCONV_ATTENTION:
        if (spec->heads.mid_channels == 0) return 0;
        return err_set(e, ERR_RANGE, "spec: heads.mid_channels: separable heads have none");
    }
    return err_set(e, ERR_UNSUPPORTED,
                   "spec: heads.kind: %d is no kind of head that this program knows",
                   (int)spec->heads.kind);
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
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        int rc = check_range(e, ranges[i].member, ranges[i].value, ranges[i].low, ranges[i].high);
        if (rc < 0) return rc;
    }

    int blocks = 0;
    int rc = check_stem(spec, e);
    if (rc == 0) rc = check_stages(spec, e, &blocks);
    if (rc == 0) rc = check_cuts(spec, blocks, e);
    if (rc == 0) rc = check_classifier(spec, e);
    return rc < 0 ? rc : check_heads(spec, e);
}

void spec_set_heads(struct spec *spec, enum spec_head kind)
{
    if (spec->n_sections == 1) return; /* no shallow classifier */
    spec->heads.kind = kind;
    if (kind == SPEC_HEAD_SEPCONV_ATTENTION) {
        spec->heads.mid_channels = 0;
    } else if (spec->heads.mid_channels == 0) {
        spec->heads.mid_channels = SCAN_MID_CHANNELS;
    }
}

/* --- cuts ------------------------------------------------------------------------------------- */

/* Stages whose numbers can be read; the others are refused later. */
static int stage_count(const struct spec *spec)
{
    return spec->n_stages < SPEC_STAGES_MAX ? spec->n_stages : SPEC_STAGES_MAX;
}

/* A cut that fits an int; too many blocks are refused by the stages' check. */
static int cut_at(int64_t blocks)
{
    return blocks < SPEC_BLOCKS_MAX ? (int)blocks : SPEC_BLOCKS_MAX;
}

void spec_cut_quarters(struct spec *spec)
{
    int64_t blocks = 0;
    for (int i = 0; i < stage_count(spec); i++) blocks += spec->stages[i].blocks;
    int sections = blocks < 4 ? (int)blocks : 4;
    spec->n_sections = sections;
    for (int i = 1; i <= sections; i++)
        spec->cuts[i - 1] = cut_at((blocks * i + sections - 1) / sections);
}

void spec_cut_stages(struct spec *spec)
{
    int64_t blocks = 0;
    int n = 0, last = stage_count(spec) - 1;
    for (int i = 0; i <= last; i++) {
        int64_t own = spec->stages[i].blocks;
        if (last == 2 && i == last && own > 1) spec->cuts[n++] = cut_at(blocks + (own + 1) / 2);
        blocks += own;
        spec->cuts[n++] = cut_at(blocks);
    }
    spec->n_sections = n;
}

/* --- scaling ---------------------------------------------------------------------------------- */

/* round(channels * width / own), at least 1; 0 stays what it stands for. A result past int's range
 * fails the check that follows. */
static void scale_channels(int *channels, int width, int own)
{
    if (*channels == 0) return;
    int64_t scaled = (2 * (int64_t)*channels * width + own) / (2 * (int64_t)own);
    *channels = scaled < 1 ? 1 : scaled > INT_MAX ? INT_MAX : (int)scaled;
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
        for (int i = 0; i < spec->n_stages; i++) {
            struct spec_stage *stage = &scaled.stages[i];
            scale_channels(&stage->channels, width, own);
            scale_channels(&stage->group_width, width, own);
        }
        for (int i = 0; i < spec->classifier.n_hidden; i++)
            scale_channels(&scaled.classifier.hidden[i], width, own);
        scale_channels(&scaled.stem.channels, width, own);
        if (spec->n_sections > 1) scale_channels(&scaled.heads.mid_channels, width, own);
    }
    if (classes != 0) scaled.classes = classes;
    rc = spec_check(&scaled, e);
    if (rc == 0) *spec = scaled;
    return rc;
}
