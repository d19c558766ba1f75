/* Any bytes as the file of a study: refused with a message, or a study within its bounds. */
#include "config.h"

#include <string.h>

#include "../../src/tool/study_file.h"
#include "base/mem.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct study *study = NULL;
    struct err e = {0};
    int rc = study_parse("study", (const char *)data, size, "dir/", &study, &e);
    if (rc < 0) {
        FUZZ_CHECK(e.code == rc && e.text[0] != '\0' && study == NULL);
        return 0;
    }
    FUZZ_CHECK(study->n_networks >= 1 && study->n_networks <= STUDY_NETWORKS_MAX);
    FUZZ_CHECK(study->n_widths >= 1 && study->n_widths <= STUDY_WIDTHS_MAX);
    FUZZ_CHECK(study->n_seeds >= 1 && study->n_seeds <= STUDY_SEEDS_MAX);
    FUZZ_CHECK(study->n_methods >= 1 && study->n_methods <= STUDY_METHODS_MAX);
    for (size_t i = 0; i < study->n_methods; i++) {
        FUZZ_CHECK(study->methods[i].method != NULL);
        for (size_t k = 0; k < study->methods[i].n_options; k++)
            FUZZ_CHECK(strlen(study->methods[i].options[k].value) < STUDY_TEXT_MAX);
    }
    mem_free(study);
    return 0;
}
