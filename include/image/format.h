/* Formats: what content is, told by its first bytes. Only JPEG and PNG are decoded; the others have
 * names so that whoever sends one is told what it was. Pure; any thread. */
#ifndef IMAGE_FORMAT_H
#define IMAGE_FORMAT_H

#include <stddef.h>

enum image_format {
    IMAGE_UNKNOWN,
    IMAGE_JPEG,
    IMAGE_PNG,
    IMAGE_WEBP,
    IMAGE_GIF,
    IMAGE_BMP,
    IMAGE_TIFF,
    IMAGE_AVIF,
    IMAGE_HEIC,
    IMAGE_JPEG_XL,
    IMAGE_JPEG_2000,
    IMAGE_ICO,
    IMAGE_PSD,
    IMAGE_PNM,
    IMAGE_QOI,
    IMAGE_OPENEXR,
    IMAGE_SVG, /* and what is no image at all */
    IMAGE_HTML,
    IMAGE_XML,
    IMAGE_PDF,
    IMAGE_VIDEO,
    IMAGE_ZIP,
    IMAGE_GZIP,
    IMAGE_JSON,
    IMAGE_BASE64, /* the text of a JPEG or PNG in base64, or a data: URL */
    IMAGE_FORMATS
};

/* Looks at 1 KiB at most. */
enum image_format image_format_of(const void *bytes, size_t size);

/* "a WebP image", with its article. Never NULL. */
const char *image_format_name(enum image_format format);

/* "image/webp"; "application/octet-stream" where it is not known. Never NULL. */
const char *image_format_type(enum image_format format);

#endif
