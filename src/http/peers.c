/* Clients by address: a table of lists, since there are a thousand at most. */
#include "config.h"

#include "peers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool is_mapped(const uint8_t address[16])
{
    return memcmp(address, mapped, sizeof(mapped)) == 0;
}

/* IPv4 as IPv6; false for everything else. */
static bool as_ipv6(const struct sockaddr *address, uint8_t ret[16])
{
    if (address->sa_family == AF_INET) {
        memcpy(ret, mapped, sizeof(mapped));
        memcpy(ret + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
        return true;
    }
    if (address->sa_family != AF_INET6) return false;
    memcpy(ret, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
    return true;
}

/* ---- who is trusted ---- */

static bool begins_alike(const uint8_t *a, const uint8_t *b, int bits)
{
    int bytes = bits / 8, rest = bits % 8;
    if (memcmp(a, b, (size_t)bytes) != 0) return false;
    return rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0;
}

static bool is_trusted(const struct peers *peers, const uint8_t address[16])
{
    for (size_t i = 0; i < peers->n_trusted; i++)
        if (begins_alike(address, peers->trusted[i].address, peers->trusted[i].bits)) return true;
    return false;
}

/* "ADDRESS" or "ADDRESS/BITS". */
static int trust(struct peers *peers, const char *text, struct err *e)
{
    char host[INET6_ADDRSTRLEN + 1] = "";
    size_t size = strcspn(text, "/");
    if (peers->n_trusted == PEERS_TRUSTED_MAX)
        return err_set(e, ERR_LIMIT, "there are more than %d addresses", PEERS_TRUSTED_MAX);
    if (size < sizeof(host)) memcpy(host, text, size);
    uint8_t *address = peers->trusted[peers->n_trusted].address;
    bool is_4 = inet_pton(AF_INET, host, address + 12) == 1;
    if (is_4) memcpy(address, mapped, sizeof(mapped));
    long bits = is_4 ? 32 : 128, most = bits;
    bool right = is_4 || inet_pton(AF_INET6, host, address) == 1;
    if (text[size] == '/') {
        char *end;
        bits = strtol(text + size + 1, &end, 10);
        right = right && text[size + 1] >= '0' && text[size + 1] <= '9' && *end == '\0';
    }
    if (!right || bits < 0 || bits > most)
        return err_set(e, ERR_FORMAT, "\"%.64s\" is neither ADDRESS nor ADDRESS/BITS", text);
    peers->trusted[peers->n_trusted++].bits = (int)(bits + (is_4 ? 96 : 0));
    return 0;
}

int peers_trust(struct peers *peers, const char *list, struct err *e)
{
    char item[80];
    for (;;) {
        list += strspn(list, ", \t");
        if (*list == '\0') return 0;
        size_t size = strcspn(list, ", \t"), kept = size < sizeof(item) ? size : sizeof(item) - 1;
        memcpy(item, list, kept);
        item[kept] = '\0';
        int rc = trust(peers, item, e);
        if (rc < 0) return rc;
        list += size;
    }
}

/* ---- who is there ---- */

static struct peer **bucket(struct peers *peers, const uint8_t key[16])
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (int i = 0; i < 16; i++) hash = (hash ^ key[i]) * 16777619u;
    return &peers->buckets[hash % PEERS_BUCKETS];
}

struct peer *peers_enter(struct peers *peers, const struct sockaddr *address)
{
    uint8_t key[16];
    if (!as_ipv6(address, key) || is_trusted(peers, key)) return NULL;
    if (!is_mapped(key)) memset(key + 8, 0, 8);
    struct peer **head = bucket(peers, key), *peer = *head;
    while (peer != NULL && memcmp(peer->key, key, sizeof(key)) != 0) peer = peer->next;
    if (peer == NULL) {
        peer = mem_new(1, sizeof(*peer));
        if (peer == NULL) return NULL;
        memcpy(peer->key, key, sizeof(key));
        peer->next = *head;
        *head = peer;
    }
    peer->connections++;
    return peer;
}

void peers_leave(struct peers *peers, struct peer *peer)
{
    if (peer == NULL || --peer->connections > 0) return;
    struct peer **at = bucket(peers, peer->key);
    while (*at != peer) at = &(*at)->next;
    *at = peer->next;
    mem_free(peer);
}
