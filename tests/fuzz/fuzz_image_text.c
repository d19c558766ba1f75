/* Any bytes as a text that holds an image: refused with a message, or bytes that the arena has. */
#include "config.h"

#include <string.h>

#include "../../src/api/image_text.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(1 << 22);
    struct err e = {0};
    const void *bytes = NULL;
    size_t n = 0;
    /* A copy without a byte to spare: the text need not end in a NUL. */
    char *text = arena != NULL ? arena_alloc(arena, size, 1) : NULL;
    FUZZ_CHECK(text != NULL || size > 1 << 21);
    if (text != NULL) {
        if (size > 0) memcpy(text, data, size);
        int rc = image_text_decode(text, size, arena, &bytes, &n, &e);
        if (rc < 0) {
            FUZZ_CHECK(e.code == rc && e.text[0] != '\0' && bytes == NULL && n == 0);
        } else {
            unsigned sum = 0;
            FUZZ_CHECK(n > 0 && n <= size);
            for (size_t i = 0; i < n; i++) sum += ((const uint8_t *)bytes)[i];
            FUZZ_CHECK(sum < 0xffffffff);
        }
    }
    arena_free(arena);
    return 0;
}
