/* The daemon's options: one table, from which the file, the environment, --set, --print-config and
 * --help are made. */
#ifndef APP_OPTIONS_H
#define APP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { CONFIG_TEXT_MAX = 1024, OPTIONS_MAX = 128 };

/* All values. Texts are empty when not given. */
struct config {
    char http_listen[CONFIG_TEXT_MAX], http_trusted_addresses[CONFIG_TEXT_MAX];
    int64_t http_connection_limit, http_address_connection_limit, http_header_timeout_ms,
        http_body_timeout_ms, http_body_rate_min_bytes, http_idle_timeout_ms, http_body_max_bytes,
        http_upload_max_bytes, http_address_upload_max_bytes, http_images_max;
    char admin_listen[CONFIG_TEXT_MAX], admin_token_file[CONFIG_TEXT_MAX];
    char state_directory[CONFIG_TEXT_MAX];
    char model_file[CONFIG_TEXT_MAX], model_specs[CONFIG_TEXT_MAX], model_share[CONFIG_TEXT_MAX];
    int64_t model_bytes_max;
    char engine_precision[CONFIG_TEXT_MAX], engine_algorithms[CONFIG_TEXT_MAX];
    int64_t engine_workers, engine_batch_max, engine_queue_max;
    char sla_default_classifier[CONFIG_TEXT_MAX];
    int64_t sla_urgency_min, sla_default_target_ms;
    int64_t image_bytes_max, image_pixels_max, image_side_max, image_memory_max;
    char image_truncated[CONFIG_TEXT_MAX];
    char decode_sandbox[CONFIG_TEXT_MAX];
    int64_t decode_helpers, decode_timeout_ms, decode_memory_max_bytes;
    char log_level[CONFIG_TEXT_MAX], log_file[CONFIG_TEXT_MAX], log_format[CONFIG_TEXT_MAX];
    int64_t drain_delay_ms, drain_timeout_ms;
    char train_data_root[CONFIG_TEXT_MAX], train_program[CONFIG_TEXT_MAX],
        train_launcher[CONFIG_TEXT_MAX], train_idle[CONFIG_TEXT_MAX];
    double train_margin;
    int64_t train_threads, train_niceness, train_queue_max, train_attempts_max, train_grace_ms;
};

enum option_type {
    OPTION_TEXT,      /* any */
    OPTION_DIRECTORY, /* the path of one that is there, or nothing */
    OPTION_CHOICE,    /* one of `choices` */
    OPTION_INTEGER,   /* min..max */
    OPTION_BYTES,     /* the same, with a unit of bytes behind it, see units.h */
    OPTION_MS,        /* the same, with a unit of time; without one: milliseconds */
    OPTION_REAL,      /* min..max */
};

struct option {
    const char *section, *key;
    enum option_type type;
    size_t offset; /* in struct config */
    const char *standard;
    double min, max;
    const char *choices; /* "a|b|c" */
    const char *help;
    bool live; /* SIGHUP takes it from the configuration that is read again */
};

extern const struct option option_table[];
extern const size_t option_count;

const struct option *option_find(const char *section, const char *key);

/* Whether the value is a text, of CONFIG_TEXT_MAX bytes. */
bool option_is_text(const struct option *option);

/* Whether the value is an int64_t, and what it counts: "", " bytes" or " ms". */
bool option_is_integer(const struct option *option);
const char *option_unit(const struct option *option);

/* How the values fit together. Nothing is opened. */
int config_check(const struct config *config, struct err *e);

/* Whether the admin listener is a UNIX socket, which file permissions guard instead of a token. */
bool admin_is_unix(const struct config *config);

/* All defaults. */
void config_init(struct config *config);

/* Parses text as the option's value; ERR_RANGE with a message that says what it takes. */
int option_set(const struct option *option, struct config *config, const char *text, struct err *e);

/* *from's value into *to. */
void option_copy(const struct option *option, struct config *to, const struct config *from);

/* The value as text that option_set() reads back. */
void option_text(const struct option *option, const struct config *config, char *text, size_t size);

#endif
