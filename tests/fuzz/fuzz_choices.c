/* Any bytes as the cache of measured algorithms, behind the first line that this machine would
 * write: refused with the line's number, or choices that are permitted and survive being written
 * and read. */
#include "config.h"

#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "nn/choices.h"

enum { TEXT_MAX = 1 << 20 };

static struct choices *read_text(const struct kernels *kernels, const struct buf *text)
{
    struct err e = {0};
    struct choices *choices = choices_new(kernels);
    FUZZ_CHECK(choices != NULL);
    int rc = choices_read(choices, (const char *)text->data, text->size, &e);
    FUZZ_CHECK(rc == 0 || (e.code == rc && strncmp(e.text, "line ", 5) == 0));
    return choices;
}

static void try_table(const struct kernels *kernels, const uint8_t *data, size_t size)
{
    struct buf text, written, again;
    buf_init(&text, TEXT_MAX);
    buf_init(&written, 4 * TEXT_MAX);
    buf_init(&again, 4 * TEXT_MAX);

    struct choices *empty = choices_new(kernels);
    FUZZ_CHECK(empty != NULL && choices_write(empty, &text) == 0);
    choices_free(empty);
    if (buf_append(&text, data, size) != 0) goto out;

    struct choices *choices = read_text(kernels, &text);
    FUZZ_CHECK(choices_write(choices, &written) == 0);
    struct choices *copy = read_text(kernels, &written);
    FUZZ_CHECK(choices_count(copy) == choices_count(choices));
    FUZZ_CHECK(choices_write(copy, &again) == 0 && again.size == written.size);
    FUZZ_CHECK(memcmp(again.data, written.data, again.size) == 0);
    choices_free(copy);
    choices_free(choices);
out:
    buf_release(&text);
    buf_release(&written);
    buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_table(kernels_of(CPU_REFERENCE), data, size);
    try_table(kernels_best(), data, size); /* has more algorithms */
    return 0;
}
