/* Any text as the border of held-out images: refused, or a border that reads back as it is written
 * and lies within itself. */
#include "config.h"

#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "recipe/holdout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct holdout_border border;
    struct err e = {0};
    char *text = mem_strndup((const char *)data, size);
    FUZZ_CHECK(text != NULL);
    int rc = holdout_border_parse(text, &border, &e);
    FUZZ_CHECK(rc == e.code && (rc == 0 || rc == ERR_FORMAT || rc == ERR_LIMIT));
    if (rc == 0) {
        struct holdout_border again;
        char *written = holdout_border_format(&border);
        FUZZ_CHECK(written != NULL && holdout_border_parse(written, &again, &e) == 0);
        FUZZ_CHECK(holdout_border_is_within(&border, &again));
        FUZZ_CHECK(holdout_border_is_within(&again, &border));
        for (size_t i = 0; i < border.n_apart; i++) {
            const uint64_t key = border.apart[i];
            FUZZ_CHECK(holdout_border_holds(&border, key) == (key >= border.limit));
        }
        mem_free(written);
        holdout_border_release(&again);
        holdout_border_release(&border);
    }
    mem_free(text);
    return 0;
}
