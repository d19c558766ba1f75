/* Any bytes as a training's log: refused with a message, or epochs that increase. */
#include "config.h"

#include "../../src/tool/report_log.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct report_log log = {.n = 0};
    struct err e = {0};
    int rc = report_log_parse("log", (const char *)data, size, &log, &e);
    if (rc < 0) {
        FUZZ_CHECK(e.code == rc && e.text[0] != '\0' && log.n == 0);
        return 0;
    }
    FUZZ_CHECK(log.n > 0);
    for (size_t i = 0; i < log.n; i++) {
        FUZZ_CHECK(log.epochs[i].epoch >= 1 && log.epochs[i].epoch <= REPORT_EPOCHS_MAX);
        FUZZ_CHECK(i == 0 || log.epochs[i].epoch > log.epochs[i - 1].epoch);
    }
    report_log_release(&log);
    return 0;
}
