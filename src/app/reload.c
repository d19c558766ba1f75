/* Reloading. The comparison walks the table of options: whether one can be taken while the daemon
 * runs is a flag of its row. */
#include "config.h"

#include "reload.h"

#include <string.h>

#include "base/log.h"

extern char **environ;

int reload_read(struct settings *settings, struct config *ret_next, struct err *e)
{
    struct settings next = *settings; /* where values come from changes with them */
    int rc = settings_apply(&next, environ, ret_next, e);
    if (rc == 0) rc = config_check(ret_next, e);
    if (rc < 0) {
        settings_explain(&next, e);
        return rc;
    }
    *settings = next;
    return 0;
}

int reload_take(struct config *config, const struct config *next)
{
    int changes = 0;
    for (size_t i = 0; i < option_count; i++) {
        const struct option *o = &option_table[i];
        char now[CONFIG_TEXT_MAX], then[CONFIG_TEXT_MAX];
        option_text(o, config, then, sizeof(then));
        option_text(o, next, now, sizeof(now));
        if (strcmp(now, then) == 0) continue;
        changes++;
        if (!o->live) {
            log_warning("%s.%s = %s is taken at the next start; until then it is %s", o->section,
                        o->key, now, then[0] != '\0' ? then : "empty");
            continue;
        }
        option_copy(o, config, next);
        log_info("%s.%s is %s now; it was %s", o->section, o->key, now[0] != '\0' ? now : "empty",
                 then[0] != '\0' ? then : "empty");
    }
    return changes;
}
