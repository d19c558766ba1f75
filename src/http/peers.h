/* The clients of a server by their address, and what each holds of what all share. An IPv6 client
 * is its /64, since that is what one is given; UNIX sockets and trusted addresses (a proxy's) count
 * for nobody. Loop thread. */
#ifndef HTTP_PEERS_H
#define HTTP_PEERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

enum { PEERS_TRUSTED_MAX = 32, PEERS_BUCKETS = 256 };

struct peer {
    uint8_t key[16];
    size_t connections, upload_bytes;
    struct peer *next;
};

struct peers {
    struct peer *buckets[PEERS_BUCKETS];
    size_t n_trusted;
    struct {
        uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
        int bits;
    } trusted[PEERS_TRUSTED_MAX];
};

/* Whose connections are not counted: "10.0.0.0/8, 192.168.1.7, fd00::/8", maybe empty. `peers` is
 * zeroed. ERR_FORMAT, ERR_LIMIT. */
int peers_trust(struct peers *peers, const char *list, struct err *e);

/* A connection from there begins: the client, or NULL where it does not count (or out of memory).
 */
struct peer *peers_enter(struct peers *peers, const struct sockaddr *address);

/* It has ended; NULL is fine. The last one of a client forgets it. */
void peers_leave(struct peers *peers, struct peer *peer);

#endif
