/* Buckets of gradients. They are copied, since what becomes ready together lies in many places: a
 * message for each would cost more than the copy. 1 MiB takes about a millisecond on the way
 * between two machines, enough to make nothing of what a message itself costs; PyTorch takes 25
 * (Li et al., "PyTorch Distributed", VLDB 2020, section 3.2.3), for networks and machines that are
 * larger. */
#include "config.h"

#include "exchange.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"

enum { BUCKET = (1 << 20) / sizeof(float) };

struct piece {
    size_t at, n; /* in the array; its copies lie one behind the other */
};

struct exchange {
    struct ranks *ranks;
    size_t size, pieces_max, n_pieces, n_buckets, buckets_max;
    float *values;                   /* the caller's, between begin and end */
    float *copies;                   /* [size] */
    size_t copied, sent;             /* of copies */
    struct piece *pieces;            /* [pieces_max] */
    struct ranks_request **requests; /* [buckets_max] */
};

int exchange_new(struct ranks *ranks, size_t size, size_t pieces, struct exchange **ret_exchange,
                 struct err *e)
{
    *ret_exchange = NULL;
    if (ranks == NULL || size == 0) return 0;
    struct exchange *x = mem_new(1, sizeof(*x));
    if (x == NULL) return err_set(e, -ENOMEM, "out of memory");
    *x = (struct exchange){.ranks = ranks, .size = size, .pieces_max = pieces};
    x->buckets_max = (size + BUCKET - 1) / BUCKET;
    x->copies = mem_new_aligned(size, sizeof(*x->copies));
    x->pieces = mem_new(pieces, sizeof(*x->pieces));
    x->requests = mem_new(x->buckets_max, sizeof(*x->requests));
    bool made = x->copies != NULL && x->pieces != NULL && x->requests != NULL;
    for (size_t i = 0; i < x->buckets_max && x->requests != NULL; i++) {
        x->requests[i] = ranks_request_new();
        made = made && x->requests[i] != NULL;
    }
    if (!made) {
        exchange_free(x);
        return err_set(e, -ENOMEM, "out of memory for %zu gradients on their way", size);
    }
    *ret_exchange = x;
    return 0;
}

void exchange_free(struct exchange *exchange)
{
    if (exchange == NULL) return;
    for (size_t i = 0; i < exchange->buckets_max && exchange->requests != NULL; i++)
        ranks_request_free(exchange->requests[i]);
    mem_free(exchange->requests);
    mem_free(exchange->pieces);
    mem_free(exchange->copies);
    mem_free(exchange);
}

size_t exchange_bytes(const struct exchange *exchange)
{
    return exchange != NULL ? exchange->size * sizeof(*exchange->copies) : 0;
}

void exchange_begin(struct exchange *x, float *values)
{
    if (x == NULL) return;
    x->values = values;
    x->n_pieces = x->n_buckets = x->copied = x->sent = 0;
}

static void send_bucket(struct exchange *x)
{
    ranks_begin_sum(x->ranks, x->requests[x->n_buckets], x->copies + x->sent, x->copied - x->sent);
    x->n_buckets++;
    x->sent = x->copied;
}

static void add_range(struct exchange *x, const struct grad_range *range)
{
    const size_t n = range->end - range->first;
    assert(x->n_pieces < x->pieces_max && x->copied + n <= x->size);
    x->pieces[x->n_pieces++] = (struct piece){range->first, n};
    for (size_t at = range->first, part; at < range->end; at += part) {
        const size_t room = x->sent + BUCKET - x->copied, left = range->end - at;
        part = left < room ? left : room;
        memcpy(x->copies + x->copied, x->values + at, part * sizeof(*x->copies));
        x->copied += part;
        if (part == room) send_bucket(x);
    }
}

void exchange_ready(void *exchange, const struct grad_range *ranges, size_t n)
{
    struct exchange *x = exchange;
    if (x == NULL) return;
    for (size_t i = 0; i < n; i++) add_range(x, &ranges[i]);
    for (size_t i = 0; i < x->n_buckets; i++) ranks_poll(x->ranks, x->requests[i]);
}

void exchange_end(struct exchange *x)
{
    if (x == NULL) return;
    const float count = (float)ranks_count(x->ranks);
    const float *copy = x->copies;
    if (x->copied > x->sent) send_bucket(x);
    for (size_t i = 0; i < x->n_buckets; i++) ranks_wait(x->ranks, x->requests[i]);
    for (size_t i = 0; i < x->n_pieces; i++) {
        float *values = x->values + x->pieces[i].at;
        for (size_t j = 0; j < x->pieces[i].n; j++) values[j] = *copy++ / count;
    }
    x->values = NULL;
}

void exchange_mean(struct exchange *x, float *values)
{
    if (x == NULL) return;
    const struct grad_range all = {0, x->size};
    exchange_begin(x, values);
    exchange_ready(x, &all, 1);
    exchange_end(x);
}
