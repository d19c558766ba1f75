/* Addresses of the listeners. */
#include "config.h"

#include "addresses.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "json/read.h"
#include "json/write.h"
#include "state_place.h"

enum { FILE_MAX = 4 * ADDRESS_MAX };

int admin_address(const struct config *config, char ret_address[ADDRESS_MAX], bool *ret_derived,
                  struct err *e)
{
    char path[PATH_MAX];
    *ret_derived = config->admin_listen[0] == '\0';
    int rc = *ret_derived ? state_path(config, "admin.sock", path, e) : 0;
    if (rc < 0) return rc;
    snprintf(ret_address, ADDRESS_MAX, "%s%s", *ret_derived ? "unix:" : "",
             *ret_derived ? path : config->admin_listen);
    return 0;
}

int addresses_write(const struct config *config, const char *http, const char *admin, struct err *e)
{
    char path[PATH_MAX];
    struct buf text;
    struct json_writer w;
    int rc = state_path(config, "listen.json", path, e);
    if (rc < 0) return rc;
    buf_init(&text, FILE_MAX);
    json_writer_init(&w, &text);
    json_write_open(&w, NULL, '{');
    json_write_string(&w, "http", http);
    json_write_string(&w, "admin", admin);
    json_write_close(&w, '}');
    rc = w.status < 0 ? w.status : buf_puts(&text, "\n");
    if (rc == 0) {
        struct file_piece piece = {.data = text.data, .size = text.size};
        rc = file_write_atomic(path, &piece, 1, e);
    } else {
        err_set(e, rc, "listen.json: %s", err_text(rc));
    }
    buf_release(&text);
    return rc;
}

void addresses_remove(const struct config *config)
{
    char path[PATH_MAX];
    if (state_path(config, "listen.json", path, NULL) == 0) unlink(path);
}

static int read_member(const struct json *json, const char *name, char ret_address[ADDRESS_MAX])
{
    const struct json *value = json_get(json, name);
    if (!json_is(value, JSON_KIND_STRING) || json_text_size(value) >= ADDRESS_MAX)
        return ERR_FORMAT;
    strcpy(ret_address, json_text(value));
    return 0;
}

int addresses_read(const struct config *config, struct addresses *ret_addresses)
{
    static const struct json_limits limits = {FILE_MAX, 16};
    char path[PATH_MAX], *text;
    size_t size;
    int rc = state_path(config, "listen.json", path, NULL);
    if (rc == 0) rc = file_read(path, FILE_MAX, &text, &size, NULL);
    if (rc < 0) return rc;
    struct json *json = json_parse("listen.json", text, size, &limits, JSON_KIND_OBJECT, NULL);
    mem_free(text);
    if (json == NULL) return ERR_FORMAT;
    rc = read_member(json, "http", ret_addresses->http);
    if (rc == 0) rc = read_member(json, "admin", ret_addresses->admin);
    json_free(json);
    return rc;
}
