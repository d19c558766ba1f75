/* Any bytes as a safetensors file: parsed or refused with a message; the tensors of an accepted
 * file lie inside of it, do not overlap, and can be read. */
#include "config.h"

#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors *file = NULL;
    struct err e = {0};
    int rc = safetensors_parse(data, size, &file, &e);
    if (rc < 0) {
        FUZZ_CHECK(e.code == rc && e.text[0] != '\0' && file == NULL);
        return 0;
    }
    const uint8_t *at = NULL;
    for (size_t i = 0; i < safetensors_count(file); i++) {
        const struct tensor *t = safetensors_at(file, i);
        const size_t bytes = t->count * (t->type == TENSOR_F32 ? 4 : 2);
        FUZZ_CHECK(t->data >= data && bytes <= size && t->data + bytes <= data + size);
        FUZZ_CHECK(at == NULL || t->data == at);
        at = t->data + bytes;
        FUZZ_CHECK(safetensors_find(file, t->name) == t);
        float *values = mem_new(t->count, sizeof *values);
        if (values == NULL) continue;
        tensor_to_floats(t, values);
        mem_free(values);
    }
    FUZZ_CHECK(at == NULL || at == data + size);
    const char *text = safetensors_meta(file, "autodidact.spec");
    FUZZ_CHECK(text == NULL || strlen(text) <= size);
    safetensors_free(file);
    return 0;
}
