/* Processor features against the compiler's own probe; forcing a lesser set; the one re-execution.
 *
 * What is read once a process is tested in children: this program run again with a command. */
#include "config.h"

#include "base/cpu.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_features_agree_with_the_compiler(void **state)
{
    (void)state;
    assert_true(cpu_isa_supported(CPU_REFERENCE));
    assert_false(cpu_isa_supported(CPU_ISA_COUNT));
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    assert_int_equal(cpu_isa_supported(CPU_AVX2), avx2);
    assert_int_equal(cpu_isa_supported(CPU_AVX512), avx512);
    assert_int_equal(cpu_isa_supported(CPU_AVX512BF16),
                     avx512 && __builtin_cpu_supports("avx512bf16"));
#endif
    assert_true(cpu_isa_supported(cpu_isa()));
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(cpu_isa_name(CPU_REFERENCE), "reference");
    assert_string_equal(cpu_isa_name(CPU_AVX2), "avx2");
    assert_string_equal(cpu_isa_name(CPU_AVX512), "avx512");
    assert_string_equal(cpu_isa_name(CPU_AVX512BF16), "avx512bf16");
    assert_string_equal(cpu_isa_name(CPU_ISA_COUNT), "unknown");
    const char *model = cpu_model();
    assert_true(strlen(model) > 0);
    assert_true(model[0] != ' ' && model[strlen(model) - 1] != ' ');
}

/* The output of this program run with a command and the environment entries before it. */
static void run_child(const char *const *env, const char *command, char *ret_text, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        unsetenv("OPENBLAS_CORETYPE");
        unsetenv("OPENBLAS_NUM_THREADS");
        unsetenv("AUTODIDACT_ISA");
        for (; *env != NULL; env++) putenv((char *)(uintptr_t)*env);
        dup2(ends[1], STDOUT_FILENO);
        execl("/proc/self/exe", "test_cpu", command, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    size_t used = 0;
    for (;;) {
        ssize_t n = read(ends[0], ret_text + used, size - 1 - used);
        if (n <= 0) break;
        used += (size_t)n;
    }
    ret_text[used] = '\0';
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_forcing_a_lesser_set(void **state)
{
    (void)state;
    char text[256], entry[64], best[256];
    run_child((const char *const[]){NULL}, "isa", best, sizeof(best));
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        snprintf(entry, sizeof(entry), "AUTODIDACT_ISA=%s", cpu_isa_name((enum cpu_isa)isa));
        run_child((const char *const[]){entry, NULL}, "isa", text, sizeof(text));
        bool can = cpu_isa_supported((enum cpu_isa)isa);
        assert_string_equal(text, can ? cpu_isa_name((enum cpu_isa)isa) : best);
    }
    run_child((const char *const[]){"AUTODIDACT_ISA=nonsense", NULL}, "isa", text, sizeof(text));
    assert_string_equal(text, best);
}

static void test_names_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *entry;
        bool good;
    } rows[] = {{"AUTODIDACT_ISA=", true},      {"AUTODIDACT_ISA=reference", true},
                {"AUTODIDACT_ISA=avx2", true},  {"AUTODIDACT_ISA=avx512bf16", true},
                {"AUTODIDACT_ISA=AVX2", false}, {"AUTODIDACT_ISA=avx", false},
                {"AUTODIDACT_ISA=sse", false},  {"AUTODIDACT_ISA= avx2", false},
                {"AUTODIDACT_X=nonsense", true}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        run_child((const char *const[]){rows[i].entry, NULL}, "check", text, sizeof(text));
        if (rows[i].good)
            assert_string_equal(text, "good");
        else
            assert_non_null(
                strstr(text, "AUTODIDACT_ISA takes reference, avx2, avx512 or avx512bf16"));
    }
}

/* The child prints: was it run again, CORETYPE, NUM_THREADS, its name, whether a guard is left. */
static void test_prepare_blas(void **state)
{
    (void)state;
    const char *core = cpu_isa_supported(CPU_AVX512BF16) ? "Cooperlake"
                       : cpu_isa_supported(CPU_AVX512)   ? "SkylakeX"
                                                         : "-";
    char text[256], want[256];
    run_child((const char *const[]){NULL}, "blas", text, sizeof(text));
    snprintf(want, sizeof(want), "%s 1 test_cpu clean", core);
    assert_string_equal(text, want);

    run_child((const char *const[]){"OPENBLAS_CORETYPE=Haswell", NULL}, "blas", text, sizeof(text));
    assert_string_equal(text, "Haswell 1 test_cpu clean");

    run_child((const char *const[]){"OPENBLAS_NUM_THREADS=3", NULL}, "blas", text, sizeof(text));
    snprintf(want, sizeof(want), "%s 3 test_cpu clean", core);
    assert_string_equal(text, want);

    /* A guard that a parent has left says nothing about this process. */
    run_child((const char *const[]){"AD_BLAS_PREPARED=1", NULL}, "blas", text, sizeof(text));
    assert_non_null(strstr(text, " 1 test_cpu clean"));
}

static void test_count_follows_affinity(void **state)
{
    (void)state;
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
    unsigned count = cpu_count();
    assert_true(count >= 1 && count <= (unsigned)CPU_COUNT(&all));
    int first = 0;
    while (!CPU_ISSET(first, &all)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    assert_int_equal(cpu_count(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
    assert_int_equal(cpu_count(), count);
}

static const char *get(const char *name)
{
    const char *value = getenv(name);
    return value != NULL ? value : "-";
}

static int child(char **argv)
{
    if (strcmp(argv[1], "isa") == 0) return printf("%s", cpu_isa_name(cpu_isa())) < 0;
    if (strcmp(argv[1], "check") == 0) {
        struct err e = {0};
        int rc = cpu_check_isa(&e);
        return printf("%s", rc == 0 ? "good" : rc == ERR_RANGE ? e.text : "?") < 0;
    }
    cpu_prepare_blas(argv);
    char name[32] = "?";
    FILE *f = fopen("/proc/self/comm", "r");
    if (f == NULL || fgets(name, sizeof(name), f) == NULL) return 1;
    fclose(f);
    name[strcspn(name, "\n")] = '\0';
    const char *left = getenv("AD_BLAS_PREPARED");
    char self[32];
    snprintf(self, sizeof(self), "%ld", (long)getpid());
    printf("%s %s %s %s", get("OPENBLAS_CORETYPE"), get("OPENBLAS_NUM_THREADS"), name,
           left != NULL && strcmp(left, self) == 0 ? "guard" : "clean");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1) return child(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_features_agree_with_the_compiler),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_forcing_a_lesser_set),
        cmocka_unit_test(test_names_are_checked),
        cmocka_unit_test(test_prepare_blas),
        cmocka_unit_test(test_count_follows_affinity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
