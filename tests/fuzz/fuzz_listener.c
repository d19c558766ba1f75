/* Any text as the address of a listener: refused, or a host and a port that put together give the
 * address again. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/http/listener.h"
#include "fuzz.h"

enum { TEXT_MAX = 400 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char address[TEXT_MAX + 1], host[LISTENER_HOST_MAX + 1], again[2 * TEXT_MAX];
    const char *port;
    if (size > TEXT_MAX) size = TEXT_MAX;
    if (size > 0) memcpy(address, data, size);
    address[size] = '\0';

    int rc = listener_split(address, host, &port);
    if (rc < 0) {
        FUZZ_CHECK(rc == ERR_FORMAT);
        return 0;
    }
    FUZZ_CHECK(host[0] != '\0' && strlen(host) <= LISTENER_HOST_MAX);
    FUZZ_CHECK(port >= address && port + strlen(port) == address + strlen(address));
    FUZZ_CHECK(port == address || port[-1] == ':');
    FUZZ_CHECK(strspn(port, "0123456789") == strlen(port) && atol(port) <= 65535);
    bool brackets = address[0] == '[';
    FUZZ_CHECK(brackets || strchr(host, ':') == NULL);
    /* "8080" and ":8080" name no host, which is all. */
    const char *named = address[0] == ':' || port == address ? "" : host;
    if (named[0] == '\0') FUZZ_CHECK(strcmp(host, "*") == 0);
    snprintf(again, sizeof(again), brackets ? "[%s]:%s" : "%s:%s", named, port);
    FUZZ_CHECK(strcmp(port == address ? again + 1 : again, address) == 0);
    return 0;
}
