/* Settings: the INI reader, the option table and the order of the sources. The command line as a
 * whole is tested from outside (test_config.py). */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/app/ini.h"
#include "../../src/app/settings.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/text.h"

/* ---- the reader ---- */

struct seen {
    struct buf text;
    int stop_at;
};

static int note(void *arg, const char *section, const char *key, const char *value, int line,
                struct err *e)
{
    struct seen *seen = arg;
    if (line == seen->stop_at) return err_set(e, ERR_CONFLICT, "stopped at %d", line);
    return buf_printf(&seen->text, "%d:%s.%s=[%s] ", line, section, key, value);
}

static void ini_takes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", ""},
        {"[a]\nb=c", "2:a.b=[c] "},
        {"[a]\n b \t=  c d\t \n", "2:a.b=[c d] "},
        {"[a]\r\nb=c\r\n", "2:a.b=[c] "},
        {"\xef\xbb\xbf[a]\nb=c\n", "2:a.b=[c] "},
        {"# x\n; y\n\n  # z\n[a]\nb=c#d\n", "6:a.b=[c#d] "},
        {"[a] ; why\nb = c # d\ne=f\t;g\nh= # none\n", "2:a.b=[c] 3:a.e=[f] 4:a.h=[] "},
        {"[a]\nb=\"c # d\" # e\nf = \" ; \"\n", "2:a.b=[c # d] 3:a.f=[ ; ] "},
        {"[a]\nb=\"c\\\"\\\\d\\e\"\nf=g\"h\"\ni=\"\"\r\n",
         "2:a.b=[c\"\\d\\e] 3:a.f=[g\"h\"] 4:a.i=[] "},
        {"[a]\nb=c=d==\n[e]\nb=\n", "2:a.b=[c=d==] 4:e.b=[] "},
        {"[a]\nb=1\n[a]\nc=2\n", "2:a.b=[1] 4:a.c=[2] "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct seen seen = {.stop_at = 0};
        struct err e = {0};
        buf_init(&seen.text, 10000);
        int rc = ini_parse(cases[i].text, strlen(cases[i].text), note, &seen, &e);
        assert_string_equal(buf_text(&seen.text), cases[i].expected);
        assert_int_equal(rc, 0);
        buf_release(&seen.text);
    }
}

static void ini_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int line;
    } cases[] = {
        {"b=c", 1},
        {"[a", 1},
        {"[]", 1},
        {"[A]", 1},
        {"[a b]", 1},
        {"[a]\nb", 2},
        {"[a]\n=c", 2},
        {"[a]\nB=c", 2},
        {"[a]\n\n\nb c=d", 4},
        {"[a]x", 1},
        {"[a]\nb=\"c", 2},
        {"[a]\nb=\"c\" d", 2},
        {"[a]\nb=\"c\\\"", 2},
        {"[a]\nb=\"c\"#d", 2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct seen seen = {.stop_at = 0};
        struct err e = {0};
        char expected[16];
        buf_init(&seen.text, 10000);
        assert_int_equal(ini_parse(cases[i].text, strlen(cases[i].text), note, &seen, &e),
                         ERR_FORMAT);
        snprintf(expected, sizeof(expected), "line %d: ", cases[i].line);
        assert_int_equal(strncmp(e.text, expected, strlen(expected)), 0);
        buf_release(&seen.text);
    }
}

static void ini_ends_where_told(void **state)
{
    (void)state;
    struct seen seen = {.stop_at = 3};
    struct err e = {0};
    const char *text = "[a]\nb=1\nc=2\nd=3\n";
    buf_init(&seen.text, 10000);
    assert_int_equal(ini_parse(text, strlen(text), note, &seen, &e), ERR_CONFLICT);
    assert_string_equal(buf_text(&seen.text), "2:a.b=[1] ");
    assert_string_equal(e.text, "stopped at 3");
    buf_release(&seen.text);
}

static void ini_long_lines(void **state)
{
    (void)state;
    static char text[INI_LINE_MAX + 100];
    struct err e = {0};
    for (size_t n = INI_LINE_MAX - 2; n <= INI_LINE_MAX + 2; n++) {
        struct seen seen = {.stop_at = 0};
        buf_init(&seen.text, 100000);
        memset(text, 'v', sizeof(text));
        memcpy(text, "[a]\nb=", 6);
        int rc = ini_parse(text, 4 + n, note, &seen, &e);
        assert_int_equal(rc, n <= INI_LINE_MAX ? 0 : ERR_FORMAT);
        buf_release(&seen.text);
    }
}

/* ---- the table ---- */

static void table_is_sound(void **state)
{
    (void)state;
    static struct config config;
    static unsigned char used[sizeof(struct config)];
    memset(used, 0, sizeof(used));
    for (size_t i = 0; i < option_count; i++) {
        const struct option *o = &option_table[i];
        struct err e = {0};
        size_t size = option_is_text(o) ? CONFIG_TEXT_MAX : 8;
        for (size_t k = 0; k < size; k++)
            assert_int_equal(used[o->offset + k]++, 0);       /* its own place */
        assert_ptr_equal(option_find(o->section, o->key), o); /* its own name */
        assert_int_equal(option_set(o, &config, o->standard, &e), 0);
        assert_true(strlen(o->help) > 5);
    }
    for (size_t i = 0; i < sizeof(used); i++)
        assert_int_equal(used[i], 1); /* no member without one */
    assert_null(option_find("http", "nothing"));
    assert_null(option_find("", ""));
}

static void values_keep_their_text(void **state)
{
    (void)state;
    static struct config config;
    struct rng rng;
    uint64_t seed = 20;
    print_message("# seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed, RNG_TEST, 0, 0);
    for (int round = 0; round < 2000; round++) {
        const struct option *o = &option_table[rng_below(&rng, (uint32_t)option_count)];
        char text[CONFIG_TEXT_MAX], again[CONFIG_TEXT_MAX];
        struct err e = {0};
        config_init(&config);
        if (o->type == OPTION_REAL) {
            text_double(o->min + rng_uniform(&rng) * (o->max - o->min), text);
        } else if (o->type == OPTION_CHOICE) {
            snprintf(text, sizeof(text), "%s", o->standard);
        } else if (option_is_text(o)) {
            size_t n = rng_below(&rng, 40);
            for (size_t k = 0; k < n; k++) text[k] = (char)(' ' + rng_below(&rng, 95));
            text[n] = '\0';
        } else {
            snprintf(text, sizeof(text), "%.0f", o->min + rng_uniform(&rng) * (o->max - o->min));
        }
        assert_int_equal(option_set(o, &config, text, &e), 0);
        option_text(o, &config, again, sizeof(again));
        assert_string_equal(text, again);
    }
}

static void values_out_of_range(void **state)
{
    (void)state;
    static struct config config, before;
    for (size_t i = 0; i < option_count; i++) {
        const struct option *o = &option_table[i];
        char low[64], high[64];
        const char *bad[] = {low, high, "", "x", "1x", "0x10", " 1", "nan", "1e999", "--1"};
        if (o->type == OPTION_TEXT || o->type == OPTION_DIRECTORY) continue;
        snprintf(low, sizeof(low), "%.0f", o->min - 1);
        snprintf(high, sizeof(high), "%.0f", o->max + 1);
        for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
            struct err e = {0};
            if (o->type == OPTION_REAL && bad[k][0] == ' ') continue; /* strtod() skips blanks */
            if (o->type == OPTION_REAL && strcmp(bad[k], "0x10") == 0 && o->max >= 16) continue;
            config_init(&config);
            config_init(&before);
            assert_int_equal(option_set(o, &config, bad[k], &e), ERR_RANGE);
            assert_memory_equal(&config, &before, sizeof(config)); /* nothing was changed */
            assert_non_null(strstr(e.text, o->key));
        }
    }
}

/* The same in every source, since all come to option_set(). */
static void units(void **state)
{
    (void)state;
    static struct config config;
    static const struct {
        const char *section, *key, *text;
        int64_t value; /* -1: refused */
    } cases[] = {
        {"http", "body_max_bytes", "64K", 65536},
        {"http", "body_max_bytes", "64k", 65536},
        {"http", "body_max_bytes", "64KiB", 65536},
        {"http", "body_max_bytes", "64 kib", 65536},
        {"http", "body_max_bytes", "64kB", 64000},
        {"http", "body_max_bytes", "64M", 64 << 20},
        {"http", "body_max_bytes", "64MiB", 64 << 20},
        {"http", "body_max_bytes", "65536B", 65536},
        {"http", "body_max_bytes", "1G", 1 << 30},
        {"http", "body_max_bytes", "2G", -1},
        {"http", "body_max_bytes", "64Mi", -1},
        {"http", "body_max_bytes", "64s", -1},
        {"http", "body_max_bytes", "64 ", -1},
        {"http", "body_max_bytes", "1.5M", -1},
        {"http", "body_max_bytes", "9223372036854775807G", -1},
        {"http", "body_max_bytes", "99999999999999999999", -1},
        {"http", "upload_max_bytes", "1T", INT64_C(1) << 40},
        {"http", "idle_timeout_ms", "75s", 75000},
        {"http", "idle_timeout_ms", "75 s", 75000},
        {"http", "idle_timeout_ms", "500ms", 500},
        {"http", "idle_timeout_ms", "500", 500},
        {"http", "idle_timeout_ms", "2m", 120000},
        {"http", "idle_timeout_ms", "2min", 120000},
        {"http", "idle_timeout_ms", "1h", 3600000},
        {"http", "idle_timeout_ms", "1d", -1},
        {"http", "idle_timeout_ms", "64K", -1},
        {"http", "idle_timeout_ms", "s", -1},
        {"http", "idle_timeout_ms", "1h30m", -1},
        {"engine", "workers", "1K", -1},
        {"engine", "workers", "1s", -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct option *o = option_find(cases[i].section, cases[i].key);
        struct err e = {0};
        int rc = option_set(o, &config, cases[i].text, &e);
        char value[CONFIG_TEXT_MAX], wanted[32];
        assert_int_equal(rc, cases[i].value < 0 ? ERR_RANGE : 0);
        if (rc < 0) continue;
        option_text(o, &config, value, sizeof(value));
        snprintf(wanted, sizeof(wanted), "%lld", (long long)cases[i].value);
        assert_string_equal(value, wanted);
    }
}

/* Kubernetes tells each container where the Services of its name space are: of one that is called
 * "autodidact" by AUTODIDACT_PORT, of one called "autodidact-http" by AUTODIDACT_HTTP_PORT and so
 * on. An option of such a name would be set by that. */
static void no_name_is_kubernetes(void **state)
{
    (void)state;
    static const char *const ends[] = {"port",     "service_host", "service_port", "tcp",
                                       "udp",      "sctp",         "tcp_addr",     "tcp_proto",
                                       "udp_addr", "udp_proto"};
    for (size_t i = 0; i < option_count; i++) {
        const char *key = option_table[i].key;
        assert_null(strstr(key, "service_port_"));
        assert_string_not_equal(option_table[i].section, "service");
        assert_string_not_equal(option_table[i].section, "port");
        for (size_t k = 0; k < sizeof(ends) / sizeof(ends[0]); k++) {
            size_t n = strlen(key), m = strlen(ends[k]);
            if (n >= m) assert_string_not_equal(key + n - m, ends[k]);
        }
    }
}

/* ---- the sources ---- */

static void flag_over_environment(void **state)
{
    (void)state;
    static struct config config;
    static char one[] = "AUTODIDACT_ENGINE_WORKERS=3", two[] = "AUTODIDACT_ENGINE_BATCH_MAX=4",
                other[] = "PATH=/bin", isa[] = "AUTODIDACT_ISA=avx2";
    char *environment[] = {other, one, two, isa, NULL};
    struct settings settings = {.flags = {"engine.workers=5"}, .n_flags = 1};
    struct err e = {0};
    assert_int_equal(settings_apply(&settings, environment, &config, &e), 0);
    assert_int_equal(config.engine_workers, 5);
    assert_int_equal(config.engine_batch_max, 4);
    assert_int_equal(config.engine_queue_max, 1024);
}

static void note_message(void *arg, const char *message)
{
    struct buf *text = arg;
    buf_printf(text, "%s\n", message);
}

/* What is set for a Service called "autodidact", and for one called "autodidact-http". */
static void environment_is_not_ours_alone(void **state)
{
    (void)state;
    static struct config config, standard;
    char *environment[] = {(char[]){"AUTODIDACT_SERVICE_HOST=10.0.0.7"},
                           (char[]){"AUTODIDACT_SERVICE_PORT=8080"},
                           (char[]){"AUTODIDACT_SERVICE_PORT_HTTP=8080"},
                           (char[]){"AUTODIDACT_PORT=tcp://10.0.0.7:8080"},
                           (char[]){"AUTODIDACT_PORT_8080_TCP=tcp://10.0.0.7:8080"},
                           (char[]){"AUTODIDACT_PORT_8080_TCP_PROTO=tcp"},
                           (char[]){"AUTODIDACT_PORT_8080_TCP_PORT=8080"},
                           (char[]){"AUTODIDACT_PORT_8080_TCP_ADDR=10.0.0.7"},
                           (char[]){"AUTODIDACT_HTTP_SERVICE_HOST=10.0.0.7"},
                           (char[]){"AUTODIDACT_HTTP_PORT=tcp://10.0.0.7:8080"},
                           (char[]){"AUTODIDACT_HTTP_LISEN=1"},
                           (char[]){"AUTODIDACT_=1"},
                           (char[]){"AUTODIDACT_ISA=avx2"},
                           (char[]){"AUTODIDACT_DATA=/d"},
                           (char[]){"AUTODIDACT_ENGINE_WORKERS=3"},
                           (char[]){"AUTODIDACTX=1"},
                           (char[]){"AUTODIDACT_X"},
                           NULL};
    struct settings settings = {.n_flags = 0};
    struct err e = {0};
    assert_int_equal(settings_apply(&settings, environment, &config, &e), 0);
    config_init(&standard);
    standard.engine_workers = 3;
    assert_memory_equal(&config, &standard, sizeof(config));
    struct buf text;
    buf_init(&text, 10000);
    settings_unknown_variables(environment, note_message, &text);
    const char *at = buf_text(&text);
    for (size_t i = 0; i < 12; i++) {
        char expected[200];
        snprintf(expected, sizeof(expected), "environment variable %.*s: no option",
                 (int)strcspn(environment[i], "="), environment[i]);
        assert_int_equal(strncmp(at, expected, strlen(expected)), 0);
        at = strchr(at, '\n') + 1;
    }
    assert_string_equal(at, "");
    assert_non_null(strstr(buf_text(&text), "did you mean http.listen?"));
    buf_release(&text);
    char bad[] = "AUTODIDACT_ENGINE_WORKERS=x", *wrong[] = {bad, NULL};
    assert_int_equal(settings_apply(&settings, wrong, &config, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "environment variable AUTODIDACT_ENGINE_WORKERS: "));
}

static void memory_fails(void **state)
{
    (void)state;
    static struct config config;
    config_init(&config);
    for (unsigned n = 1; n < 100; n++) {
        struct buf text;
        buf_init(&text, 1 << 20);
        mem_fail_at(n);
        int rc = settings_print(&config, &text);
        unsigned left = mem_fail_left();
        mem_fail_at(0);
        buf_release(&text);
        if (left > 0) {
            assert_int_equal(rc, 0);
            return;
        }
        assert_true(rc < 0);
    }
    fail_msg("it never succeeded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ini_takes),
        cmocka_unit_test(ini_refuses),
        cmocka_unit_test(ini_ends_where_told),
        cmocka_unit_test(ini_long_lines),
        cmocka_unit_test(table_is_sound),
        cmocka_unit_test(values_keep_their_text),
        cmocka_unit_test(values_out_of_range),
        cmocka_unit_test(units),
        cmocka_unit_test(no_name_is_kubernetes),
        cmocka_unit_test(flag_over_environment),
        cmocka_unit_test(environment_is_not_ours_alone),
        cmocka_unit_test(memory_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
