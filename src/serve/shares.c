/* See shares.h. */
#include "config.h"

#include "serve/shares.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

static int parse_one(const char *text, size_t size, struct shares *shares, struct err *e)
{
    const char *equals = memchr(text, '=', size);
    size_t name_size = equals != NULL ? (size_t)(equals - text) : size;
    char name[NAME_BYTES_MAX + 1], number[32];
    double share;
    if (equals == NULL || name_size > NAME_BYTES_MAX || size - name_size > sizeof(number))
        return err_set(e, ERR_RANGE, "takes NAME=SHARE with commas between");
    snprintf(name, sizeof(name), "%.*s", (int)name_size, text);
    snprintf(number, sizeof(number), "%.*s", (int)(size - name_size - 1), equals + 1);
    if (!name_is_valid(name)) return err_set(e, ERR_RANGE, "a model's name takes " NAME_RULE);
    if (!text_to_real(number, &share) || !(share >= SHARE_LEAST && share <= SHARE_MOST))
        return err_set(e, ERR_RANGE, "the share of %s takes %g to %d", name, SHARE_LEAST,
                       SHARE_MOST);
    for (size_t i = 0; i < shares->n; i++)
        if (strcmp(shares->of[i].name, name) == 0)
            return err_set(e, ERR_RANGE, "%s is there twice", name);
    if (shares->n == SHARES_MAX)
        return err_set(e, ERR_RANGE, "takes %d models at most", SHARES_MAX);
    snprintf(shares->of[shares->n].name, sizeof(shares->of[0].name), "%s", name);
    shares->of[shares->n++].share = share;
    return 0;
}

int shares_parse(const char *text, struct shares *ret_shares, struct err *e)
{
    struct shares shares = {.n = 0};
    while (text[0] != '\0') {
        size_t size = strcspn(text, ",");
        int rc = parse_one(text, size, &shares, e);
        if (rc < 0) return rc;
        text += size;
        if (text[0] == ',' && (++text)[0] == '\0')
            return err_set(e, ERR_RANGE, "nothing stands behind the last comma");
    }
    *ret_shares = shares;
    return 0;
}

double shares_of(const struct shares *shares, const char *name)
{
    for (size_t i = 0; i < shares->n; i++)
        if (strcmp(shares->of[i].name, name) == 0) return shares->of[i].share;
    return 1;
}
