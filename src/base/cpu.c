/* What the processor can do, and how many of it this process may use.
 *
 * Features come from CPUID and XGETBV directly: an instruction set counts only when the kernel also
 * saves its registers (Intel SDM volume 1, sections 13.3 and 15.2). Everything is asked once.
 * Left out: cgroup v1, and processors other than x86-64, which run the reference code. */
#include "config.h"

#include "base/cpu.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/mem.h"

static const char *const isa_names[CPU_ISA_COUNT] = {"reference", "avx2", "avx512", "avx512bf16"};

static pthread_once_t probe_once = PTHREAD_ONCE_INIT;
static bool probed[CPU_ISA_COUNT]; /* what the machine supports */
static enum cpu_isa probed_isa;    /* what is to be used */
static char probed_model[128] = "unknown processor";

#if defined(__x86_64__)
/* The register sets that the kernel saves: bit 1 SSE, 2 AVX, 5 to 7 AVX-512. */
static uint64_t saved_registers(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static void probe_features(void)
{
    const uint64_t ymm = 0x6, zmm = 0xe6;
    const unsigned want1 = bit_FMA | bit_AVX | bit_OSXSAVE;
    const unsigned want512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & want1) != want1) return;
    uint64_t saved = saved_registers();
    if ((saved & ymm) != ymm || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    unsigned leaves = a;
    probed[CPU_AVX2] = (b & bit_AVX2) != 0;
    probed[CPU_AVX512] = probed[CPU_AVX2] && (b & want512) == want512 && (saved & zmm) == zmm;
    if (leaves < 1 || !__get_cpuid_count(7, 1, &a, &b, &c, &d)) return;
    probed[CPU_AVX512BF16] = probed[CPU_AVX512] && (a & bit_AVX512BF16) != 0;
}

/* The brand string: 48 bytes in leaves 0x80000002 to 4, padded with blanks on either side. */
static void probe_model(void)
{
    unsigned words[13] = {0};
    for (unsigned i = 0; i < 3; i++) {
        unsigned *w = words + 4 * i;
        if (!__get_cpuid(0x80000002 + i, &w[0], &w[1], &w[2], &w[3])) return;
    }
    char text[sizeof(words)];
    memcpy(text, words, sizeof(words));
    char *first = text, *last = text + strlen(text);
    while (*first == ' ') first++;
    while (last > first && last[-1] == ' ') last--;
    *last = '\0';
    if (*first != '\0') snprintf(probed_model, sizeof(probed_model), "%s", first);
}
#else
static void probe_features(void)
{
}

static void probe_model(void)
{
}
#endif

static void probe(void)
{
    probed[CPU_REFERENCE] = true;
    probe_features();
    probe_model();
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        if (probed[isa]) probed_isa = (enum cpu_isa)isa;
    }
    const char *wanted = getenv("AUTODIDACT_ISA");
    for (int isa = 0; wanted != NULL && isa < (int)probed_isa; isa++) {
        if (strcmp(wanted, isa_names[isa]) == 0) probed_isa = (enum cpu_isa)isa;
    }
}

int cpu_check_isa(struct err *e)
{
    const char *wanted = getenv("AUTODIDACT_ISA");
    if (wanted == NULL || wanted[0] == '\0') return 0;
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        if (strcmp(wanted, isa_names[isa]) == 0) return 0;
    }
    return err_set(
        e, ERR_RANGE,
        "environment variable AUTODIDACT_ISA takes reference, avx2, avx512 or avx512bf16, "
        "not \"%.64s\"",
        wanted);
}

enum cpu_isa cpu_isa(void)
{
    pthread_once(&probe_once, probe);
    return probed_isa;
}

bool cpu_isa_supported(enum cpu_isa isa)
{
    pthread_once(&probe_once, probe);
    return (unsigned)isa < CPU_ISA_COUNT && probed[isa];
}

const char *cpu_isa_name(enum cpu_isa isa)
{
    return (unsigned)isa < CPU_ISA_COUNT ? isa_names[isa] : "unknown";
}

const char *cpu_model(void)
{
    pthread_once(&probe_once, probe);
    return probed_model;
}

/* Processors in the affinity mask; 0 when unknown. The mask of a big machine does not fit
 * cpu_set_t. */
static unsigned count_affinity(void)
{
    for (int n = CPU_SETSIZE; n <= 1 << 20; n *= 2) {
        size_t size = CPU_ALLOC_SIZE(n);
        cpu_set_t *set = mem_new(1, size);
        if (set == NULL) return 0;
        int rc = sched_getaffinity(0, size, set) < 0 ? -errno : 0;
        unsigned count = rc == 0 ? (unsigned)CPU_COUNT_S(size, set) : 0;
        mem_free(set);
        if (rc != -EINVAL) return count;
    }
    return 0;
}

/* Processors that one cpu.max grants ("QUOTA PERIOD" or "max PERIOD"), rounded up; 0: no limit. */
static unsigned read_quota(const char *path)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) return 0;
    unsigned long long quota = 0, period = 0;
    int n = fscanf(f, "%llu %llu", &quota, &period);
    fclose(f);
    if (n != 2 || quota == 0 || period == 0) return 0;
    unsigned long long cpus = quota / period + (quota % period != 0);
    return cpus < UINT16_MAX ? (unsigned)cpus : 0;
}

/* The smallest quota of this process's cgroup and those above it; 0: no limit. */
static unsigned count_quota(void)
{
    char line[1024], path[sizeof(line) + 64], group[sizeof(line)] = "";
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, "0::", 3) != 0) continue; /* the line of version 2 */
        line[strcspn(line, "\n")] = '\0';
        memcpy(group, line + 3, strlen(line + 3) + 1);
    }
    if (f != NULL) fclose(f);

    unsigned least = 0;
    for (;;) {
        snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max",
                 strcmp(group, "/") == 0 ? "" : group);
        unsigned cpus = read_quota(path);
        if (cpus > 0 && (least == 0 || cpus < least)) least = cpus;
        char *slash = strrchr(group, '/');
        if (slash == NULL) return least;
        *slash = '\0';
    }
}

unsigned cpu_count(void)
{
    unsigned count = count_affinity(), quota = count_quota();
    if (count == 0) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        count = online > 0 ? (unsigned)online : 1;
    }
    return quota > 0 && quota < count ? quota : count;
}

/* exec() keeps the process id: a guard that holds it says that this very process has been run again
 * already, while a child that inherits the environment is free to do it for itself. */
void cpu_prepare_blas(char **argv)
{
    static const char guard[] = "AD_BLAS_PREPARED";
    char self[24];
    snprintf(self, sizeof(self), "%ld", (long)getpid());
    const char *done = getenv(guard);
    if (done != NULL && strcmp(done, self) == 0) {
        unsetenv(guard);
        /* exec() of /proc/self/exe has named the process "exe". */
        const char *slash = argv[0] != NULL ? strrchr(argv[0], '/') : NULL;
        if (argv[0] != NULL) prctl(PR_SET_NAME, slash != NULL ? slash + 1 : argv[0]);
        return;
    }

    const char *core = cpu_isa_supported(CPU_AVX512BF16) ? "Cooperlake"
                       : cpu_isa_supported(CPU_AVX512)   ? "SkylakeX"
                                                         : NULL;
    bool set_core = core != NULL && getenv("OPENBLAS_CORETYPE") == NULL;
    bool set_threads = getenv("OPENBLAS_NUM_THREADS") == NULL;
    if (!set_core && !set_threads) return;
    if (set_core) setenv("OPENBLAS_CORETYPE", core, 1);
    if (set_threads) setenv("OPENBLAS_NUM_THREADS", "1", 1);
    /* Without the guard nothing would stop a run that loses its settings again on the way. */
    if (setenv(guard, self, 1) < 0) return;
    execv("/proc/self/exe", argv);
    unsetenv(guard);
}
