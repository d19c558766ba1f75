/* Any bytes as the JSON body of POST /v1/classify: refused with a message, or images that lie in
 * the request's arena. */
#include "config.h"

#include <string.h>

#include "../../src/api/input.h"
#include "../../src/api/routes.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct service service = {.options = {.image_count_max = 8}};
    struct arena *arena = arena_new(1 << 22);
    struct task task = {.service = &service, .arena = arena};
    struct err e = {0};
    FUZZ_CHECK(arena != NULL);
    sla_draft_init(&task.draft);
    asked_init(&task.asked, classify_query, NULL);
    int rc = input_json(&task, data, size, &e);
    if (rc < 0) {
        FUZZ_CHECK(e.code == rc && e.text[0] != '\0');
        FUZZ_CHECK(problem_status(rc) >= 400 && problem_status(rc) != 500);
    } else {
        FUZZ_CHECK(task.request.n_images >= 1 && task.request.n_images <= 8);
        unsigned sum = 0;
        for (int i = 0; i < task.request.n_images; i++) {
            const unsigned char *bytes = task.request.images[i].data;
            FUZZ_CHECK((task.request.images[i].size > 0) !=
                       (task.faults != NULL && task.faults[i].code < 0));
            for (size_t k = 0; k < task.request.images[i].size; k++) sum += bytes[k];
        }
        struct sla sla;
        FUZZ_CHECK(sum < 0xffffffff);
        sla_draft_finish(&task.draft, SLA_DEEPEST, &sla, &e);
    }
    arena_free(arena);
    return 0;
}
