/* See decoder.h. For each seat there is a thread, which takes a job from the list of its kind, then
 * a seat for it; a caller of decode_job_run() takes a seat, too, so that at most one thread a seat
 * is at work. A job is its submitter's memory linked up, so that submitting cannot fail; nothing is
 * held while decoding or calling back. */
#include "config.h"

#include "decode/decoder.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tally.h"

enum { BACKGROUND_NICENESS = 10 };

struct seat {
    struct seat *next; /* in the list of free ones */
    struct arena *scratch;
};

/* All of one kind: foreground or background. */
struct room {
    struct decoder *decoder;
    bool background;
    pthread_cond_t jobs, free; /* something to take: for the threads; for who has a job */
    struct decode_job *first, **last;
    struct seat *seats; /* that are free */
    unsigned n_threads; /* started */
    pthread_t *threads;
};

enum { FOREGROUND, BACKGROUND, ROOMS };

struct decoder {
    struct decoder_options options;
    struct tally tally;
    pthread_mutex_t lock; /* lists and closing */
    struct room rooms[ROOMS];
    bool closing;
    struct seat all[]; /* [foreground + background] */
};

/* Why the job is to end now; 0: it is not. */
static int interrupted(const struct decode_job *job, int64_t now_ns)
{
    if (atomic_load(&job->cancelled)) return ERR_CANCELLED;
    if (job->deadline_ns != 0 && now_ns >= job->deadline_ns) return ERR_DEADLINE;
    return now_ns >= job->stop_ns ? ERR_BUSY : 0;
}

static int set_interrupted(int code, struct err *e)
{
    switch (code) {
    case ERR_CANCELLED:
        return err_set(e, code, "decoding was given up");
    case ERR_DEADLINE:
        return err_set(e, code, "the time was over before the image was decoded");
    default:
        return err_set(e, code, "decoding takes longer than decode.timeout_ms");
    }
}

static bool wants_to_stop(void *arg)
{
    return interrupted(arg, clock_now()) != 0;
}

static void run_in(struct seat *seat, struct decode_job *job)
{
    const struct decode_stop stop = {wants_to_stop, job};
    int64_t cpu_start = clock_cpu();
    job->status =
        decode_run(&job->work, job->input, job->output, &seat->scratch, &stop, &job->error);
    job->cpu_ns = clock_cpu() - cpu_start;
    if (job->status != ERR_CANCELLED) return;
    int code = interrupted(job, clock_now());
    if (code != 0) job->status = set_interrupted(code, &job->error);
}

/* Lock held, let go while waiting. NULL: the job is over first. */
static struct seat *take_seat(struct room *room, const struct decode_job *job)
{
    pthread_mutex_t *lock = &room->decoder->lock;
    while (room->seats == NULL) {
        if (interrupted(job, clock_now()) != 0) return NULL;
        if (job->deadline_ns != 0) {
            struct timespec until = {.tv_sec = job->deadline_ns / CLOCK_SECOND,
                                     .tv_nsec = job->deadline_ns % CLOCK_SECOND};
            pthread_cond_timedwait(&room->free, lock, &until);
        } else {
            pthread_cond_wait(&room->free, lock);
        }
    }
    struct seat *seat = room->seats;
    room->seats = seat->next;
    return seat;
}

/* Lock held, let go while decoding. */
static void run(struct room *room, struct decode_job *job)
{
    struct decoder *decoder = room->decoder;
    job->error.code = 0;
    job->took_ns = job->cpu_ns = 0;
    job->stop_ns = INT64_MAX;
    struct seat *seat = take_seat(room, job);
    pthread_mutex_unlock(&decoder->lock);
    int64_t start = clock_now();
    job->stop_ns = start + decoder->options.time_max_ns;
    int code = interrupted(job, start);
    if (code != 0) {
        job->status = set_interrupted(code, &job->error);
    } else {
        run_in(seat, job);
        job->took_ns = clock_now() - start;
        tally_decoded(&decoder->tally, job);
    }
    pthread_mutex_lock(&decoder->lock);
    if (seat == NULL) return;
    seat->next = room->seats;
    room->seats = seat;
    pthread_cond_signal(&room->free);
}

static void *decoder_main(void *arg)
{
    struct room *room = arg;
    struct decoder *decoder = room->decoder;
    /* On Linux priorities are a thread's. It may fail only for who asks for more. */
    if (room->background) setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), BACKGROUND_NICENESS);
    pthread_mutex_lock(&decoder->lock);
    for (;;) {
        struct decode_job *job = room->first;
        if (job != NULL) {
            room->first = job->next;
            if (room->first == NULL) room->last = &room->first;
            run(room, job);
            pthread_mutex_unlock(&decoder->lock);
            job->done(job);
            pthread_mutex_lock(&decoder->lock);
        } else if (decoder->closing) {
            break;
        } else {
            pthread_cond_wait(&room->jobs, &decoder->lock);
        }
    }
    pthread_mutex_unlock(&decoder->lock);
    return NULL;
}

static int start_threads(struct room *room, unsigned n)
{
    room->threads = mem_new(n, sizeof(*room->threads));
    if (room->threads == NULL) return ENOMEM;
    int rc = 0;
    sigset_t all, before; /* signals are for the program's own threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (rc == 0 && room->n_threads < n) {
        rc = pthread_create(&room->threads[room->n_threads], NULL, decoder_main, room);
        if (rc == 0) room->n_threads++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static void room_init(struct decoder *decoder, struct room *room, bool background,
                      struct seat *seats, unsigned n)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    room->decoder = decoder;
    room->background = background;
    room->last = &room->first;
    pthread_cond_init(&room->jobs, NULL);
    pthread_cond_init(&room->free, &monotonic);
    pthread_condattr_destroy(&monotonic);
    for (unsigned i = 0; i < n; i++) {
        seats[i].next = room->seats;
        room->seats = &seats[i];
    }
}

int decoder_new(const struct decoder_options *options, struct metrics *metrics,
                struct decoder **ret_decoder, struct err *e)
{
    unsigned n = options->foreground + options->background;
    struct decoder *decoder = mem_new(1, sizeof(*decoder) + n * sizeof(struct seat));
    if (decoder == NULL) return err_set(e, -ENOMEM, "out of memory for the decoder");
    decoder->options = *options;
    tally_init(&decoder->tally, metrics);
    pthread_mutex_init(&decoder->lock, NULL);
    struct room *rooms = decoder->rooms;
    room_init(decoder, &rooms[FOREGROUND], false, decoder->all, options->foreground);
    room_init(decoder, &rooms[BACKGROUND], true, decoder->all + options->foreground,
              options->background);
    int rc = start_threads(&rooms[FOREGROUND], options->foreground);
    if (rc == 0) rc = start_threads(&rooms[BACKGROUND], options->background);
    if (rc != 0) {
        decoder_free(decoder);
        return err_set(e, -rc, "cannot start the decoder's threads: %s", err_text(-rc));
    }
    *ret_decoder = decoder;
    return 0;
}

unsigned decoder_seats(const struct decoder *decoder, bool background)
{
    return background ? decoder->options.background : decoder->options.foreground;
}

static struct room *room_of(struct decoder *decoder, const struct decode_job *job)
{
    return &decoder->rooms[job->background ? BACKGROUND : FOREGROUND];
}

void decoder_submit(struct decoder *decoder, struct decode_job *job)
{
    struct room *room = room_of(decoder, job);
    job->next = NULL;
    atomic_store(&job->cancelled, false);
    pthread_mutex_lock(&decoder->lock);
    *room->last = job;
    room->last = &job->next;
    pthread_mutex_unlock(&decoder->lock);
    /* Woken with the lock held, it would sleep again at once. */
    pthread_cond_signal(&room->jobs);
}

void decode_job_run(struct decoder *decoder, struct decode_job *job)
{
    atomic_store(&job->cancelled, false);
    pthread_mutex_lock(&decoder->lock);
    run(room_of(decoder, job), job);
    pthread_mutex_unlock(&decoder->lock);
}

void decoder_cancel(struct decoder *decoder, struct decode_job *job)
{
    pthread_mutex_lock(&decoder->lock);
    atomic_store(&job->cancelled, true);
    pthread_cond_broadcast(&room_of(decoder, job)->free);
    pthread_mutex_unlock(&decoder->lock);
}

void decoder_free(struct decoder *decoder)
{
    if (decoder == NULL) return;
    pthread_mutex_lock(&decoder->lock);
    decoder->closing = true;
    for (int r = 0; r < ROOMS; r++) pthread_cond_broadcast(&decoder->rooms[r].jobs);
    pthread_mutex_unlock(&decoder->lock);
    for (int r = 0; r < ROOMS; r++) {
        struct room *room = &decoder->rooms[r];
        for (unsigned i = 0; i < room->n_threads; i++) pthread_join(room->threads[i], NULL);
        mem_free(room->threads);
        pthread_cond_destroy(&room->jobs);
        pthread_cond_destroy(&room->free);
    }
    for (unsigned i = 0; i < decoder->options.foreground + decoder->options.background; i++)
        arena_free(decoder->all[i].scratch);
    pthread_mutex_destroy(&decoder->lock);
    mem_free(decoder);
}
