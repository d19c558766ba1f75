/* The memory of requests' bodies: one bound for all of a server and one for each address. What
 * counts is what has arrived: lengths that are only announced would let a few clients that send
 * nothing shut out all others. */
#include "config.h"

#include "connection.h"

static bool fits(size_t used, size_t more, size_t max)
{
    return max == 0 || (used <= max && more <= max - used);
}

static int fit(const struct connection *c, size_t more)
{
    const struct server_options *o = server_options_of(c->server);
    if (c->peer != NULL && !fits(c->peer->upload_bytes, more, o->upload_peer_max))
        return UPLOADS_PEER_FULL;
    return fits(server_upload_bytes(c->server), more, o->upload_max) ? UPLOADS_FIT : UPLOADS_FULL;
}

int uploads_fit(const struct connection *c, size_t more)
{
    int why = fit(c, more);
    return why != UPLOADS_FIT && server_give_back(c->server) ? fit(c, more) : why;
}

bool uploads_are_tight(const struct server *server)
{
    size_t max = server_options_of(server)->upload_max;
    return !fits(server_upload_bytes(server), max / 2, max);
}

static void count(struct connection *c, size_t from, size_t to)
{
    server_upload_change(c->server, from, to);
    if (c->peer != NULL) c->peer->upload_bytes = c->peer->upload_bytes - from + to;
}

int uploads_change(struct connection *c, size_t from, size_t to)
{
    count(c, from, to);
    return uploads_fit(c, 0);
}

bool uploads_release(struct connection *c)
{
    struct buf *body = &c->x.body;
    bool any = body->capacity > 0;
    count(c, body->capacity, 0);
    buf_release(body);
    return any;
}
