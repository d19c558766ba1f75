/* Any text as the lineage of a model: refused, or one that reads back as it is written, to which
 * its own sets add nothing. */
#include "config.h"

#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "recipe/lineage.h"

static void check_sets(const struct lineage *l)
{
    FUZZ_CHECK(l->n <= LINEAGE_SETS_MAX);
    for (size_t i = 0; i < l->n; i++) {
        const struct lineage_set *set = &l->sets[i];
        FUZZ_CHECK(set->n_classes > 0 && lineage_set_is_alike(set, set));
        for (size_t k = 1; k < set->n_classes; k++)
            FUZZ_CHECK(set->classes[k - 1] < set->classes[k]);
        FUZZ_CHECK(lineage_set_has_common(set, set) == (set->border.n_seen > 0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lineage lineage, again;
    struct err e = {0};
    char *text = mem_strndup((const char *)data, size);
    FUZZ_CHECK(text != NULL);
    int rc = lineage_parse(text, &lineage, &e);
    FUZZ_CHECK(rc == e.code && (rc == 0 || rc == ERR_FORMAT || rc == ERR_LIMIT));
    if (rc == 0) {
        check_sets(&lineage);
        char *written = lineage_format(&lineage);
        FUZZ_CHECK(written != NULL && lineage_parse(written, &again, &e) == 0);
        FUZZ_CHECK(again.n == lineage.n && lineage_add_all(&again, &lineage, &e) == 0);
        char *rewritten = lineage_format(&again);
        FUZZ_CHECK(rewritten != NULL && strcmp(written, rewritten) == 0);
        mem_free(rewritten);
        mem_free(written);
        lineage_release(&again);
        lineage_release(&lineage);
    }
    mem_free(text);
    return 0;
}
