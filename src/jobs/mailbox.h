/* A mailbox: how the store thread gets back to the loop. Mail is part of the sender's own
 * structure, so that posting cannot fail; it is opened on the loop thread in the order of posting.
 */
#ifndef JOBS_MAILBOX_H
#define JOBS_MAILBOX_H

#include <pthread.h>
#include <uv.h>

struct mail {
    void (*open)(struct mail *mail); /* on the loop thread; may free what holds the mail */
    struct mail *next;
};

struct mailbox {
    uv_async_t async;
    pthread_mutex_t lock;
    struct mail *first, **last;
};

int mailbox_init(struct mailbox *box,
                 uv_loop_t *loop); /* 0 or an error of libuv's, a negated errno */
void mailbox_post(struct mailbox *box, struct mail *mail);

/* Loop thread; closed(handle) follows in a later turn, handle->data being `data`. */
void mailbox_close(struct mailbox *box, uv_close_cb closed, void *data);

#endif
