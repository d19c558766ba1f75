/* Reading the token. */
#include "config.h"

#include "token_file.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "http/server.h"

bool token_file_is_given(const struct config *config)
{
    return config->admin_token_file[0] != '\0';
}

int token_file_read(const struct config *config, char ret_token[TOKEN_FILE_MAX + 1], struct err *e)
{
    char *text;
    size_t size;
    int rc = file_read(config->admin_token_file, TOKEN_FILE_MAX, &text, &size, e);
    if (rc < 0) return err_prefix(e, "admin.token_file"), rc;
    if (strlen(text) != size)
        rc = err_set(e, ERR_FORMAT, "the token holds a NUL byte");
    else
        rc = server_check_token(text, e);
    if (rc == 0) memcpy(ret_token, text, size + 1);
    mem_free(text);
    if (rc < 0) err_prefix(e, "admin.token_file %s", config->admin_token_file);
    return rc;
}
