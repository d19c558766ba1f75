/* The table of options. To add one: a member in struct config, a line here; everything else
 * follows. */
#include "config.h"

#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "model/model.h"
#include "serve/shares.h"
#include "units.h"

_Static_assert(sizeof(int64_t) == sizeof(double), "numbers are copied alike");

#define AT(member) offsetof(struct config, member)
/* clang-format off */
#define LIVE true /* behind the help: taken from a configuration that is read again at SIGHUP */
#define ROW(section_, key_, type_, standard_, min_, max_, choices_, ...) \
    {.section = #section_, .key = #key_, .type = type_, .offset = AT(section_##_##key_), \
     .standard = standard_, .min = min_, .max = max_, .choices = choices_, .help = __VA_ARGS__}
#define TEXT(section, key, standard, ...) \
    ROW(section, key, OPTION_TEXT, standard, 0, 0, NULL, __VA_ARGS__)
#define DIRECTORY(section, key, standard, ...) \
    ROW(section, key, OPTION_DIRECTORY, standard, 0, 0, NULL, __VA_ARGS__)
#define CHOICE(section, key, standard, choices, ...) \
    ROW(section, key, OPTION_CHOICE, standard, 0, 0, choices, __VA_ARGS__)
#define INTEGER(section, key, standard, min, max, ...) \
    ROW(section, key, OPTION_INTEGER, standard, min, max, NULL, __VA_ARGS__)
#define BYTES(section, key, standard, min, max, ...) \
    ROW(section, key, OPTION_BYTES, standard, min, max, NULL, __VA_ARGS__)
#define MS(section, key, standard, min, max, ...) \
    ROW(section, key, OPTION_MS, standard, min, max, NULL, __VA_ARGS__)
#define REAL(section, key, standard, min, max, ...) \
    ROW(section, key, OPTION_REAL, standard, min, max, NULL, __VA_ARGS__)
/* clang-format on */

const struct option option_table[] = {
    TEXT(http, listen, "127.0.0.1:8080",
         "public listener: HOST:PORT, [IPV6]:PORT, PORT (on all addresses) or unix:PATH; port 0 "
         "takes a free one"),
    INTEGER(http, connection_limit, "1000", 1, 100000,
            "connections of a listener at a time; idle ones give way to new ones"),
    INTEGER(http, address_connection_limit, "600", 0, 100000,
            "the same of one address, or IPv6 /64; above, 429; 0: no bound but that of all", LIVE),
    TEXT(http, trusted_addresses, "",
         "of proxies, for which the bounds of one address do not hold: ADDRESS or ADDRESS/BITS, "
         "with commas between"),
    MS(http, header_timeout_ms, "10000", 10, 3600000, "for request line and headers to arrive",
       LIVE),
    MS(http, body_timeout_ms, "30000", 10, 3600000, "for a whole body to arrive", LIVE),
    BYTES(http, body_rate_min_bytes, "1K", 0, 1 << 30,
          "a second that a body must come with, over 5 s; below, 408; 0: any rate", LIVE),
    MS(http, idle_timeout_ms, "75000", 10, 3600000,
       "between two requests of a connection, and to take an answer; above that of a proxy", LIVE),
    BYTES(http, body_max_bytes, "32M", 1024, 1 << 30, "of a request to classify"),
    BYTES(http, upload_max_bytes, "512M", 1024, 1LL << 40,
          "of all bodies of the public listener that are received or worked on; above, 503", LIVE),
    BYTES(http, address_upload_max_bytes, "256M", 0, 1LL << 40,
          "the same of one address; above, 429; 0: no bound but that of all", LIVE),
    INTEGER(http, images_max, "64", 1, 4096, "images in one request"),
    TEXT(admin, listen, "", "listener for administration; empty: unix:STATE/admin.sock, mode 0600"),
    TEXT(admin, token_file, "",
         "file with the bearer token; needed when admin.listen is not a UNIX socket", LIVE),
    TEXT(state, directory, "/var/lib/autodidact", "versions, jobs and database; one daemon's own"),
    TEXT(model, file, "", "model to import at start when it is not the one imported last"),
    BYTES(model, bytes_max, "1G", 1024, MODEL_FILE_MAX, "of a model file"),
    DIRECTORY(model, specs, "",
              "directory of NAME.json for jobs; empty: where the models were installed"),
    TEXT(
        model, share, "",
        "of the machine that a model has before others: NAME=SHARE with commas between; who is not "
        "named has 1",
        LIVE),
    INTEGER(engine, workers, "0", 0, 1024, "compute threads; 0: one a processor"),
    INTEGER(engine, batch_max, "32", 1, 1024, "images in one batch of a section"),
    INTEGER(engine, queue_max, "1024", 1, 1000000,
            "images admitted and not answered; above, requests get 503", LIVE),
    CHOICE(engine, precision, "fp32", "fp32|bf16|auto",
           "of products; sums are fp32; auto: bf16 where the processor has it"),
    CHOICE(engine, algorithms, "measured", "measured|rule",
           "how each convolution's is chosen; measurements are kept in STATE/cache"),
    CHOICE(sla, default_classifier, "deepest", "deepest|ensemble|auto",
           "for requests that ask for nothing", LIVE),
    INTEGER(sla, urgency_min, "1", 0, 7,
            "the most urgent that Priority may be without the token of admin.token_file (0 is the "
            "most urgent); what is above counts as this"),
    MS(sla, default_target_ms, "1000", 1, 3600000,
       "where a request without a deadline stands in the queue", LIVE),
    BYTES(image, bytes_max, "24M", 64, 1 << 30, "of one encoded image"),
    INTEGER(image, pixels_max, "50000000", 1, 1000000000, "width x height of one image"),
    INTEGER(image, side_max, "16384", 1, 65500, "width or height of one image"),
    BYTES(image, memory_max, "512M", 1 << 20, INT64_C(1) << 40, "that decoding one image may take"),
    CHOICE(image, truncated, "refuse", "refuse|accept",
           "JPEGs whose pixel data end early; what is missing is grey"),
    CHOICE(decode, sandbox, "on", "on|off",
           "images are decoded by processes in a sandbox (doc/sandbox.md); off: by the daemon"),
    INTEGER(decode, helpers, "0", 0, 256,
            "processes for small images, and as many for large ones; 0: as many as engine.workers"),
    MS(decode, timeout_ms, "10000", 10, 600000, "for one image to be decoded"),
    BYTES(decode, memory_max_bytes, "1G", 16 << 20, INT64_C(1) << 40,
          "that decoding may take, all images together; what does not fit waits, and an image that "
          "takes more than seven eighths gets 413"),
    CHOICE(log, level, "info", "error|warning|info|debug", "least important level that is written",
           LIVE),
    TEXT(log, file, "", "to append to, opened anew at SIGUSR1; empty: stderr", LIVE),
    CHOICE(log, format, "text", "text|json|journal", "journal: <N> prefixes, no time, for systemd",
           LIVE),
    MS(drain, delay_ms, "2000", 0, 600000,
       "after SIGTERM: ready says 503 while requests are still taken, so that balancers notice",
       LIVE),
    MS(drain, timeout_ms, "30000", 0, 3600000, "then: for requests in flight to be answered", LIVE),
    DIRECTORY(train, data_root, "", "data sets of jobs lie below it; empty: no training over HTTP"),
    TEXT(train, program, "", "the tool; empty: autodidact beside this program"),
    TEXT(train, launcher, "",
         "words before the tool's for a training, like mpirun -np 2; without a / the first one is "
         "looked for in PATH"),
    REAL(train, margin, "0.01", 0, 1, "a result may be this much worse (top-1) than what serves"),
    INTEGER(train, threads, "0", 0, 1024, "of a training unless the job says; 0: one a processor"),
    CHOICE(train, idle, "on", "on|off",
           "a training gets of the processors what nothing else wants (SCHED_IDLE); off: its share "
           "by train.niceness"),
    INTEGER(train, niceness, "10", 0, 19, "of a training"),
    INTEGER(train, queue_max, "100", 1, 100000, "jobs waiting"),
    INTEGER(train, attempts_max, "3", 1, 100, "starts of one job's training"),
    MS(train, grace_ms, "10000", 0, 600000,
       "for a training to write its checkpoint when it is stopped"),
};
const size_t option_count = sizeof(option_table) / sizeof(option_table[0]);
_Static_assert(sizeof(option_table) / sizeof(option_table[0]) <= OPTIONS_MAX, "room for all");

const struct option *option_find(const char *section, const char *key)
{
    for (size_t i = 0; i < option_count; i++)
        if (strcmp(option_table[i].section, section) == 0 && strcmp(option_table[i].key, key) == 0)
            return &option_table[i];
    return NULL;
}

static enum unit_kind unit_of(const struct option *o)
{
    return o->type == OPTION_BYTES ? UNIT_BYTES : o->type == OPTION_MS ? UNIT_MS : UNIT_NONE;
}

bool option_is_integer(const struct option *o)
{
    return o->type == OPTION_INTEGER || o->type == OPTION_BYTES || o->type == OPTION_MS;
}

bool option_is_text(const struct option *o)
{
    return o->type == OPTION_TEXT || o->type == OPTION_DIRECTORY || o->type == OPTION_CHOICE;
}

const char *option_unit(const struct option *o)
{
    return unit_name(unit_of(o));
}

static void *place(const struct option *o, struct config *config)
{
    return (char *)config + o->offset;
}

static const void *const_place(const struct option *o, const struct config *config)
{
    return (const char *)config + o->offset;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *at = choices; *at != '\0';) {
        size_t length = strcspn(at, "|");
        if (length == n && memcmp(at, text, n) == 0) return true;
        at += length + (at[length] == '|');
    }
    return false;
}

static int set_integer(const struct option *o, struct config *config, const char *text,
                       struct err *e)
{
    int64_t value;
    int rc = unit_parse(text, unit_of(o), &value);
    if (rc < 0 || (double)value < o->min || (double)value > o->max)
        return err_set(e, ERR_RANGE, "%s.%s takes a number from %.0f to %.0f%s%s, not \"%.64s\"",
                       o->section, o->key, o->min, o->max, unit_name(unit_of(o)),
                       unit_help(unit_of(o)), text);
    *(int64_t *)place(o, config) = value;
    return 0;
}

static int set_real(const struct option *o, struct config *config, const char *text, struct err *e)
{
    double value;
    if (!text_to_real(text, &value) || value < o->min || value > o->max)
        return err_set(e, ERR_RANGE, "%s.%s takes a number from %g to %g, not \"%.64s\"",
                       o->section, o->key, o->min, o->max, text);
    *(double *)place(o, config) = value;
    return 0;
}

int option_set(const struct option *o, struct config *config, const char *text, struct err *e)
{
    if (o->type == OPTION_REAL) return set_real(o, config, text, e);
    if (option_is_integer(o)) return set_integer(o, config, text, e);
    if (o->type == OPTION_CHOICE && !is_choice(o->choices, text))
        return err_set(e, ERR_RANGE, "%s.%s takes %s, not \"%.64s\"", o->section, o->key,
                       o->choices, text);
    size_t n = strlen(text);
    if (n >= CONFIG_TEXT_MAX)
        return err_set(e, ERR_RANGE, "%s.%s is longer than %d bytes", o->section, o->key,
                       CONFIG_TEXT_MAX - 1);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ')
            return err_set(e, ERR_RANGE, "%s.%s holds a control character", o->section, o->key);
    memcpy(place(o, config), text, n + 1);
    return 0;
}

void option_text(const struct option *o, const struct config *config, char *text, size_t size)
{
    const void *value = const_place(o, config);
    char number[TEXT_NUMBER_MAX];
    if (o->type == OPTION_REAL)
        snprintf(text, size, "%s", text_double(*(const double *)value, number));
    else if (option_is_integer(o))
        snprintf(text, size, "%lld", (long long)*(const int64_t *)value);
    else
        snprintf(text, size, "%s", (const char *)value);
}

void option_copy(const struct option *o, struct config *to, const struct config *from)
{
    size_t size = option_is_text(o) ? CONFIG_TEXT_MAX : sizeof(int64_t);
    memcpy(place(o, to), const_place(o, from), size);
}

void config_init(struct config *config)
{
    memset(config, 0, sizeof(*config));
    for (size_t i = 0; i < option_count; i++)
        option_set(&option_table[i], config, option_table[i].standard, NULL);
}

bool admin_is_unix(const struct config *config)
{
    return config->admin_listen[0] == '\0' || strncmp(config->admin_listen, "unix:", 5) == 0;
}

int config_check(const struct config *c, struct err *e)
{
    if (c->state_directory[0] == '\0')
        return err_set(e, ERR_CONFLICT, "state.directory: a directory is needed");
    if (!admin_is_unix(c) && c->admin_token_file[0] == '\0')
        return err_set(e, ERR_CONFLICT,
                       "admin.token_file: a file with the bearer token is needed where the admin "
                       "listener is on TCP (%s); a UNIX socket needs none",
                       c->admin_listen);
    if (c->http_body_max_bytes > c->http_upload_max_bytes)
        return err_set(e, ERR_CONFLICT, "http.body_max_bytes is larger than http.upload_max_bytes");
    if (c->image_bytes_max > c->http_body_max_bytes)
        return err_set(e, ERR_CONFLICT, "image.bytes_max is larger than http.body_max_bytes");
    struct shares shares;
    int rc = shares_parse(c->model_share, &shares, e);
    if (rc < 0) err_prefix(e, "model.share");
    return rc < 0 ? rc : 0;
}
