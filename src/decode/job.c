/* See job.h. */
#include "config.h"

#include "job.h"

int job_interrupted(const struct decode_job *job, int64_t now_ns)
{
    if (atomic_load(&job->cancelled)) return ERR_CANCELLED;
    if (job->deadline_ns != 0 && now_ns >= job->deadline_ns) return ERR_DEADLINE;
    return now_ns >= job->stop_ns ? ERR_BUSY : 0;
}

int64_t job_end_ns(const struct decode_job *job)
{
    bool has_deadline = job->deadline_ns != 0 && job->deadline_ns < job->stop_ns;
    return has_deadline ? job->deadline_ns : job->stop_ns;
}

int job_set_interrupted(int code, struct err *e)
{
    switch (code) {
    case ERR_CANCELLED:
        return err_set(e, code, "decoding was given up");
    case ERR_DEADLINE:
        return err_set(e, code, "the time was over before the image was decoded");
    default:
        return err_set(e, code, "decoding took longer than decode.timeout_ms");
    }
}
