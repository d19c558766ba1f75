/* The file with the bearer token of the admin listener. */
#ifndef APP_TOKEN_FILE_H
#define APP_TOKEN_FILE_H

#include <stdbool.h>

#include "base/err.h"
#include "options.h"

enum { TOKEN_FILE_MAX = 8192 };

/* Whether there is one. */
bool token_file_is_given(const struct config *config);

/* The token that the file holds, as server_set_token() takes it. Errors name option and file. */
int token_file_read(const struct config *config, char ret_token[TOKEN_FILE_MAX + 1], struct err *e);

#endif
