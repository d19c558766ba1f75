/* Any bytes as a model file: refused with a message, or a model whose parts fit together. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "fuzz.h"
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model *m = NULL;
    struct err e = {0};
    int rc = model_load_bytes(data, size, &m, &e);
    if (rc < 0) {
        FUZZ_CHECK(e.code == rc && e.text[0] != '\0' && m == NULL);
        return 0;
    }
    FUZZ_CHECK(strlen(m->sha256) == 64 && m->name[0] != '\0');
    FUZZ_CHECK(m->stored <= TENSOR_I8 && m->file_bytes == size);
    FUZZ_CHECK(m->preprocess.width == net_input(m->net).width);
    for (int i = 0; i < net_classes(m->net); i++) FUZZ_CHECK(m->labels[i][0] != '\0');
    for (size_t i = 0; i < net_block_size(m->net); i++) FUZZ_CHECK(isfinite(m->params[i]));
    for (int i = 0; m->calibration.present && i < net_sections(m->net); i++) {
        FUZZ_CHECK(m->calibration.exits[i].temperature > 0);
    }
    model_free(m);
    return 0;
}
