/* Any bytes as a checkpoint of a small net: refused with a message, or a position that makes sense
 * and every number that the training needs. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "fuzz.h"
#include "model/spec_file.h"
#include "train/checkpoint.h"

static const char spec_text[] =
    "{\"name\": \"tiny\", \"classes\": 2, \"input\": {\"channels\": 1, \"height\": 2, \"width\": "
    "2},"
    " \"stages\": [{\"block\": \"vgg\", \"blocks\": 1, \"channels\": 1}], \"cuts\": [1]}";

enum { ARRAY = 3 };

static struct net *net;
static int fd = -1;
static char path[64];

/* The file is one of the memory: an input costs no disk. */
static void prepare(void)
{
    struct spec spec;
    FUZZ_CHECK(spec_parse(spec_text, sizeof(spec_text) - 1, &spec, NULL) == 0);
    net = net_new(&spec, NULL);
    FUZZ_CHECK(net != NULL);
    fd = memfd_create("checkpoint", MFD_CLOEXEC);
    FUZZ_CHECK(fd >= 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (net == NULL) prepare();
    FUZZ_CHECK(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);

    float array[ARRAY] = {0};
    size_t n = net_block_size(net);
    float *params = mem_new(n, sizeof(*params)), *momentum = mem_new(n, sizeof(*momentum));
    FUZZ_CHECK(params != NULL && momentum != NULL);
    const struct checkpoint_state state = {
        .net = net,
        .n_blocks = 2,
        .blocks = {{"model", params, true}, {"momentum", momentum, false}},
        .n_arrays = 1,
        .arrays = {{"regressor", "", array, ARRAY}}};
    static const struct recipe_text texts[] = {{.name = "lr", .value = "0.1"},
                                               {.name = "holdout", .value = "5000"}};
    struct checkpoint_position position = {.step = -1, .loss_sum = NAN, .loss_count = -1};
    struct err e = {0};
    int rc = checkpoint_read(path, texts, 2, &position, &state, &e);
    FUZZ_CHECK(rc == 0 || (e.code == rc && e.text[0] != '\0'));
    if (rc == 0)
        FUZZ_CHECK(position.step >= 0 && position.loss_count >= 0 && isfinite(position.loss_sum));

    char value[RECIPE_TEXT_MAX];
    rc = checkpoint_text(path, "lr", value, &e);
    FUZZ_CHECK(rc == 0 ? strlen(value) < sizeof(value) : e.code == rc);
    mem_free(params);
    mem_free(momentum);
    return 0;
}
