/* Any bytes as a spec: refused with a message, or a spec that passes its check, survives being
 * written and read, and makes a net or a message. */
#include "config.h"

#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "model/spec_file.h"
#include "nn/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct spec spec, again;
    struct err e = {0};
    int rc = spec_parse((const char *)data, size, &spec, &e);
    if (rc < 0) {
        FUZZ_CHECK(e.code == rc && e.text[0] != '\0');
        return 0;
    }
    FUZZ_CHECK(spec_check(&spec, NULL) == 0);
    char *text = spec_format(&spec);
    FUZZ_CHECK(text != NULL);
    FUZZ_CHECK(spec_parse(text, strlen(text), &again, NULL) == 0);
    if (spec.n_sections > 1) FUZZ_CHECK(memcmp(&spec, &again, sizeof(spec)) == 0);
    mem_free(text);

    struct net *net = net_new(&spec, &e);
    FUZZ_CHECK(net != NULL || e.code < 0);
    if (net != NULL) FUZZ_CHECK(net_trained_size(net) <= net_block_size(net));
    net_free(net);
    return 0;
}
