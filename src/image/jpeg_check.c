/* The segments of a JPEG (ITU-T T.81, annex B): SOI, tables, one frame header (SOF), scans (SOS and
 * entropy-coded data), EOI.
 *
 * stb_image trusts Huffman tables to be no longer than their place and to be defined, decodes what
 * is missing as grey, and takes any number of scans. So the tables are checked here, every
 * component must have its data, the data must be long enough to hold so many blocks at all, and the
 * file must reach its end marker. Inside a scan nothing is decoded: damage that leaves the markers
 * alone is not seen. */
#include "config.h"

#include "check.h"
#include "exif.h"

#include <stdbool.h>
#include <string.h>

enum {
    SOF0 = 0xc0,
    SOF2 = 0xc2,
    SOF15 = 0xcf,
    DHT = 0xc4,
    JPG = 0xc8,
    DAC = 0xcc,
    RST0 = 0xd0,
    RST7 = 0xd7,
    SOI = 0xd8,
    EOI = 0xd9,
    SOS = 0xda,
    DQT = 0xdb,
    DNL = 0xdc,
    DRI = 0xdd,
    APP0 = 0xe0,
    APP1 = 0xe1,
    APP15 = 0xef,
    COM = 0xfe,

    COMPONENTS_MAX = 3,
    TABLES = 4,
    CODES_MAX = 256,
    SCANS_MAX = 100, /* encoders make ten or so; each costs a walk over all blocks */
    FIXED_BUDGET = 1 << 20,
};

struct component {
    int id, across, down, table; /* sampling factors, quantisation table */
    bool coded;                  /* a scan with its DC coefficients was there */
};

struct jpeg {
    const uint8_t *bytes;
    size_t size, at;
    bool framed, progressive;
    int orientation; /* 0: no Exif yet */
    int width, height, n_components, n_scans;
    struct component components[COMPONENTS_MAX];
    bool quantised[TABLES], huffman[2][TABLES]; /* tables seen; huffman: DC, AC */
    size_t entropy_bytes;
};

static int cut_short(const struct jpeg *j, struct err *e)
{
    return err_set(e, ERR_FORMAT,
                   "the JPEG is cut short: it ends after %zu bytes without its end marker",
                   j->size);
}

static int damaged(struct err *e, const char *what, size_t at)
{
    return err_set(e, ERR_FORMAT, "the JPEG is damaged: %s at byte %zu", what, at);
}

/* Goes to the next marker, over fill bytes; its code. */
static int next_marker(struct jpeg *j, struct err *e)
{
    while (j->at < j->size && j->bytes[j->at] != 0xff)
        j->at++; /* padding that some cameras write */
    while (j->at < j->size && j->bytes[j->at] == 0xff) j->at++;
    if (j->at == j->size) return cut_short(j, e);
    return j->bytes[j->at++];
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

/* Codes of each length must fit beside each other: then every index a decoder computes is inside.
 */
static int read_huffman(struct jpeg *j, const uint8_t *data, size_t size, struct err *e)
{
    const size_t at = j->at - size;
    while (size > 0) {
        if (size < 17) return damaged(e, "a Huffman table", at);
        const int kind = data[0] >> 4, table = data[0] & 15;
        size_t n = 0, room = 1; /* codes left at this length */
        for (int bits = 1; bits <= 16; bits++) {
            const size_t count = data[bits];
            room *= 2;
            if (count > room) return damaged(e, "a Huffman table", at);
            room -= count;
            n += count;
        }
        if (kind > 1 || table >= TABLES || n > CODES_MAX || n > size - 17) {
            return damaged(e, "a Huffman table", at);
        }
        j->huffman[kind][table] = true;
        data += 17 + n;
        size -= 17 + n;
    }
    return 0;
}

static int read_quantisation(struct jpeg *j, const uint8_t *data, size_t size, struct err *e)
{
    const size_t at = j->at - size;
    while (size > 0) {
        const int wide = data[0] >> 4, table = data[0] & 15;
        const size_t length = wide ? 129 : 65;
        if (wide > 1 || table >= TABLES || length > size) {
            return damaged(e, "a quantisation table", at);
        }
        j->quantised[table] = true;
        data += length;
        size -= length;
    }
    return 0;
}

static int check_process(int marker, struct err *e)
{
    if (marker <= SOF2) return 0; /* baseline, extended sequential, progressive */
    return err_set(
        e, ERR_UNSUPPORTED,
        "a JPEG with %s is not supported; save it as a baseline or progressive JPEG or as PNG",
        marker > JPG     ? "arithmetic coding"
        : marker == 0xc3 ? "lossless coding"
                         : "hierarchical coding");
}

static int read_frame(struct jpeg *j, int marker, const uint8_t *data, size_t size, struct err *e)
{
    const size_t at = j->at - size;
    int rc = check_process(marker, e);
    if (rc < 0) return rc;
    if (j->framed || size < 6 || size != 6 + 3 * (size_t)data[5]) {
        return damaged(e, "a frame header", at);
    }
    if (data[0] != 8) {
        return err_set(e, ERR_UNSUPPORTED,
                       "a JPEG of %d bits is not supported; save it with 8 bits", data[0]);
    }
    j->height = data[1] << 8 | data[2];
    j->width = data[3] << 8 | data[4];
    j->n_components = data[5];
    if (j->height == 0) {
        return err_set(
            e, ERR_UNSUPPORTED,
            "a JPEG that gives its height after its pixels is not supported; save it again");
    }
    if (j->width == 0) return damaged(e, "a width of 0", at);
    if (j->n_components == 4) {
        return err_set(
            e, ERR_UNSUPPORTED,
            "a JPEG in CMYK (four colour components) is not supported; convert it to RGB");
    }
    if (j->n_components != 1 && j->n_components != 3) {
        return err_set(e, ERR_UNSUPPORTED, "a JPEG of %d colour components is not supported",
                       j->n_components);
    }
    for (int i = 0; i < j->n_components; i++) {
        const uint8_t *c = data + 6 + 3 * i;
        j->components[i] = (struct component){c[0], c[1] >> 4, c[1] & 15, c[2], false};
        if (j->components[i].across < 1 || j->components[i].across > 4 ||
            j->components[i].down < 1 || j->components[i].down > 4 ||
            j->components[i].table >= TABLES) {
            return damaged(e, "a frame header", at);
        }
        for (int k = 0; k < i; k++) {
            if (j->components[k].id == c[0]) return damaged(e, "a frame header", at);
        }
    }
    j->progressive = marker == SOF2;
    j->framed = true;
    return 0;
}

/* Over the entropy-coded data, to the marker behind it, which is not consumed. */
static int skip_entropy(struct jpeg *j, struct err *e)
{
    const size_t begin = j->at;
    for (;;) {
        const uint8_t *p = memchr(j->bytes + j->at, 0xff, j->size - j->at);
        if (p == NULL) return cut_short(j, e);
        const size_t marker_at = (size_t)(p - j->bytes);
        j->at = marker_at;
        while (j->at < j->size && j->bytes[j->at] == 0xff) j->at++;
        if (j->at == j->size) return cut_short(j, e);
        const int code = j->bytes[j->at++];
        if (code == 0 || (code >= RST0 && code <= RST7)) continue;
        j->at = marker_at;
        j->entropy_bytes += marker_at - begin;
        return 0;
    }
}

static int read_scan(struct jpeg *j, const uint8_t *data, size_t size, struct err *e)
{
    const size_t at = j->at - size;
    const int n = size > 0 ? data[0] : 0;
    if (!j->framed || n < 1 || n > j->n_components || size != 4 + 2 * (size_t)n) {
        return damaged(e, "a scan header", at);
    }
    if (++j->n_scans > SCANS_MAX) {
        return err_set(e, ERR_LIMIT, "the JPEG has more than %d scans", SCANS_MAX);
    }
    const uint8_t *last = data + 1 + 2 * n;
    const bool has_dc = !j->progressive || last[0] == 0,
               refines = j->progressive && last[2] >> 4 != 0;
    const bool needs_dc = has_dc && !refines, needs_ac = !j->progressive || last[0] > 0;
    for (int i = 0; i < n; i++) {
        const int id = data[1 + 2 * i], dc = data[2 + 2 * i] >> 4, ac = data[2 + 2 * i] & 15;
        struct component *c = NULL;
        for (int k = 0; k < j->n_components; k++) {
            if (j->components[k].id == id) c = &j->components[k];
        }
        if (c == NULL || dc >= TABLES || ac >= TABLES || !j->quantised[c->table] ||
            (needs_dc && !j->huffman[0][dc]) || (needs_ac && !j->huffman[1][ac])) {
            return damaged(e, "a scan that names a component or a table that is not there", at);
        }
        if (!j->progressive && c->coded)
            return damaged(e, "a second scan of the same component", at);
        if (needs_dc) c->coded = true;
    }
    return skip_entropy(j, e);
}

/* Every component has data, and there are enough bits: a block takes at least one for its DC
 * coefficient, and in a sequential JPEG one more for the end of the block. */
static int check_complete(const struct jpeg *j, struct err *e)
{
    int across = 1, down = 1;
    for (int i = 0; i < j->n_components; i++) {
        if (j->components[i].across > across) across = j->components[i].across;
        if (j->components[i].down > down) down = j->components[i].down;
    }
    uint64_t blocks = 0;
    for (int i = 0; i < j->n_components; i++) {
        const struct component *c = &j->components[i];
        if (!c->coded) {
            return err_set(e, ERR_FORMAT,
                           "the JPEG is damaged: there are no pixels for component %d", i);
        }
        const int width = (j->width * c->across + across - 1) / across;
        const int height = (j->height * c->down + down - 1) / down;
        blocks += (uint64_t)((width + 7) / 8) * (uint64_t)((height + 7) / 8);
    }
    const uint64_t bits = blocks * (j->progressive ? 1 : 2);
    if ((uint64_t)j->entropy_bytes * 8 >= bits) return 0;
    return err_set(e, ERR_FORMAT,
                   "the JPEG is cut short: %zu bytes of pixel data cannot hold %dx%d pixels",
                   j->entropy_bytes, j->width, j->height);
}

/* The first Exif segment that stands before the frame says which side is up. */
static void read_exif(struct jpeg *j, const uint8_t *data, size_t size)
{
    static const uint8_t name[6] = {'E', 'x', 'i', 'f', 0, 0};
    if (j->framed || j->orientation != 0 || size < sizeof(name)) return;
    if (memcmp(data, name, sizeof(name)) != 0) return;
    j->orientation = exif_orientation(data + sizeof(name), size - sizeof(name));
}

/* A segment with a length that is neither a frame nor a scan. */
static int read_table(struct jpeg *j, int marker, const uint8_t *data, size_t size, struct err *e)
{
    switch (marker) {
    case DHT:
        return read_huffman(j, data, size, e);
    case DQT:
        return read_quantisation(j, data, size, e);
    case DRI:
        return size == 2 ? 0 : damaged(e, "a restart interval", j->at - size);
    case DAC:
        return check_process(SOF15, e); /* conditioning of arithmetic coding */
    case APP1:
        read_exif(j, data, size);
        return 0;
    case DNL:
    case COM:
        return 0;
    default:
        break;
    }
    if (marker >= APP0 && marker <= APP15) return 0;
    return damaged(e, "an unknown marker", j->at - size);
}

static bool is_frame(int marker)
{
    return marker >= SOF0 && marker <= SOF15 && marker != DHT && marker != JPG && marker != DAC;
}

/* Segment after segment; up to and including the frame header, or the end marker. */
static int walk(struct jpeg *j, bool whole, struct err *e)
{
    if (j->size < 4 || j->bytes[0] != 0xff || j->bytes[1] != SOI) {
        return err_set(e, ERR_FORMAT, "the JPEG ends inside its first marker, after %zu bytes",
                       j->size);
    }
    j->at = 2;
    for (;;) {
        const int marker = next_marker(j, e);
        if (marker < 0) return marker;
        if (marker == EOI) break;
        const uint8_t *data = NULL;
        size_t size = 0;
        int rc = take_segment(j, &data, &size, e);
        if (rc < 0) return rc;
        if (is_frame(marker)) {
            rc = read_frame(j, marker, data, size, e);
            if (rc == 0 && !whole) return 0;
        } else if (marker == SOS) {
            rc = read_scan(j, data, size, e);
        } else {
            rc = read_table(j, marker, data, size, e);
        }
        if (rc < 0) return rc;
    }
    if (!j->framed) return err_set(e, ERR_FORMAT, "the JPEG is damaged: it has no frame header");
    return check_complete(j, e);
}

/* What stb_image needs at most: planes padded to whole groups of blocks, coefficients of 16 bits
 * beside them when progressive, the result. */
static size_t decode_budget(const struct jpeg *j)
{
    const size_t width = (size_t)j->width + 32, height = (size_t)j->height + 32;
    return FIXED_BUDGET + width * height * COMPONENTS_MAX * (j->progressive ? 4 : 2);
}

static int examine(const uint8_t *bytes, size_t size, bool whole, struct image_header *ret,
                   struct err *e)
{
    struct jpeg j = {.bytes = bytes, .size = size};
    int rc = walk(&j, whole, e);
    if (rc < 0) return rc;
    *ret = (struct image_header){.width = j.width,
                                 .height = j.height,
                                 .orientation =
                                     j.orientation != 0 ? j.orientation : ORIENTATION_NORMAL,
                                 .budget = decode_budget(&j)};
    return 0;
}

int jpeg_header(const uint8_t *bytes, size_t size, struct image_header *ret, struct err *e)
{
    return examine(bytes, size, false, ret, e);
}

int jpeg_check(const uint8_t *bytes, size_t size, struct image_header *ret, struct err *e)
{
    return examine(bytes, size, true, ret, e);
}
