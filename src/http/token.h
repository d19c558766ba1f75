/* A bearer token (RFC 6750), of which only the digest is kept. */
#ifndef HTTP_TOKEN_H
#define HTTP_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/sha256.h"

struct token {
    bool present;
    uint8_t digest[SHA256_SIZE];
};

/* White space around the text is cut off. ERR_FORMAT when it is empty or holds anything but visible
 * ASCII; the token is what it was then. */
int token_set(struct token *token, const char *text, struct err *e);

/* Whether the value of an Authorization header (or NULL) holds this token. */
bool token_is_right(const struct token *token, const char *authorization);

#endif
