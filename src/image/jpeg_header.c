/* The segments of a JPEG (ITU-T T.81, annex B) up to its first scan: SOI, tables, one frame header
 * (SOF), the scan header (SOS). Where pixels come in several scans, these are counted, too, as far
 * as that is cheap: each costs a walk over all blocks, whatever its size.
 *
 * Tables are not looked at, the decoder does that. What is checked here is what sizes and prices
 * are computed from, and what a message can say better than the decoder's. */
#include "config.h"

#include "exif.h"
#include "header.h"

#include <stdbool.h>
#include <string.h>

enum {
    TEM = 0x01,
    SOF0 = 0xc0,
    SOF2 = 0xc2,
    SOF3 = 0xc3,
    SOF9 = 0xc9,
    SOF10 = 0xca,
    SOF15 = 0xcf,
    DHT = 0xc4,
    JPG = 0xc8,
    DAC = 0xcc,
    RST0 = 0xd0,
    RST7 = 0xd7,
    SOI = 0xd8,
    EOI = 0xd9,
    SOS = 0xda,
    APP1 = 0xe1,

    SEGMENTS_MAX = 4096,     /* before the first scan; a profile of 24 MiB takes 400 */
    GARBAGE_MAX = 1 << 16,   /* bytes between segments */
    SCANS_WALKED_MAX = 1000, /* scans, and bytes, that are walked over at most */
    BYTES_WALKED_MAX = 1 << 18,
    BLOCK_BYTES = 64 * 2, /* coefficients of a block in memory */
    ROWS_KEPT = 64,       /* of samples in the decoder's buffers, for each component */
    HEAP_FIXED = 1 << 19, /* its tables */
};

struct component {
    int id, across, down; /* sampling factors */
};

struct jpeg {
    const uint8_t *bytes;
    size_t size, at;
    bool framed, exif;
    struct component components[IMAGE_COMPONENTS_MAX];
    struct image_info *info;
};

static int cut_short(const struct jpeg *j, struct err *e)
{
    return err_set(e, ERR_FORMAT, "the JPEG is cut short: it ends after %zu bytes, %s", j->size,
                   j->framed ? "before its pixel data" : "inside its header");
}

static int damaged(struct err *e, const char *what, size_t at)
{
    return err_set(e, ERR_FORMAT, "the JPEG is damaged: %s at byte %zu", what, at);
}

/* Goes to the next marker, over garbage and fill bytes; its code. */
static int next_marker(struct jpeg *j, struct err *e)
{
    const size_t left = j->size - j->at, look = left < GARBAGE_MAX ? left : GARBAGE_MAX;
    const uint8_t *p = memchr(j->bytes + j->at, 0xff, look);
    if (p == NULL) {
        return left <= GARBAGE_MAX ? cut_short(j, e) : damaged(e, "no marker", j->at);
    }
    j->at = (size_t)(p - j->bytes);
    while (j->at < j->size && j->bytes[j->at] == 0xff) j->at++;
    if (j->at == j->size) return cut_short(j, e);
    return j->bytes[j->at++];
}

static bool has_no_length(int marker)
{
    return marker == 0 || marker == TEM || (marker >= RST0 && marker <= SOI);
}

/* The segment at j->at: its data behind the length; j->at moves behind it. */
static int take_segment(struct jpeg *j, const uint8_t **ret_data, size_t *ret_size, struct err *e)
{
    if (j->size - j->at < 2) return cut_short(j, e);
    const size_t length = (size_t)j->bytes[j->at] << 8 | j->bytes[j->at + 1];
    if (length < 2) return damaged(e, "a segment without a length", j->at);
    if (length > j->size - j->at) return cut_short(j, e);
    *ret_data = j->bytes + j->at + 2;
    *ret_size = length - 2;
    j->at += length;
    return 0;
}

static bool is_frame(int marker)
{
    return marker >= SOF0 && marker <= SOF15 && marker != DHT && marker != JPG && marker != DAC;
}

static int check_process(int marker, struct err *e)
{
    if (marker <= SOF2 || marker == SOF9 || marker == SOF10) return 0;
    return err_set(
        e, ERR_UNSUPPORTED,
        "a JPEG with %s is not supported; save it as a baseline or progressive JPEG or as PNG",
        marker == SOF3 || marker == SOF9 + 2 ? "lossless coding" : "hierarchical coding");
}

/* Blocks of a side, and those with which the decoder fills up its last group. */
static uint64_t blocks_of(int side, int factor, int factor_max)
{
    return ((uint64_t)side * (uint64_t)factor + 8 * (uint64_t)factor_max - 1) /
           (8 * (uint64_t)factor_max);
}

static uint64_t round_up(uint64_t value, int multiple)
{
    const uint64_t m = (uint64_t)multiple;
    return (value + m - 1) / m * m;
}

static void count_samples(const struct jpeg *j)
{
    struct image_info *info = j->info;
    int across = 1, down = 1;
    for (int i = 0; i < info->channels; i++) {
        if (j->components[i].across > across) across = j->components[i].across;
        if (j->components[i].down > down) down = j->components[i].down;
    }
    for (int i = 0; i < info->channels; i++) {
        const struct component *c = &j->components[i];
        const uint64_t w = blocks_of(info->width, c->across, across);
        const uint64_t h = blocks_of(info->height, c->down, down);
        info->component_samples[i] = w * h * 64;
        info->coefficient_bytes += round_up(w, c->across) * round_up(h, c->down) * BLOCK_BYTES;
    }
}

static int read_frame(struct jpeg *j, int marker, const uint8_t *data, size_t size, struct err *e)
{
    const size_t at = j->at - size;
    struct image_info *info = j->info;
    int rc = check_process(marker, e);
    if (rc < 0) return rc;
    if (j->framed || size < 6 || size != 6 + 3 * (size_t)data[5]) {
        return damaged(e, "a frame header", at);
    }
    info->depth = data[0];
    info->height = data[1] << 8 | data[2];
    info->width = data[3] << 8 | data[4];
    info->channels = data[5];
    info->progressive = marker == SOF2 || marker == SOF10;
    info->arithmetic = marker >= SOF9;
    if (info->depth != 8) {
        return err_set(e, ERR_UNSUPPORTED,
                       "a JPEG of %d bits is not supported; save it with 8 bits", info->depth);
    }
    if (info->height == 0) {
        return err_set(
            e, ERR_UNSUPPORTED,
            "a JPEG that gives its height after its pixels is not supported; save it again");
    }
    if (info->width == 0) return damaged(e, "a width of 0", at);
    if (info->channels != 1 && info->channels != 3 && info->channels != 4) {
        return err_set(e, ERR_UNSUPPORTED, "a JPEG of %d colour components is not supported",
                       info->channels);
    }
    for (int i = 0; i < info->channels; i++) {
        const uint8_t *c = data + 6 + 3 * i;
        j->components[i] = (struct component){c[0], c[1] >> 4, c[1] & 15};
        if (j->components[i].across < 1 || j->components[i].across > 4 ||
            j->components[i].down < 1 || j->components[i].down > 4) {
            return damaged(e, "a sampling factor", at);
        }
    }
    count_samples(j);
    j->framed = true;
    return 0;
}

/* The first Exif segment says which side is up. */
static void read_exif(struct jpeg *j, const uint8_t *data, size_t size)
{
    static const uint8_t name[6] = {'E', 'x', 'i', 'f', 0, 0};
    if (j->exif || size < sizeof(name) || memcmp(data, name, sizeof(name)) != 0) return;
    j->info->orientation = exif_orientation(data + sizeof(name), size - sizeof(name));
    j->exif = true;
}

/* Adds a scan's samples. A header that makes no sense counts nothing: decoding will say so. */
static void count_scan(struct jpeg *j, const uint8_t *data, size_t size)
{
    struct image_info *info = j->info;
    info->scans++;
    const size_t n = size > 0 ? data[0] : 0;
    if (n < 1 || n > IMAGE_COMPONENTS_MAX || size < 1 + 2 * n) return;
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < info->channels; k++) {
            if (j->components[k].id != data[1 + 2 * i]) continue;
            info->scan_samples += info->component_samples[k];
            break;
        }
    }
}

/* Over entropy-coded data to the marker that ends it; false at the end of the data or of what may
 * be walked over. */
static bool skip_entropy(struct jpeg *j, size_t end)
{
    for (;;) {
        if (j->at >= end) return false;
        const uint8_t *p = memchr(j->bytes + j->at, 0xff, end - j->at);
        if (p == NULL || p + 1 >= j->bytes + end) return false;
        j->at = (size_t)(p - j->bytes);
        const int code = p[1];
        if (code != 0 && code != 0xff && !(code >= RST0 && code <= RST7)) return true;
        j->at += code == 0xff ? 1 : 2;
    }
}

/* Counts the scans behind the first one. Where the way is lost, the decoder may still find more. */
static void walk_scans(struct jpeg *j)
{
    struct image_info *info = j->info;
    const size_t begin = j->at;
    const bool all = j->size - begin <= BYTES_WALKED_MAX;
    const size_t end = all ? j->size : begin + BYTES_WALKED_MAX;
    bool lost = false, ended = false;
    while (!lost && !ended && info->scans < SCANS_WALKED_MAX && skip_entropy(j, end)) {
        int marker = SOI;
        while (has_no_length(marker) && j->at < end) marker = next_marker(j, NULL);
        const uint8_t *data;
        size_t size;
        ended = marker == EOI;
        lost = !ended && (marker < 0 || take_segment(j, &data, &size, NULL) < 0);
        if (!lost && marker == SOS) count_scan(j, data, size);
    }
    info->scans_walked = all && !lost && info->scans < SCANS_WALKED_MAX;
    info->scan_bytes = j->at - begin;
}

/* Segment after segment up to and including the header of the first scan. */
static int walk(struct jpeg *j, struct err *e)
{
    for (int n = 0; n < SEGMENTS_MAX; n++) {
        const int marker = next_marker(j, e);
        if (marker < 0) return marker;
        if (marker == EOI) {
            return err_set(e, ERR_FORMAT, "the JPEG is damaged: it has no %s",
                           j->framed ? "pixel data" : "frame header");
        }
        if (has_no_length(marker)) continue;
        const uint8_t *data = NULL;
        size_t size = 0;
        int rc = take_segment(j, &data, &size, e);
        if (rc < 0) return rc;
        if (marker == SOS) {
            if (!j->framed) return damaged(e, "a scan before its frame", j->at - size);
            count_scan(j, data, size);
            j->info->multiscan = j->info->progressive || (size > 0 && data[0] < j->info->channels);
            j->info->scans_walked = true;
            if (j->info->multiscan) walk_scans(j);
            return 0;
        }
        if (is_frame(marker)) rc = read_frame(j, marker, data, size, e);
        if (rc < 0) return rc;
        if (marker == APP1) read_exif(j, data, size);
    }
    return err_set(e, ERR_LIMIT, "the JPEG has more than %d segments before its pixel data",
                   SEGMENTS_MAX);
}

int jpeg_header(const uint8_t *bytes, size_t size, struct image_info *ret, struct err *e)
{
    *ret = (struct image_info){.format = IMAGE_JPEG, .orientation = ORIENTATION_NORMAL};
    struct jpeg j = {.bytes = bytes, .size = size, .at = 2, .info = ret};
    return walk(&j, e);
}

/* Some rows of samples for each component; of several scans all coefficients. */
size_t jpeg_heap_bytes(const struct image_info *info)
{
    const size_t row = ((size_t)info->width + 64) * (size_t)info->channels;
    return HEAP_FIXED + ROWS_KEPT * row + (info->multiscan ? (size_t)info->coefficient_bytes : 0);
}
