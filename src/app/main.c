/* autodidactd: reads its settings and runs the daemon. Exit codes: 0 done, 1 failed, 2 bad
 * usage. */
#include "config.h"

#include <stdio.h>
#include <sys/stat.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/log.h"
#include "base/log_sink.h"
#include "base/title.h"
#include "check.h"
#include "daemon.h"
#include "log_options.h"
#include "settings.h"
#include "signals.h"

extern char **environ;

static int print(int (*fill)(struct buf *out))
{
    struct buf text;
    buf_init(&text, 1 << 20);
    int rc = fill(&text);
    if (rc == 0) fputs(buf_text(&text), stdout);
    buf_release(&text);
    return rc == 0 && fflush(stdout) == 0 ? 0 : 1;
}

static int print_config(const struct config *config)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    int rc = settings_print(config, &text);
    if (rc == 0) fputs(buf_text(&text), stdout);
    buf_release(&text);
    return rc == 0 && fflush(stdout) == 0 ? 0 : 1;
}

/* One line, whatever was typed. */
static void complain(const struct err *e)
{
    char text[ERR_TEXT_MAX];
    size_t n = 0;
    for (; e->text[n] != '\0'; n++) text[n] = (unsigned char)e->text[n] < ' ' ? '?' : e->text[n];
    fprintf(stderr, "autodidactd: %.*s\n", (int)n, text);
}

static void warn_on_stderr(void *arg, const char *message)
{
    (void)arg;
    fprintf(stderr, "autodidactd: warning: %s\n", message);
}

static void warn_in_log(void *arg, const char *message)
{
    (void)arg;
    log_warning("%s", message);
}

int main(int argc, char **argv)
{
    if (file_open_standard() < 0) return 1;
    signals_ignore();
    umask(0077); /* what it writes, and its trainings, is its own */
    cpu_prepare_blas(argv);
    title_init(argv);
    static struct config config;
    struct settings settings;
    struct err e = {0};
    int rc = settings_parse(&settings, argc, argv, &e);
    if (rc < 0) {
        complain(&e);
        return 2;
    }
    if (settings.help) return print(settings_help);
    if (settings.version) {
        printf("autodidactd %s (%s)\n", PACKAGE_VERSION, AD_BUILD_SUMMARY);
        return 0;
    }
    rc = settings_apply(&settings, environ, &config, &e);
    if (rc == 0) rc = cpu_check_isa(&e);
    if (rc == 0 && settings.print) return print_config(&config);
    if (rc == 0 && settings.check) {
        settings_unknown_variables(environ, warn_on_stderr, NULL);
        return check_everything(&settings, &config);
    }
    if (rc == 0) rc = config_check(&config, &e);
    if (rc == 0) rc = log_options_open(&config, &e);
    if (rc < 0) {
        settings_explain(&settings, &e);
        complain(&e);
        return rc == ERR_USAGE ? 2 : 1;
    }
    log_options_use(&config);
    log_sink_outlive_crashes();
    settings_unknown_variables(environ, warn_in_log, NULL);
    return daemon_run(&settings, &config);
}
