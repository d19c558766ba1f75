/* Any bytes as a configuration file: refused with file and line, or values that survive being
 * printed and read. */
#include "config.h"

#include <string.h>

#include "../../src/app/settings.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config, again;
    struct err e = {0};
    config_init(&config);
    int rc = settings_read("f", (const char *)data, size, &config, &e);
    if (rc < 0) {
        FUZZ_CHECK(e.code == rc && strncmp(e.text, "f:", 2) == 0 && e.text[2] >= '1' &&
                   e.text[2] <= '9');
        return 0;
    }
    struct buf text;
    buf_init(&text, 1 << 20);
    FUZZ_CHECK(settings_print(&config, &text) == 0);
    memset(&again, 0xff, sizeof(again));
    config_init(&again);
    FUZZ_CHECK(settings_read("f", buf_text(&text), text.size, &again, &e) == 0);
    for (size_t i = 0; i < option_count; i++) {
        char a[CONFIG_TEXT_MAX], b[CONFIG_TEXT_MAX];
        option_text(&option_table[i], &config, a, sizeof(a));
        option_text(&option_table[i], &again, b, sizeof(b));
        FUZZ_CHECK(strcmp(a, b) == 0);
    }
    buf_release(&text);
    return 0;
}
