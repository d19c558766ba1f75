/* See region.h. */
#include "config.h"

#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/text.h"

enum {
    PAGE = 64 << 10, /* at least a page, whatever the machine's are */
    KEEP = 1 << 20,  /* bytes of each side that stay between jobs */
};

_Static_assert(sizeof(struct region_head) <= PAGE, "the input begins behind the head");

static size_t rounded(size_t bytes)
{
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

static size_t region_bytes(size_t input_max, size_t output_max)
{
    return PAGE + rounded(input_max) + rounded(output_max);
}

int region_make(size_t input_max, size_t output_max, int *ret_fd, struct err *e)
{
    int fd = memfd_create("decode", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_set(e, -errno, "cannot share memory with a helper: %s", err_text(-errno));
    if (ftruncate(fd, (off_t)region_bytes(input_max, output_max)) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        int code = -errno;
        close(fd);
        return err_set(e, code, "cannot share memory with a helper: %s", err_text(code));
    }
    *ret_fd = fd;
    return 0;
}

int region_map(int fd, size_t input_max, size_t output_max, struct region *ret_region,
               struct err *e)
{
    unsigned char *at = mmap(NULL, region_bytes(input_max, output_max), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (at == MAP_FAILED)
        return err_set(e, -errno, "cannot map memory of a helper: %s", err_text(-errno));
    *ret_region = (struct region){.input_max = input_max,
                                  .output_max = output_max,
                                  .head = (void *)at,
                                  .input = at + PAGE,
                                  .output = (void *)(at + PAGE + rounded(input_max))};
    return 0;
}

void region_unmap(struct region *region)
{
    if (region->head == NULL) return;
    munmap(region->head, region_bytes(region->input_max, region->output_max));
    region->head = NULL;
}

static int make_pages(struct region *region, size_t input_bytes)
{
    if (input_bytes <= region->input_there) return 0;
    if (madvise(region->input, rounded(input_bytes), MADV_POPULATE_WRITE) != 0 && errno != EINVAL)
        return -ENOMEM; /* EINVAL: Linux before 5.14 cannot say */
    region->input_there = rounded(input_bytes);
    return 0;
}

int region_put(struct region *region, const struct decode_job *job)
{
    if (make_pages(region, job->work.input_bytes) < 0) return -ENOMEM;
    struct region_head *head = region->head;
    head->work = job->work;
    head->took_ns = head->cpu_ns = 0;
    atomic_store(&head->stop, false);
    atomic_store(&head->begun, false);
    memcpy(region->input, job->input, job->work.input_bytes);
    return 0;
}

static void trim(void *at, size_t bytes)
{
    if (bytes > KEEP) madvise((unsigned char *)at + KEEP, rounded(bytes) - KEEP, MADV_REMOVE);
}

void region_trim(struct region *region, size_t input_bytes, size_t output_bytes)
{
    trim(region->input, input_bytes);
    if (region->input_there > KEEP) region->input_there = KEEP;
    trim(region->output, output_bytes);
}

/* The codes of decode_run(), but for ERR_CANCELLED: of who was told to stop nothing is taken. */
static bool is_outcome(int code)
{
    return code == ERR_FORMAT || code == ERR_RANGE || code == ERR_LIMIT ||
           code == ERR_UNSUPPORTED || code == -ENOMEM;
}

/* A message may have been cut inside of a letter. */
static void make_text(char text[ERR_TEXT_MAX])
{
    text[ERR_TEXT_MAX - 1] = '\0';
    const char *end = text + strlen(text);
    for (char *at = text; at < end;) {
        size_t n = text_utf8_length(at, (size_t)(end - at));
        if (n == 0 || (unsigned char)*at < ' ') {
            *at++ = '?';
        } else {
            at += n;
        }
    }
}

int region_take(const struct region *region, float *ret_output, size_t floats, struct err *e)
{
    struct err outcome; /* looked at only here, where nobody changes it any more */
    memcpy(&outcome, (const void *)&region->head->outcome, sizeof(outcome));
    if (outcome.code != 0) {
        if (!is_outcome(outcome.code)) goto nonsense;
        make_text(outcome.text);
        return err_set(e, outcome.code, "%s", outcome.text);
    }
    memcpy(ret_output, region->output, floats * sizeof(float));
    bool finite = true;
    for (size_t i = 0; i < floats; i++) finite &= isfinite(ret_output[i]) != 0;
    if (finite) return 0;
nonsense:
    return err_set(e, ERR_CONFLICT, "the answer of a helper makes no sense");
}
