/* One table, the row's, says what both places take. */
#include "config.h"

#include "asked.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void asked_init(struct asked *asked, const struct query_member *members, const struct exchange *x)
{
    *asked = (struct asked){.members = members};
    for (int i = 0; x != NULL && members[i].name != NULL; i++)
        asked->values[i] = exchange_query(x, members[i].name);
}

int asked_find(const struct asked *asked, const char *name)
{
    for (int i = 0; asked->members[i].name != NULL; i++)
        if (strcmp(asked->members[i].name, name) == 0) return i;
    return -1;
}

/* Of two values that the member takes. */
static bool are_equal(const struct query_member *member, const char *a, const char *b)
{
    if (member->kind == QUERY_NAME) return strcmp(a, b) == 0;
    return strtoll(a, NULL, 10) == strtoll(b, NULL, 10);
}

int asked_add(struct asked *asked, int i, const char *value, struct err *e)
{
    const struct query_member *member = &asked->members[i];
    if (asked->in_body[i]) return err_set(e, ERR_FORMAT, "%s: duplicate in the body", member->name);
    int rc = query_member_check(member, member->name, value, e);
    if (rc < 0) return rc;
    if (asked->values[i] != NULL && !are_equal(member, asked->values[i], value))
        return err_set(e, ERR_RANGE,
                       "%s is %.64s in the body and %.64s in the query: they disagree",
                       member->name, value, asked->values[i]);
    asked->values[i] = value;
    asked->in_body[i] = true;
    return 0;
}

const char *asked_text(const struct asked *asked, const char *name)
{
    int i = asked_find(asked, name);
    assert(i >= 0);
    return asked->values[i];
}

int64_t asked_number(const struct asked *asked, const char *name, int64_t otherwise)
{
    const char *value = asked_text(asked, name);
    return value == NULL ? otherwise : strtoll(value, NULL, 10);
}
