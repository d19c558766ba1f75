/* The rule of names. Without a dot in front a name is neither "." nor "..", nor a hidden file,
 * which temporary ones are. */
#include "config.h"

#include "base/name.h"

#include <string.h>

bool name_is_valid(const char *text)
{
    _Static_assert(NAME_BYTES_MAX == 64, "NAME_RULE says it");
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-");
    return text[n] == '\0' && n >= 1 && n <= NAME_BYTES_MAX && text[0] != '.';
}
