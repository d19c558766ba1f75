/* The first byte says which document of a model's metadata the rest is to be, and of how many
 * classes or exits: refused with a message that begins with its key, or values that survive being
 * written and read. */
#include "config.h"

#include <string.h>

#include "../../src/model/metadata.h"
#include "base/mem.h"
#include "fuzz.h"

/* Writes what was read and reads it again; the second text must be the first one. */
static void check_same(char *text, char *again)
{
    FUZZ_CHECK(text != NULL && again != NULL && strcmp(text, again) == 0);
    mem_free(text);
    mem_free(again);
}

static int try_labels(const char *text, int n, struct err *e)
{
    char **labels = NULL, **again = NULL;
    int status = 0, rc = metadata_parse_labels(text, n, &labels, e);
    if (rc < 0) return rc;
    for (int i = 0; i < n; i++) FUZZ_CHECK(model_check_label(labels[i], e) == 0);
    char *written = metadata_format_labels(labels, n, &status);
    FUZZ_CHECK(written != NULL && metadata_parse_labels(written, n, &again, e) == 0);
    check_same(written, metadata_format_labels(again, n, &status));
    mem_free(labels);
    mem_free(again);
    return 0;
}

static int try_preprocess(const char *text, struct err *e)
{
    struct preprocess values, again;
    int status = 0, rc = metadata_parse_preprocess(text, &values, e);
    if (rc < 0) return rc;
    for (int c = 0; c < 3; c++) FUZZ_CHECK(values.std[c] > 0);
    char *written = metadata_format_preprocess(&values, &status);
    FUZZ_CHECK(written != NULL && metadata_parse_preprocess(written, &again, e) == 0);
    check_same(written, metadata_format_preprocess(&again, &status));
    return 0;
}

static int try_calibration(const char *text, int sections, unsigned untrained, struct err *e)
{
    static struct calibration values, again;
    int status = 0, rc = metadata_parse_calibration(text, sections, untrained, &values, e);
    if (rc < 0) return rc;
    for (int i = 0; i < sections; i++) {
        const struct calibration_running *r = &values.running[i];
        double sum = 0;
        for (int k = 0; r->present && k <= i; k++) sum += r->weights[k];
        FUZZ_CHECK(!r->present || (sum > 0.99 && sum < 1.01 && r->figures.temperature > 0));
        if ((untrained >> i & 1) != 0) continue;
        FUZZ_CHECK(values.exits[i].temperature > 0);
        FUZZ_CHECK(values.exits[i].top1 >= 0 && values.exits[i].top1 <= 1);
    }
    FUZZ_CHECK(values.levels.n >= 0 && values.levels.n <= MODEL_LEVELS_MAX);
    for (int i = 0; i < values.levels.n; i++) {
        const struct calibration_level *level = &values.levels.at[i];
        FUZZ_CHECK(level->max_loss >= 0 && level->max_loss <= 1 && level->confidence >= 0);
        FUZZ_CHECK(i == 0 || level->max_loss > level[-1].max_loss);
        FUZZ_CHECK(i == 0 || level->confidence <= level[-1].confidence);
    }
    char *written = metadata_format_calibration(&values, sections, untrained, &status);
    FUZZ_CHECK(written != NULL &&
               metadata_parse_calibration(written, sections, untrained, &again, e) == 0);
    check_same(written, metadata_format_calibration(&again, sections, untrained, &status));
    return 0;
}

static int try_training(const char *text, int sections, struct err *e)
{
    static struct training values, again;
    int status = 0, rc = metadata_parse_training(text, sections, &values, e);
    if (rc < 0) return rc;
    FUZZ_CHECK(values.untrained >> (sections - 1) == 0);
    char *written = metadata_format_training(&values, sections, &status);
    FUZZ_CHECK(written != NULL && metadata_parse_training(written, sections, &again, e) == 0);
    check_same(written, metadata_format_training(&again, sections, &status));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    char *text = mem_new(size, 1);
    if (text == NULL) return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';

    static const char *const keys[] = {METADATA_LABELS, METADATA_PREPROCESS, METADATA_CALIBRATION,
                                       METADATA_TRAINING};
    int which = data[0] % 4, n = 1 + data[0] / 4 % SPEC_SECTIONS_MAX, rc = 0;
    struct err e = {0};
    switch (which) {
    case 0:
        rc = try_labels(text, n, &e);
        break;
    case 1:
        rc = try_preprocess(text, &e);
        break;
    case 2:
        rc = try_calibration(text, n, data[0] / 32u & ((1u << (n - 1)) - 1), &e);
        break;
    default:
        rc = try_training(text, n, &e);
        break;
    }
    FUZZ_CHECK(rc == 0 || (e.code == rc && strncmp(e.text, keys[which], strlen(keys[which])) == 0));
    mem_free(text);
    return 0;
}
