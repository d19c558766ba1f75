/* Any bytes as a safetensors file, a model's or a stranger's checkpoint: parsed or refused with a
 * message; the tensors of an accepted file lie inside of it, do not overlap, and can be read; what
 * a model may have a checkpoint may, too. */
#include "config.h"

#include <string.h>

#include "../../src/model/import_names.h"
#include "base/mem.h"
#include "fuzz.h"
#include "model/safetensors.h"

typedef int parser(const void *bytes, size_t size, struct safetensors **ret_file, struct err *e);

static const size_t type_bytes[] = {
    [TENSOR_F32] = 4, [TENSOR_F16] = 2, [TENSOR_BF16] = 2, [TENSOR_F64] = 8, [TENSOR_I64] = 8,
    [TENSOR_I32] = 4, [TENSOR_I16] = 2, [TENSOR_I8] = 1,   [TENSOR_U8] = 1,  [TENSOR_BOOL] = 1};

static void check_name(const char *name)
{
    char alias[IMPORT_NAME_MAX];
    const char *stripped = import_strip(name);
    FUZZ_CHECK(stripped >= name && stripped <= name + strlen(name));
    if (import_alias(stripped, alias)) FUZZ_CHECK(strlen(alias) < sizeof(alias));
    import_is_counter(stripped);
}

static bool check(parser *parse, enum tensor_type last, const uint8_t *data, size_t size)
{
    struct safetensors *file = NULL;
    struct err e = {0};
    int rc = parse(data, size, &file, &e);
    if (rc < 0) {
        FUZZ_CHECK(e.code == rc && e.text[0] != '\0' && file == NULL);
        return false;
    }
    const uint8_t *at = NULL;
    for (size_t i = 0; i < safetensors_count(file); i++) {
        const struct tensor *t = safetensors_at(file, i);
        FUZZ_CHECK(t->type <= last);
        const size_t bytes = t->count * type_bytes[t->type];
        FUZZ_CHECK(t->data >= data && bytes <= size && t->data + bytes <= data + size);
        FUZZ_CHECK(at == NULL || t->data == at);
        at = t->data + bytes;
        FUZZ_CHECK(safetensors_find(file, t->name) == t);
        check_name(t->name);
        float *values = tensor_is_float(t) ? mem_new(t->count, sizeof(*values)) : NULL;
        if (values == NULL) continue;
        tensor_to_floats(t, values);
        mem_free(values);
    }
    FUZZ_CHECK(at == NULL || at == data + size);
    const char *text = safetensors_meta(file, "autodidact.spec");
    FUZZ_CHECK(text == NULL || strlen(text) <= size);
    safetensors_free(file);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool model = check(safetensors_parse, TENSOR_I8, data, size);
    bool checkpoint = check(safetensors_parse_checkpoint, TENSOR_BOOL, data, size);
    FUZZ_CHECK(checkpoint || !model);
    return 0;
}
