/* The HTTP client over one libcurl handle, so that several calls share a connection. Redirects are
 * not followed: the daemon sends none, and a bearer token must not go elsewhere. */
#include "config.h"

#include "client/http_client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "base/mem.h"

struct client {
    CURL *curl;
    char *base;   /* "http://host:port", for a UNIX socket "http://localhost" */
    char *socket; /* path of a UNIX socket, or NULL */
    char *token;
    bool local; /* an address of this machine */
    char problem[CURL_ERROR_SIZE];
};

/* Whether the host of "scheme://host..." is this machine by its name or number. */
static bool is_local(const char *base)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};
    const char *host = strstr(base, "://");
    for (size_t i = 0; host != NULL && i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        size_t n = strlen(hosts[i]);
        if (strncmp(host + 3, hosts[i], n) == 0 && strchr(":/", host[3 + n]) != NULL)
            return true; /* NUL too */
    }
    return false;
}

int client_new(const char *base, const char *token, struct client **ret_client, struct err *e)
{
    int status = -ENOMEM;
    struct client *c = mem_new(1, sizeof(*c));
    if (c == NULL) goto out;
    if (strncmp(base, "unix:", 5) == 0 && base[5]) {
        c->socket = mem_strdup(base + 5);
        c->base = mem_strdup("http://localhost");
        if (c->socket == NULL) goto out;
    } else if (strncmp(base, "http://", 7) == 0 || strncmp(base, "https://", 8) == 0) {
        c->base = mem_strdup(base);
        for (size_t n = c->base != NULL ? strlen(c->base) : 0; n > 0 && c->base[n - 1] == '/'; n--)
            c->base[n - 1] = 0;
    } else {
        status = err_set(e, ERR_RANGE, "\"%s\" is no address: give http://HOST:PORT or unix:SOCKET",
                         base);
        client_free(c);
        return status;
    }
    c->token = token != NULL ? mem_strdup(token) : NULL;
    c->local = c->base != NULL && is_local(c->base);
    if (c->base == NULL || (token != NULL && c->token == NULL)) goto out;
    c->curl = curl_easy_init();
    if (c->curl == NULL) goto out;
    *ret_client = c;
    return 0;
out:
    client_free(c);
    return err_set(e, status, "%s", err_text(status));
}

void client_free(struct client *client)
{
    if (client == NULL) return;
    if (client->curl != NULL) curl_easy_cleanup(client->curl);
    mem_free(client->base);
    mem_free(client->socket);
    mem_free(client->token);
    mem_free(client);
}

void client_answer_release(struct client_answer *answer)
{
    buf_release(&answer->headers);
    buf_release(&answer->body);
}

/* Headers and body alike; less than count breaks the transfer off. */
static size_t take(char *data, size_t size, size_t count, void *arg)
{
    return buf_append(arg, data, size * count) < 0 ? 0 : count;
}

/* "Name: value" lines, and the bearer token, as curl's list; NULL when out of memory. */
static struct curl_slist *header_list(const struct client *client, const char *const *headers)
{
    /* Without this curl waits for "100 Continue" before it sends a larger body. */
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    for (; list != NULL && headers != NULL && *headers != NULL; headers++) {
        struct curl_slist *longer = curl_slist_append(list, *headers);
        if (longer == NULL) goto out;
        list = longer;
    }
    if (list != NULL && client->token != NULL) {
        struct buf line;
        buf_init(&line, 8192);
        struct curl_slist *longer = buf_printf(&line, "Authorization: Bearer %s", client->token) < 0
                                        ? NULL
                                        : curl_slist_append(list, buf_text(&line));
        buf_release(&line);
        if (longer == NULL) goto out;
        list = longer;
    }
    return list;
out:
    curl_slist_free_all(list);
    return NULL;
}

int client_call(struct client *client, const char *method, const char *path,
                const char *const *headers, const void *body, size_t size, long timeout_ms,
                struct client_answer *ret_answer, struct err *e)
{
    int status = -ENOMEM;
    struct client_answer answer;
    buf_init(&answer.headers, 1 << 20);
    buf_init(&answer.body, CLIENT_ANSWER_MAX);
    struct buf url;
    buf_init(&url, 8192);
    struct curl_slist *list = header_list(client, headers);
    if (list == NULL) {
        err_set(e, status, "%s", err_text(status));
        goto out;
    }
    status = buf_printf(&url, "%s%s", client->base, path);
    if (status < 0) {
        err_set(e, status, "the URL %.100s...: %s", client->base, err_text(status));
        goto out;
    }
    CURL *curl = client->curl;
    curl_easy_reset(curl); /* keeps the connection */
    client->problem[0] = 0;
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->problem);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_URL, buf_text(&url));
    if (client->socket != NULL) curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket);
    if (client->local) curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    } else if (strcmp(method, "POST") == 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &answer.headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer.body);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    CURLcode code = curl_easy_perform(curl);
    if (code == CURLE_OK) {
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
        *ret_answer = answer;
        status = 0;
    } else if (code == CURLE_WRITE_ERROR) {
        status = err_set(e, ERR_LIMIT, "the answer of %s%s is larger than the %d bytes that fit",
                         client->socket != NULL ? client->socket : client->base, path,
                         CLIENT_ANSWER_MAX);
    } else {
        status = err_set(e, code == CURLE_OPERATION_TIMEDOUT ? ERR_DEADLINE : -EIO, "%s%s: %s",
                         client->socket != NULL ? client->socket : client->base, path,
                         client->problem[0] ? client->problem : curl_easy_strerror(code));
    }
out:
    if (status) client_answer_release(&answer);
    curl_slist_free_all(list);
    buf_release(&url);
    return status;
}
