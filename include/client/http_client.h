/* An HTTP client for the tool's `classify` and `jobs`: one request, one answer, by libcurl. A proxy
 * of the environment (http_proxy..) is used for other machines, never for this one. One thread at a
 * time. */
#ifndef CLIENT_HTTP_CLIENT_H
#define CLIENT_HTTP_CLIENT_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

enum { CLIENT_ANSWER_MAX = 64 << 20 };

struct client;

/* base: "http://127.0.0.1:8080", "https://..." or "unix:DIR/admin.sock"; token may be NULL (else
 * sent as a bearer token). Errors: ERR_RANGE for a base of another form, -ENOMEM. */
int client_new(const char *base, const char *token, struct client **ret_client, struct err *e);
void client_free(struct client *client);

struct client_answer {
    long status;
    struct buf headers; /* as received, lines end in \r\n */
    struct buf body;
};
void client_answer_release(struct client_answer *answer);

/* Sends one request and reads the whole answer, whatever its status. path begins with '/'. headers:
 * NULL or a NULL-terminated list of "Name: value". body may be NULL. timeout_ms 0: none. Errors
 * name the address and what failed. *ret_answer is set on success only; client_answer_release() it.
 */
int client_call(struct client *client, const char *method, const char *path,
                const char *const *headers, const void *body, size_t size, long timeout_ms,
                struct client_answer *ret_answer, struct err *e);

#endif
