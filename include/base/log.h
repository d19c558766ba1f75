/* The program's log: one line an event, with time, level and text, to where log_sink.h says. Only
 * `app`, `tool`, `http` and `jobs` log; libraries below return errors. Any thread. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON, LOG_JOURNAL /* <N> prefixes, no time: for systemd */ };

/* From now on. Colours only when stderr is a terminal. */
void log_setup(enum log_level level, enum log_format format);
int log_level_parse(const char *text); /* the level, or ERR_RANGE */
int log_format_parse(const char *text);
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

#endif
