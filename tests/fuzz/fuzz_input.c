/* The first bytes say what kind of input the rest is to be, and of which size: refused with a
 * message, or a network's input whose numbers are finite. */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "decode/work.h"
#include "fuzz.h"

enum { SIDE = 4, HEAD = 5, OUTPUT = 3 * SIDE * SIDE };

/* Two bytes with a sign: sizes that nobody has are part of it. */
static int size_at(const uint8_t *data)
{
    return (int16_t)(uint16_t)(data[0] | data[1] << 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float output[OUTPUT];
    if (size < HEAD) return 0;
    const struct decode_work work = {
        .kind = (enum input_kind)(data[0] % 3),
        .width = size_at(data + 1),
        .height = size_at(data + 3),
        .input_bytes = size - HEAD,
        .limits = {.bytes_max = 1 << 16, .pixels_max = 1 << 12, .side_max = 256},
        .preprocess = {SIDE,
                       SIDE,
                       data[0] / 3 % 2 == 0 ? PREPROCESS_STRETCH : PREPROCESS_COVER,
                       PREPROCESS_BILINEAR,
                       {0.5f, 0.5f, 0.5f},
                       {1, 1, 1}}};
    /* A copy of exactly the size, at an address that suits no float. */
    uint8_t *copy = mem_new(work.input_bytes + 1, 1);
    if (copy == NULL) return 0;
    memcpy(copy + 1, data + HEAD, work.input_bytes);

    struct arena *scratch = NULL;
    struct err e = {0};
    for (int i = 0; i < OUTPUT; i++) output[i] = NAN;
    int rc = decode_run(&work, copy + 1, output, &scratch, NULL, &e);
    FUZZ_CHECK(rc == 0 || (rc != -ENOMEM && e.code == rc && e.text[0] != '\0'));
    for (int i = 0; rc == 0 && i < OUTPUT; i++) FUZZ_CHECK(isfinite(output[i]));
    arena_free(scratch);
    mem_free(copy);
    return 0;
}
