/* Options of the log. */
#include "config.h"

#include "log_options.h"

#include <string.h>

#include "base/log.h"
#include "base/log_sink.h"

int log_options_open(const struct config *config, struct err *e)
{
    int rc = log_sink_open(config->log_file, e);
    if (rc < 0) err_prefix(e, "log.file");
    return rc;
}

void log_options_use(const struct config *config)
{
    log_setup((enum log_level)log_level_parse(config->log_level),
              (enum log_format)log_format_parse(config->log_format));
}

int log_options_change(const struct config *from, const struct config *to, struct err *e)
{
    int rc = strcmp(from->log_file, to->log_file) != 0 ? log_options_open(to, e) : 0;
    if (rc == 0 && log_level_parse(to->log_level) > log_level_parse(from->log_level))
        log_options_use(to);
    return rc;
}
