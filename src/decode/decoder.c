/* See decoder.h. A list behind one lock, and threads that take from it. A job is its submitter's
 * memory linked up, so that submitting cannot fail; nothing is held while decoding or calling
 * back. */
#include "config.h"

#include "decode/decoder.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/mem.h"

struct decoder {
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t wake;
    struct decode_job *first, **last;
    bool closing;

    unsigned n_threads; /* started */
    pthread_t threads[];
};

void decode_job_run(struct decode_job *job, struct arena **scratch)
{
    int64_t start = clock_now();
    job->error.code = 0;
    job->status = decode_run(&job->work, job->input, job->output, scratch, &job->error);
    job->took_ns = clock_now() - start;
}

static void *decoder_main(void *arg)
{
    struct decoder *decoder = arg;
    struct arena *scratch = NULL;
    pthread_mutex_lock(&decoder->lock);
    for (;;) {
        struct decode_job *job = decoder->first;
        if (job != NULL) {
            decoder->first = job->next;
            if (decoder->first == NULL) decoder->last = &decoder->first;
            pthread_mutex_unlock(&decoder->lock);
            decode_job_run(job, &scratch);
            job->done(job);
            pthread_mutex_lock(&decoder->lock);
        } else if (decoder->closing) {
            break;
        } else {
            pthread_cond_wait(&decoder->wake, &decoder->lock);
        }
    }
    pthread_mutex_unlock(&decoder->lock);
    arena_free(scratch);
    return NULL;
}

int decoder_new(unsigned threads, struct decoder **ret_decoder, struct err *e)
{
    struct decoder *decoder = mem_new(1, sizeof(*decoder) + threads * sizeof(pthread_t));
    if (decoder == NULL) return err_set(e, -ENOMEM, "out of memory for the decoder");
    pthread_mutex_init(&decoder->lock, NULL);
    pthread_cond_init(&decoder->wake, NULL);
    decoder->last = &decoder->first;
    sigset_t all, before; /* signals are for the program's own threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = 0;
    while (rc == 0 && decoder->n_threads < threads) {
        rc = pthread_create(&decoder->threads[decoder->n_threads], NULL, decoder_main, decoder);
        if (rc == 0) decoder->n_threads++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        decoder_free(decoder);
        return err_set(e, -rc, "cannot start the decoder's threads: %s", err_text(-rc));
    }
    *ret_decoder = decoder;
    return 0;
}

void decoder_submit(struct decoder *decoder, struct decode_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&decoder->lock);
    *decoder->last = job;
    decoder->last = &job->next;
    pthread_mutex_unlock(&decoder->lock);
    /* Woken with the lock held, it would sleep again at once. */
    pthread_cond_signal(&decoder->wake);
}

void decoder_free(struct decoder *decoder)
{
    if (decoder == NULL) return;
    pthread_mutex_lock(&decoder->lock);
    decoder->closing = true;
    pthread_cond_broadcast(&decoder->wake);
    pthread_mutex_unlock(&decoder->lock);
    for (unsigned i = 0; i < decoder->n_threads; i++) pthread_join(decoder->threads[i], NULL);
    pthread_cond_destroy(&decoder->wake);
    pthread_mutex_destroy(&decoder->lock);
    mem_free(decoder);
}
