/* A first line as the two headers of content codings, and any bytes behind it as a body in each of
 * them: refused with a message, or within the bound, and the same in small steps as at once. */
#include "config.h"

#include <string.h>

#include "../../src/http/coding.h"
#include "../../src/http/unpack.h"
#include "fuzz.h"

enum { UNPACKED_MAX = 1 << 18, STEP = 1000 };

static int unpack(enum coding coding, const uint8_t *data, size_t size, size_t step,
                  struct buf *out)
{
    struct err e = {0};
    struct unpacker *u = unpacker_new(coding, data, size);
    FUZZ_CHECK(u != NULL);
    int rc = 1;
    while (rc == 1) {
        const size_t before = out->size;
        rc = unpacker_run(u, step, out, &e);
        FUZZ_CHECK(out->size >= before && out->size - before <= step && out->size <= UNPACKED_MAX);
        FUZZ_CHECK(rc != 1 || out->size - before == step);
    }
    FUZZ_CHECK(rc == 0 || (rc == e.code && e.text[0] != '\0'));
    unpacker_free(u);
    return rc;
}

static void both_ways(enum coding coding, const uint8_t *data, size_t size)
{
    struct buf whole, parts;
    buf_init(&whole, UNPACKED_MAX);
    buf_init(&parts, UNPACKED_MAX);
    int rc = unpack(coding, data, size, SIZE_MAX, &whole);
    /* Of a body that is both too large and broken, either is the reason. */
    FUZZ_CHECK((unpack(coding, data, size, STEP, &parts) == 0) == (rc == 0));
    if (rc == 0) {
        FUZZ_CHECK(parts.size == whole.size);
        FUZZ_CHECK(memcmp(buf_text(&parts), buf_text(&whole), whole.size) == 0);
    }
    buf_release(&whole);
    buf_release(&parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char value[256];
    size_t line = 0;
    while (line < size && line < sizeof(value) - 1 && data[line] != '\n' && data[line] != '\0')
        line++;
    memcpy(value, data, line);
    value[line] = '\0';
    const size_t skip = line < size ? line + 1 : line;

    enum coding coding = CODING_IDENTITY;
    struct err e = {0};
    int rc = coding_add(&coding, value, &e);
    FUZZ_CHECK(rc == 0 || (rc == ERR_UNSUPPORTED && e.text[0] != '\0'));
    struct coding_wish wish;
    coding_wish_init(&wish);
    coding_wish_add(&wish, value);
    FUZZ_CHECK(wish.gzip <= 1000 && wish.identity <= 1000 && wish.any <= 1000);
    FUZZ_CHECK(!coding_wish_gzip(&wish) || wish.gzip > 0 || wish.any > 0);
    both_ways(CODING_GZIP, data + skip, size - skip);
    both_ways(CODING_DEFLATE, data + skip, size - skip);
    return 0;
}
