/* A list behind a lock and a uv_async that says that something is in it. */
#include "config.h"

#include "mailbox.h"

#include <stddef.h>

static void open_all(uv_async_t *async)
{
    struct mailbox *box =
        (struct mailbox *)(void *)((char *)async - offsetof(struct mailbox, async));
    pthread_mutex_lock(&box->lock);
    struct mail *mail = box->first;
    box->first = NULL;
    box->last = &box->first;
    pthread_mutex_unlock(&box->lock);
    while (mail != NULL) {
        struct mail *next = mail->next;
        mail->open(mail);
        mail = next;
    }
}

int mailbox_init(struct mailbox *box, uv_loop_t *loop)
{
    int rc = uv_async_init(loop, &box->async, open_all);
    if (rc < 0) return rc;
    pthread_mutex_init(&box->lock, NULL);
    box->first = NULL;
    box->last = &box->first;
    return 0;
}

void mailbox_post(struct mailbox *box, struct mail *mail)
{
    mail->next = NULL;
    pthread_mutex_lock(&box->lock);
    *box->last = mail;
    box->last = &mail->next;
    /* Under the lock: once the mail can be opened its owner may close the box. */
    uv_async_send(&box->async);
    pthread_mutex_unlock(&box->lock);
}

void mailbox_close(struct mailbox *box, uv_close_cb closed, void *data)
{
    box->async.data = data;
    pthread_mutex_lock(&box->lock); /* the last sender has left */
    pthread_mutex_unlock(&box->lock);
    pthread_mutex_destroy(&box->lock);
    uv_close((uv_handle_t *)&box->async, closed);
}
