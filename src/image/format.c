/* Magic bytes: one table for what begins with fixed bytes, a few lines for containers (RIFF, ISO
 * base media files) and for text, which may have blanks and a byte order mark before it. */
#include "config.h"

#include "image/format.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum { LOOKED_AT = 1024 };

static const struct {
    const char *name, *type;
} formats[IMAGE_FORMATS] = {
    [IMAGE_UNKNOWN] = {"something else", "application/octet-stream"},
    [IMAGE_JPEG] = {"a JPEG image", "image/jpeg"},
    [IMAGE_PNG] = {"a PNG image", "image/png"},
    [IMAGE_WEBP] = {"a WebP image", "image/webp"},
    [IMAGE_GIF] = {"a GIF image", "image/gif"},
    [IMAGE_BMP] = {"a BMP image", "image/bmp"},
    [IMAGE_TIFF] = {"a TIFF image", "image/tiff"},
    [IMAGE_AVIF] = {"an AVIF image", "image/avif"},
    [IMAGE_HEIC] = {"a HEIC image", "image/heic"},
    [IMAGE_JPEG_XL] = {"a JPEG XL image", "image/jxl"},
    [IMAGE_JPEG_2000] = {"a JPEG 2000 image", "image/jp2"},
    [IMAGE_ICO] = {"an icon", "image/vnd.microsoft.icon"},
    [IMAGE_PSD] = {"a Photoshop image", "image/vnd.adobe.photoshop"},
    [IMAGE_PNM] = {"a PNM image", "image/x-portable-anymap"},
    [IMAGE_QOI] = {"a QOI image", "image/qoi"},
    [IMAGE_OPENEXR] = {"an OpenEXR image", "image/x-exr"},
    [IMAGE_SVG] = {"an SVG drawing", "image/svg+xml"},
    [IMAGE_HTML] = {"an HTML page", "text/html"},
    [IMAGE_XML] = {"an XML document", "application/xml"},
    [IMAGE_PDF] = {"a PDF document", "application/pdf"},
    [IMAGE_VIDEO] = {"a video", "video/mp4"},
    [IMAGE_ZIP] = {"a ZIP archive", "application/zip"},
    [IMAGE_GZIP] = {"gzip-compressed content", "application/gzip"},
    [IMAGE_JSON] = {"a JSON text", "application/json"},
    [IMAGE_BASE64] = {"an image written in base64", "text/plain"},
};

static const struct {
    enum image_format format;
    unsigned char at, size; /* of the magic bytes */
    const char *magic;
} magics[] = {
    {IMAGE_JPEG, 0, 3, "\xff\xd8\xff"},
    {IMAGE_PNG, 0, 4, "\x89PNG"},
    {IMAGE_GIF, 0, 4, "GIF8"},
    {IMAGE_TIFF, 0, 4, "II*\0"},
    {IMAGE_TIFF, 0, 4, "MM\0*"},
    {IMAGE_TIFF, 0, 4, "II+\0"},
    {IMAGE_TIFF, 0, 4, "MM\0+"},
    {IMAGE_BMP, 6, 4, "\0\0\0\0"}, /* the reserved fields; "BM" itself is looked at below */
    {IMAGE_JPEG_XL, 0, 2, "\xff\x0a"},
    {IMAGE_JPEG_XL, 0, 12, "\0\0\0\x0cJXL \r\n\x87\n"},
    {IMAGE_JPEG_2000, 0, 12, "\0\0\0\x0cjP  \r\n\x87\n"},
    {IMAGE_JPEG_2000, 0, 4, "\xff\x4f\xff\x51"},
    {IMAGE_ICO, 0, 4, "\0\0\1\0"},
    {IMAGE_PSD, 0, 4, "8BPS"},
    {IMAGE_QOI, 0, 4, "qoif"},
    {IMAGE_OPENEXR, 0, 4, "\x76\x2f\x31\x01"},
    {IMAGE_PDF, 0, 5, "%PDF-"},
    {IMAGE_VIDEO, 0, 4, "\x1a\x45\xdf\xa3"}, /* Matroska, WebM */
    {IMAGE_ZIP, 0, 4, "PK\3\4"},
    {IMAGE_GZIP, 0, 3, "\x1f\x8b\x08"},
};

/* ISO/IEC 14496-12, section 4.3: the major brand of a file that begins with "ftyp". */
static enum image_format iso_brand(const char *brand)
{
    static const struct {
        char brand[5];
        enum image_format format;
    } brands[] = {
        {"avif", IMAGE_AVIF}, {"avis", IMAGE_AVIF}, {"heic", IMAGE_HEIC},
        {"heix", IMAGE_HEIC}, {"heim", IMAGE_HEIC}, {"hevc", IMAGE_HEIC},
        {"hevx", IMAGE_HEIC}, {"mif1", IMAGE_HEIC}, {"msf1", IMAGE_HEIC},
    };
    for (size_t i = 0; i < sizeof(brands) / sizeof(brands[0]); i++) {
        if (memcmp(brand, brands[i].brand, 4) == 0) return brands[i].format;
    }
    return IMAGE_VIDEO;
}

static bool begins(const char *text, size_t size, const char *with)
{
    const size_t n = strlen(with);
    return size >= n && strncasecmp(text, with, n) == 0;
}

static bool contains(const char *text, size_t size, const char *what)
{
    for (size_t i = 0; i < size; i++) {
        if (begins(text + i, size - i, what)) return true;
    }
    return false;
}

static enum image_format text_format(const char *text, size_t size)
{
    if (begins(text, size, "\xef\xbb\xbf")) text += 3, size -= 3;
    while (size > 0 && strchr(" \t\r\n", *text) != NULL && *text != '\0') text++, size--;
    if (size == 0) return IMAGE_UNKNOWN;
    if (text[0] == '{' || text[0] == '[') return IMAGE_JSON;
    if (begins(text, size, "<svg")) return IMAGE_SVG;
    if (begins(text, size, "<!doctype html") || begins(text, size, "<html")) return IMAGE_HTML;
    if (begins(text, size, "<?xml") || begins(text, size, "<!doctype svg")) {
        return contains(text, size, "<svg") ? IMAGE_SVG : IMAGE_XML;
    }
    if (begins(text, size, "data:image/") || (size >= 6 && memcmp(text, "/9j/", 4) == 0) ||
        (size >= 6 && memcmp(text, "iVBORw", 6) == 0)) {
        return IMAGE_BASE64;
    }
    if (size >= 3 && text[0] == 'P' && text[1] >= '1' && text[1] <= '7' &&
        strchr(" \t\r\n#", text[2]) != NULL && text[2] != '\0') {
        return IMAGE_PNM;
    }
    return IMAGE_UNKNOWN;
}

enum image_format image_format_of(const void *bytes, size_t size)
{
    const char *b = bytes;
    if (size > LOOKED_AT) size = LOOKED_AT;
    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
        if (size < (size_t)magics[i].at + magics[i].size) continue;
        if (memcmp(b + magics[i].at, magics[i].magic, magics[i].size) != 0) continue;
        if (magics[i].format == IMAGE_BMP && memcmp(b, "BM", 2) != 0) continue;
        return magics[i].format;
    }
    if (size >= 12 && memcmp(b, "RIFF", 4) == 0) {
        return memcmp(b + 8, "WEBP", 4) == 0   ? IMAGE_WEBP
               : memcmp(b + 8, "AVI ", 4) == 0 ? IMAGE_VIDEO
                                               : IMAGE_UNKNOWN;
    }
    if (size >= 12 && memcmp(b + 4, "ftyp", 4) == 0) return iso_brand(b + 8);
    return text_format(b, size);
}

const char *image_format_name(enum image_format format)
{
    assert(format < IMAGE_FORMATS);
    return formats[format].name;
}

const char *image_format_type(enum image_format format)
{
    assert(format < IMAGE_FORMATS);
    return formats[format].type;
}
