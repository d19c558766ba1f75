/* What the first of several ranks is and tells the others. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "tool.h"
#include "train.h"

bool train_is_first(const struct train_session *s)
{
    return ranks_number(s->ranks) == 0;
}

int train_ranks_tell(struct train_session *s, int rc, struct buf *text, struct err *e)
{
    rc = ranks_settle(s->ranks, rc, e);
    if (rc < 0) return rc;
    size_t size = text->size;
    ranks_tell(s->ranks, &size, sizeof(size));
    char *copy = mem_new(size + 1, 1);
    if (copy == NULL) rc = err_set(e, -ENOMEM, "out of memory for what rank 0 tells");
    rc = ranks_settle(s->ranks, rc, e);
    if (rc == 0) {
        if (train_is_first(s)) memcpy(copy, buf_text(text), size);
        ranks_tell(s->ranks, copy, size);
        if (!train_is_first(s)) rc = buf_append(text, copy, size);
        if (rc < 0) err_set(e, rc, "out of memory for what rank 0 tells");
    }
    mem_free(copy);
    return ranks_settle(s->ranks, rc, e);
}
