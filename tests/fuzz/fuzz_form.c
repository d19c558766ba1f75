/* Any first line as a Content-Type and any bytes behind it as the form that is the body of POST
 * /v1/classify: refused with a message, or images that lie in the body. */
#include "config.h"

#include <string.h>

#include "../../src/api/input.h"
#include "../../src/api/routes.h"
#include "fuzz.h"

static void check_refusal(int rc, const struct err *e)
{
    FUZZ_CHECK(e->code == rc && e->text[0] != '\0');
    FUZZ_CHECK(problem_status(rc) >= 400 && problem_status(rc) != 500);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char type[256];
    size_t line = 0;
    while (line < size && line < sizeof(type) - 1 && data[line] != '\n' && data[line] != '\0')
        line++;
    memcpy(type, data, line);
    type[line] = '\0';
    size_t skip = line < size ? line + 1 : line;

    struct service service = {.options = {.image_count_max = 8}};
    struct arena *arena = arena_new(1 << 22);
    struct task task = {.service = &service, .arena = arena};
    struct err e = {0};
    FUZZ_CHECK(arena != NULL);
    sla_draft_init(&task.draft);
    asked_init(&task.asked, classify_query, NULL);
    int rc = multipart_boundary(type, task.boundary, &e);
    if (rc < 0) {
        check_refusal(rc, &e);
    } else if ((rc = input_form(&task, data + skip, size - skip, &e)) < 0) {
        check_refusal(rc, &e);
    } else {
        FUZZ_CHECK(task.request.n_images >= 1 && task.request.n_images <= 8);
        const uint8_t *at = data + skip;
        for (int i = 0; i < task.request.n_images; i++) {
            const uint8_t *bytes = task.request.images[i].data;
            FUZZ_CHECK((task.request.images[i].size > 0) !=
                       (task.faults != NULL && task.faults[i].code < 0));
            FUZZ_CHECK(bytes >= at);
            at = bytes + task.request.images[i].size;
            FUZZ_CHECK(at <= data + size);
        }
        struct sla sla;
        sla_draft_finish(&task.draft, SLA_DEEPEST, &sla, &e);
    }
    arena_free(arena);
    return 0;
}
