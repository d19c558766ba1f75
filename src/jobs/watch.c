/* Those who watch a job: a list on the loop, told whenever something has changed. */
#include "config.h"

#include "jobs/jobs.h"

#include "state.h"

void jobs_watch(struct jobs *jobs, struct jobs_watch *watch)
{
    watch->previous = NULL;
    watch->next = jobs->watches;
    if (watch->next != NULL) watch->next->previous = watch;
    jobs->watches = watch;
}

void jobs_unwatch(struct jobs *jobs, struct jobs_watch *watch)
{
    if (watch->next != NULL) watch->next->previous = watch->previous;
    if (watch->previous != NULL)
        watch->previous->next = watch->next;
    else
        jobs->watches = watch->next;
}

void jobs_tell(struct jobs *jobs, int64_t id, const struct progress *progress)
{
    struct buf text;
    struct json_writer w;
    buf_init(&text, PROGRESS_MAX);
    json_writer_init(&w, &text);
    if (jobs->watches != NULL && progress != NULL) progress_write(progress, &w, NULL);
    for (struct jobs_watch *watch = jobs->watches, *next; watch != NULL; watch = next) {
        next = watch->next;
        if (watch->id == id && w.status == 0)
            watch->news(watch, progress != NULL ? buf_text(&text) : NULL);
    }
    buf_release(&text);
}
