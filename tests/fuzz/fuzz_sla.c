/* Lines as headers ("Name: value"), members of a body ("@name=value") or v2 parameters
 * ("%name=value"): refused with a message, or an SLA whose values are in range and whose ways end.
 */
#include "config.h"

#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "policy/sla.h"
#include "policy/way.h"

/* One line, NUL-terminated and writable. */
static int line_to_draft(struct sla_draft *draft, char *line, struct err *e)
{
    bool body = line[0] == '@', v2 = line[0] == '%';
    char *name = line + (body || v2 ? 1 : 0);
    char *value = strchr(name, body || v2 ? '=' : ':');
    if (value != NULL) *value++ = '\0';
    if (body || v2) return sla_draft_member(draft, v2 ? "sla_" : "", name, value, e);
    return sla_draft_header(draft, name, value, e);
}

static void check_sla(const struct sla *sla)
{
    FUZZ_CHECK(sla->deadline_ns >= 0 && sla->deadline_ns <= INT64_C(1000000000000000000));
    FUZZ_CHECK(sla->min_confidence == -1 || (sla->min_confidence >= 0 && sla->min_confidence <= 1));
    FUZZ_CHECK(sla->min_accuracy == -1 || (sla->min_accuracy >= 0 && sla->min_accuracy <= 1));
    FUZZ_CHECK(!sla->has_max_loss || (sla->max_loss >= 0 && sla->max_loss <= 1));
    FUZZ_CHECK(sla->urgency >= 0 && sla->urgency <= 7);
    FUZZ_CHECK(sla->exit >= 0);
    bool least = sla->min_confidence >= 0 || sla->min_accuracy >= 0 || sla->has_max_loss;
    FUZZ_CHECK(sla->classifier == SLA_AUTO || !least);
    FUZZ_CHECK(!sla->deadline_chooses || (sla->classifier == SLA_AUTO && sla->deadline_ns > 0));
}

static void check_ways(const struct sla *sla)
{
    enum { EXITS = 3 };
    static const struct classifiers classifiers = {.model = "fuzz",
                                                   .exits = EXITS,
                                                   .calibrated = true,
                                                   .accuracy = {.5, .7, .6},
                                                   .ensemble_accuracy = .8,
                                                   .levels = 2,
                                                   .max_loss = {0, .5},
                                                   .level_confidence = {2, .5}};
    struct way way;
    if (sla->classifier == SLA_EXIT && sla->exit >= EXITS) return;
    int n = 0;
    for (; way_choose(sla, &classifiers, n, &way); n++) {
        FUZZ_CHECK(n <= EXITS + 1 && way.last >= 0 && way.last < EXITS);
        FUZZ_CHECK(way.goal == CLASSIFIER_ENSEMBLE || (way.goal >= 0 && way.goal <= way.last));
        FUZZ_CHECK(way.goal == CLASSIFIER_ENSEMBLE || (way.heads >> way.goal & 1) != 0);
    }
    FUZZ_CHECK(n > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sla_draft draft;
    struct sla sla;
    struct err e = {.code = 0};
    char *text = mem_new(size + 1, 1);
    if (text == NULL) return 0;
    if (size > 0) memcpy(text, data, size);
    sla_draft_init(&draft);
    int rc = 0;
    for (char *line = text, *end; rc == 0 && line < text + size; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + size - line));
        if (end == NULL) end = text + size;
        *end = '\0';
        rc = line_to_draft(&draft, line, &e);
    }
    /* What was refused has left nothing behind that could not be put together. */
    int finished = sla_draft_finish(&draft, SLA_DEEPEST, &sla, &e);
    if (rc < 0 || finished < 0) {
        FUZZ_CHECK(rc == 0 || rc == ERR_RANGE || rc == ERR_CONFLICT);
        FUZZ_CHECK(finished == 0 || finished == ERR_RANGE);
        FUZZ_CHECK(e.code < 0 && strstr(e.text, "takes") != NULL);
    }
    if (finished == 0) {
        check_sla(&sla);
        check_ways(&sla);
    }
    mem_free(text);
    return 0;
}
