/* Any bytes as the body of a job: refused with a message, or a command whose options are the same
 * when it is read again, with a model's name that is one. */
#include "config.h"

#include <string.h>

#include "../../src/jobs/request.h"
#include "base/name.h"
#include "fuzz.h"
#include "recipe/draft.h"

/* Every option reads back as the tool would read it, and none of them looks like another one. */
static void check_command(const struct command *c)
{
    struct recipe_draft draft;
    struct err e = {0};
    recipe_draft_init(&draft, RECIPE_COMMAND_LINE);
    FUZZ_CHECK(!c->failed && c->n % 2 == 0);
    for (size_t i = 0; i < c->n; i += 2) {
        const char *name = c->words[i], *text = c->words[i + 1];
        char again[RECIPE_TEXT_MAX];
        FUZZ_CHECK(strncmp(name, "--", 2) == 0 && text[0] != '-');
        const struct recipe_option *option = recipe_option_find(name + 2);
        FUZZ_CHECK(option != NULL && option->job);
        FUZZ_CHECK(recipe_give(&draft, option, text, &e) == 0);
        FUZZ_CHECK(strcmp(recipe_option_format(option, &draft, again), text) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct json_limits limits = {64 << 10, 4096};
    struct err e = {0};
    struct command command = {.n = 0};
    char name[VERSION_MODEL_MAX + 1];
    int64_t version;
    struct json *body = json_parse("body", (const char *)data, size, &limits, JSON_KIND_ANY, NULL);
    if (body == NULL) return 0;
    int rc = request_check(body, &e);
    if (rc < 0) {
        FUZZ_CHECK(e.code == rc && e.text[0] != '\0');
    } else {
        request_add_options(body, &command);
        check_command(&command);
        request_model(body, name);
        FUZZ_CHECK(name_is_valid(name));
        request_version(body, "init", name, &version);
        FUZZ_CHECK((name[0] == '\0' || name_is_valid(name)) && version >= 0);
        (void)request_is_manual(body);
    }
    command_release(&command);
    json_free(body);
    return 0;
}
