/* Bearer tokens. */
#include "config.h"

#include "token.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

enum { TOKEN_MAX = 4096 };

int token_set(struct token *token, const char *text, struct err *e)
{
    text += text_mark_length(text, strlen(text));
    text += strspn(text, " \t\r\n");
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL) n--;
    if (n == 0) return err_set(e, ERR_FORMAT, "the token is empty");
    if (n > TOKEN_MAX)
        return err_set(e, ERR_FORMAT, "the token is longer than %d bytes", TOKEN_MAX);
    for (size_t i = 0; i < n; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return err_set(e, ERR_FORMAT,
                           "the token must be one line of visible ASCII without blanks");
    sha256(text, n, token->digest);
    token->present = true;
    return 0;
}

/* Digests are compared, so that neither content nor length of the token shows in the time it
 * takes. */
bool token_is_right(const struct token *token, const char *authorization)
{
    if (!token->present || authorization == NULL) return false;
    if (strncasecmp(authorization, "Bearer ", 7) != 0) return false;
    const char *given = authorization + 7;
    given += strspn(given, " ");
    uint8_t digest[SHA256_SIZE];
    sha256(given, strlen(given), digest);
    unsigned difference = 0;
    for (size_t i = 0; i < SHA256_SIZE; i++) difference |= digest[i] ^ token->digest[i];
    return difference == 0;
}
