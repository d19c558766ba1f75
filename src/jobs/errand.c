/* Errands: the way to a store thread and back to the loop. */
#include "config.h"

#include "errand.h"

#include <errno.h>

#include "base/mem.h"
#include "state.h"

static void finish(struct errand *errand)
{
    struct jobs *jobs = errand->jobs;
    const struct jobs_answer answer = {&errand->text, errand->id, errand->finished};
    const bool good = errand->error.code == 0;
    if (errand->done != NULL)
        errand->done(errand->arg, good ? &answer : NULL, good ? NULL : &errand->error);
    json_free(errand->request);
    buf_release(&errand->text);
    mem_free(errand);
    jobs->errands--;
    jobs_check_stopped(jobs);
}

static void come_back(struct loop_call *back)
{
    struct errand *errand = (struct errand *)(void *)((char *)back - offsetof(struct errand, back));
    if (errand->after != NULL) errand->after(errand);
    finish(errand);
}

static void worked(struct store_task *task, struct db *db)
{
    struct errand *errand = (struct errand *)task; /* the first member */
    errand->work(errand, db);
    loop_post(errand->jobs->loop, &errand->back);
}

void errand_post(struct jobs *jobs, const struct errand *values)
{
    struct errand *errand = mem_new(1, sizeof(*errand));
    if (errand == NULL) {
        struct err e = {0};
        err_set(&e, -ENOMEM, "out of memory");
        json_free(values->request);
        if (values->done != NULL) values->done(values->arg, NULL, &e);
        return;
    }
    *errand = *values;
    buf_init(&errand->text, ERRAND_DOCUMENT_MAX);
    errand->task.run = worked;
    errand->back.fn = come_back;
    errand->jobs = jobs;
    jobs->errands++;
    if (errand->reading)
        store_post_reading(jobs->store, &errand->task);
    else
        store_post(jobs->store, &errand->task);
}

int errand_fail(struct errand *errand, int code)
{
    if (code == ERR_LIMIT && errand->error.code == 0)
        return err_set(&errand->error, -EMSGSIZE,
                       "the document is larger than %d MiB: ask for fewer jobs",
                       ERRAND_DOCUMENT_MAX >> 20);
    if (code < 0 && errand->error.code == 0)
        err_set(&errand->error, code, "the document: %s", err_text(code));
    return code;
}
