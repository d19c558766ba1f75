/* Names that users give to models and specs. They become parts of paths, of URLs and of labels of
 * metrics, so there is one rule for all. Any thread. */
#ifndef BASE_NAME_H
#define BASE_NAME_H

#include <stdbool.h>

enum {
    NAME_BYTES_MAX = 64, /* without the NUL */
    MODELS_MAX = 256     /* so many models are served at a time */
};

/* The rule, for messages. */
#define NAME_RULE "1 to 64 of a-z 0-9 . _ -, not beginning with a dot"

/* Whether a text is such a name. */
bool name_is_valid(const char *text);

#endif
