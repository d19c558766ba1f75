/* --check-config. Every check is made, so that one run names all that is wrong; none changes
 * anything, a daemon that runs beside it included. */
#include "config.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "addresses.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "http/address.h"
#include "jobs/jobs.h"
#include "kernel/kernel.h"
#include "model/model.h"
#include "nn/net.h"
#include "state_place.h"
#include "token_file.h"

struct check {
    const struct settings *settings;
    const struct config *config;
    struct addresses running; /* of the daemon on the same state directory */
    bool runs;
    unsigned failures;
};

int check_precision(const struct config *c, struct err *e)
{
    bool has_bf16 = kernels_best()->conv[CONV_BF16].forward.takes != NULL;
    if (has_bf16 || strcmp(c->engine_precision, "bf16") != 0) return has_bf16;
    return err_set(e, ERR_UNSUPPORTED,
                   "engine.precision = bf16: this processor does not have it; use auto or fp32");
}

/* ---- what is said ---- */

__attribute__((format(printf, 2, 3))) static void good(const char *name, const char *format, ...)
{
    va_list args;
    printf("%s: ", name);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

static void bad(struct check *check, struct err *e)
{
    char text[ERR_TEXT_MAX];
    settings_explain(check->settings, e);
    fprintf(stderr, "autodidactd: %s\n", text_printable(text, sizeof(text), e->text));
    check->failures++;
}

__attribute__((format(printf, 1, 2))) static void warn(const char *format, ...)
{
    va_list args;
    fprintf(stderr, "autodidactd: warning: ");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
}

/* ---- listeners ---- */

static void check_listener(struct check *check, const char *name, const char *address, bool derived)
{
    struct err e = {0};
    int rc = address_check(address, &e);
    const struct addresses *running = &check->running;
    if (rc == -EADDRINUSE && check->runs &&
        (address_is_in_the_way(running->http, address) ||
         address_is_in_the_way(running->admin, address))) {
        good(name, "%s, held by the daemon that runs on this state directory", address);
    } else if (rc < 0) {
        err_prefix(&e, "%s", name);
        if (derived) state_blame(&e);
        bad(check, &e);
    } else {
        good(name, "%s", address);
    }
}

static bool is_any_port(const char *address)
{
    const char *port = strrchr(address, ':');
    return port != NULL && strcmp(port, ":0") == 0;
}

/* Each could be opened, but not both. */
static void check_pair(struct check *check, const char *http, const char *admin, bool derived)
{
    struct err e = {0};
    if (is_any_port(http) ||
        (!address_is_in_the_way(http, admin) && !address_is_in_the_way(admin, http)))
        return;
    err_set(&e, -EADDRINUSE, "admin.listen: %s is taken by http.listen, %s: use another one", admin,
            http);
    if (derived) state_blame(&e);
    bad(check, &e);
}

static void check_listeners(struct check *check)
{
    char admin[ADDRESS_MAX];
    bool derived;
    struct err e = {0};
    check->runs =
        state_is_taken(check->config) && addresses_read(check->config, &check->running) == 0;
    check_listener(check, "http.listen", check->config->http_listen, false);
    if (admin_address(check->config, admin, &derived, &e) < 0) {
        bad(check, &e);
        return;
    }
    check_listener(check, "admin.listen", admin, derived);
    check_pair(check, check->config->http_listen, admin, derived);
}

/* ---- files ---- */

static void check_token(struct check *check)
{
    const char *path = check->config->admin_token_file;
    char token[TOKEN_FILE_MAX + 1];
    struct stat st;
    struct err e = {0};
    if (path[0] == '\0') return; /* config_check() says where one is needed */
    if (token_file_read(check->config, token, &e) < 0) {
        bad(check, &e);
        return;
    }
    good("admin.token_file", "%s", path);
    if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
        warn("%s: others than its owner may read or write it (mode %03o)", path,
             (unsigned)st.st_mode & 0777);
}

static void check_state(struct check *check)
{
    char path[PATH_MAX];
    bool exists;
    struct err e = {0};
    int rc = state_check(check->config, &exists, &e);
    if (err_is_disk(rc)) /* which is no reason not to start */
        warn("%s; what is there will be served, jobs and changes will be refused", e.text);
    else if (rc < 0 || state_path(check->config, "", path, &e) < 0)
        bad(check, &e);
    else
        good("state", "%s%s", path, exists ? "" : ", which will be made");
}

static void check_directory(struct check *check, const struct option *o)
{
    char name[80], path[CONFIG_TEXT_MAX];
    struct err e = {0};
    struct stat st;
    snprintf(name, sizeof(name), "%s.%s", o->section, o->key);
    option_text(o, check->config, path, sizeof(path));
    if (path[0] == '\0') return;
    int rc = stat(path, &st) == 0 ? 0 : -errno;
    if (rc == 0 && !S_ISDIR(st.st_mode)) rc = -ENOTDIR;
    if (rc == 0 && faccessat(AT_FDCWD, path, R_OK | X_OK, AT_EACCESS) != 0) rc = -errno;
    if (rc == 0) {
        good(name, "%s", path);
        return;
    }
    err_set(&e, rc, "%s: %s: %s", name, path, err_text(rc));
    bad(check, &e);
}

/* Within the bound that the start keeps to. */
static int load_model(const struct config *config, struct model **ret_model, struct err *e)
{
    char *bytes;
    size_t size;
    int rc = file_read(config->model_file, (size_t)config->model_bytes_max, &bytes, &size, e);
    if (rc < 0) return rc;
    rc = model_load_bytes(bytes, size, ret_model, e);
    if (rc < 0) err_prefix(e, "%s", config->model_file);
    mem_free(bytes);
    return rc;
}

static void check_model(struct check *check)
{
    const char *path = check->config->model_file;
    struct model *model;
    struct err e = {0};
    if (path[0] == '\0') {
        good("model.file", "none; what served last will serve");
    } else if (load_model(check->config, &model, &e) < 0) {
        err_prefix(&e, "model.file");
        bad(check, &e);
    } else {
        int classes[2];
        good("model.file", "%s: %s", path, model->name);
        if (model_has_doubled_label(model->labels, net_classes(model->net), classes))
            warn("%s: classes %d and %d are both called \"%s\": in answers only the index tells "
                 "them "
                 "apart",
                 path, classes[0], classes[1], model->labels[classes[0]]);
        model_free(model);
    }
}

static void check_program(struct check *check)
{
    struct err e = {0};
    char *path = jobs_program(check->config->train_program);
    int rc = path == NULL ? -ENOMEM : file_check_program(path);
    if (rc < 0) {
        err_set(&e, rc, "train.program: %s: %s", path != NULL ? path : "", err_text(rc));
        bad(check, &e);
    } else {
        good("train.program", "%s", path);
    }
    mem_free(path);
}

static void check_launcher(struct check *check)
{
    struct err e = {0};
    char path[PATH_MAX];
    if (jobs_launcher_find(check->config->train_launcher, path, &e) < 0) {
        err_prefix(&e, "train.launcher");
        bad(check, &e);
    } else if (path[0] != '\0') {
        good("train.launcher", "%s", path);
    }
}

/* A file that is there is opened as the log would; otherwise its directory must let it be made. */
static void check_log(struct check *check)
{
    const char *path = check->config->log_file;
    char directory[PATH_MAX];
    struct err e = {0};
    if (path[0] == '\0') return;
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), rc = 0;
    if (fd < 0) rc = -errno;
    if (fd >= 0) close(fd);
    if (rc == -ENOENT) {
        snprintf(directory, sizeof(directory), "%s", path);
        char *slash = strrchr(directory, '/');
        if (slash == NULL)
            strcpy(directory, ".");
        else
            slash[slash == directory] = '\0';
        rc = faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0 ? 0 : -errno;
    }
    if (rc == 0) {
        good("log.file", "%s", path);
        return;
    }
    err_set(&e, rc, "log.file: %s: %s", path, err_text(rc));
    bad(check, &e);
}

/* ---- the machine ---- */

static void check_machine(struct check *check)
{
    const struct config *c = check->config;
    const int64_t cpus = cpu_count(), workers = c->engine_workers != 0 ? c->engine_workers : cpus;
    struct rlimit limit;
    struct err e = {0};
    if (check_precision(c, &e) < 0) bad(check, &e);
    good("engine", "%lld workers, %lld processors, %s kernels", (long long)workers, (long long)cpus,
         cpu_isa_name(kernels_best()->isa));
    if (workers > cpus)
        warn("engine.workers: %lld workers share %lld processors", (long long)workers,
             (long long)cpus);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max != RLIM_INFINITY &&
        (int64_t)limit.rlim_max / 2 < c->http_connection_limit)
        warn("http.connection_limit: the process may open only %lld files",
             (long long)limit.rlim_max);
}

int check_everything(const struct settings *settings, const struct config *config)
{
    static struct check check;
    struct err e = {0};
    check = (struct check){.settings = settings, .config = config};
    if (config_check(config, &e) < 0) bad(&check, &e);
    check_machine(&check);
    check_listeners(&check);
    check_token(&check);
    check_state(&check);
    check_model(&check);
    check_program(&check);
    check_launcher(&check);
    for (size_t i = 0; i < option_count; i++)
        if (option_table[i].type == OPTION_DIRECTORY) check_directory(&check, &option_table[i]);
    check_log(&check);
    if (fflush(stdout) != 0) check.failures++;
    if (check.failures == 0)
        return printf("the configuration is good\n") < 0 || fflush(stdout) != 0;
    fprintf(stderr, "autodidactd: %u %s\n", check.failures,
            check.failures == 1 ? "thing is wrong" : "things are wrong");
    return 1;
}
