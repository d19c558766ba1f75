/* See crew.h. A seat has one helper at a time. When it ends, the watching thread notes how, and
 * keeps what the zygote sends of the next one until the seat's user takes it over: only the user
 * touches the region and the socket of the helper that is in use. */
#include "config.h"

#include "crew.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "region.h"

enum {
    START_MS = 20000, /* for all helpers at the start */
    END_MS = 2000,    /* for the zygote to tell of an end */
    TRIES = 3,        /* to find a helper for a job that is not about to end already */
    GRACE_MS = 20,    /* for a helper to stop when it is told to: a JPEG does between two rows */
    REPORT_MS = 1000, /* between two lines of the log */
    WAKE_NS = 50000,  /* to hand a job over and to get it back */
    TEXT_MAX = ERR_TEXT_MAX + 64,
    ANY = -1, /* processor */
};

/* A helper. */
struct member {
    pid_t pid; /* 0: there is none */
    int socket, pidfd;
    struct region region;
    int processor; /* that it is kept to, or ANY; the seat's user's */
    bool ended;
    bool stopped; /* how, see struct zygote_news */
    int signal;
    enum tally_loss killed_for; /* by us; TALLY_LOSSES: it was not */
};

struct place {
    struct member present, next; /* next: while present has ended and is not taken away yet */
    int nudge;                   /* an eventfd */
};

struct crew {
    struct zygote_options options;
    cpu_set_t processors; /* that this process may use; of the first 1024 */
    struct tally *tally;
    void (*report)(void *arg, const char *message);
    void *report_arg;
    struct sandbox_posture posture; /* of the helpers at the start */
    pid_t zygote;
    int socket; /* to it */
    pthread_t watcher;
    bool watched;

    pthread_mutex_t lock; /* what follows, but for what is said above */
    pthread_cond_t news;
    bool orphaned; /* the zygote has ended */
    bool closing;
    int64_t next_report_ns;
    unsigned not_reported;
    unsigned n;
    struct place places[];
};

/* ---- helpers that come and go ---- */

static void member_release(struct member *m)
{
    if (m->pid == 0) return;
    region_unmap(&m->region);
    close(m->socket);
    close(m->pidfd);
    *m = (struct member){.pid = 0};
}

static void member_kill(const struct member *m)
{
    pidfd_send_signal(m->pidfd, SIGKILL, NULL, 0);
}

/* Lock held. */
static int welcome(struct crew *crew, const struct zygote_news *news, const int fds[ZYGOTE_FDS],
                   struct err *e)
{
    struct place *place = &crew->places[news->number];
    struct member m = {.pid = news->pid,
                       .socket = fds[ZYGOTE_SOCKET],
                       .pidfd = fds[ZYGOTE_PIDFD],
                       .processor = ANY,
                       .killed_for = TALLY_LOSSES};
    int rc = region_map(fds[ZYGOTE_REGION], crew->options.helper.input_max,
                        crew->options.helper.output_max, &m.region, e);
    close(fds[ZYGOTE_REGION]);
    if (rc < 0) { /* it ends, and the next one may have more luck */
        close(m.socket);
        close(m.pidfd);
        return rc;
    }
    tally_started(crew->tally);
    member_release(&place->next);
    if (place->present.pid == 0)
        place->present = m;
    else
        place->next = m;
    return 0;
}

static enum tally_loss loss_of(const struct member *m)
{
    if (m->killed_for != TALLY_LOSSES) return m->killed_for;
    if (m->stopped) return TALLY_STOPPED;
    switch (m->signal) {
    case 0: /* of itself, as a sanitizer ends it */
    case SIGSEGV:
    case SIGBUS:
    case SIGABRT:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
        return TALLY_CRASH;
    case SIGSYS:
        return TALLY_FORBIDDEN;
    default:
        return TALLY_KILLED;
    }
}

/* Lock held. A sentence about a loss, unless there was one just now; returns whether to report. */
static bool describe(struct crew *crew, const struct member *m, char text[TEXT_MAX])
{
    int64_t now = clock_now();
    if (now < crew->next_report_ns) {
        crew->not_reported++;
        return false;
    }
    crew->next_report_ns = now + REPORT_MS * CLOCK_MS;
    char others[64] = "", signal[32] = "";
    if (crew->not_reported > 0)
        snprintf(others, sizeof(others), "; %u others before it", crew->not_reported);
    if (m->signal > 0 && sigabbrev_np(m->signal) != NULL)
        snprintf(signal, sizeof(signal), ", SIG%s", sigabbrev_np(m->signal));
    crew->not_reported = 0;
    snprintf(text, TEXT_MAX, "a helper that decodes (%d) was lost and is replaced: %s%s%s",
             (int)m->pid, tally_loss_text(loss_of(m)), signal, others);
    return true;
}

/* Lock held. */
static bool bury(struct crew *crew, const struct zygote_news *news, char text[TEXT_MAX])
{
    struct place *place = &crew->places[news->number];
    struct member *m = place->present.pid == news->pid ? &place->present : &place->next;
    /* Could not be welcomed; or who waited for it has given it up. */
    if (m->pid != news->pid || m->ended) return false;
    m->ended = true;
    m->stopped = news->stopped;
    m->signal = news->signal;
    tally_lost(crew->tally, loss_of(m));
    return describe(crew, m, text);
}

static void *watch(void *arg)
{
    struct crew *crew = arg;
    struct zygote_news news;
    int fds[ZYGOTE_FDS];
    char text[TEXT_MAX];
    for (int rc = 0; rc != -EPIPE;) {
        bool to_report = false;
        rc = zygote_receive(crew->socket, &news, fds);
        pthread_mutex_lock(&crew->lock);
        if (rc == -EPIPE) {
            crew->orphaned = true;
            to_report = !crew->closing;
            snprintf(text, sizeof(text),
                     "the process that starts helpers has ended: those that are lost from now on "
                     "are not replaced; start the daemon anew");
        } else if (rc < 0 || news.event == ZYGOTE_FAILED) {
            to_report = true;
            snprintf(text, sizeof(text), "a helper that decodes could not be started: %s",
                     rc < 0 ? err_text(rc) : news.error.text);
        } else if (news.event == ZYGOTE_STARTED) {
            struct err e;
            to_report = welcome(crew, &news, fds, &e) < 0;
            if (to_report) snprintf(text, sizeof(text), "%s", e.text);
        } else {
            to_report = bury(crew, &news, text);
        }
        pthread_cond_broadcast(&crew->news);
        pthread_mutex_unlock(&crew->lock);
        if (to_report && crew->report != NULL) crew->report(crew->report_arg, text);
    }
    return NULL;
}

/* ---- a job ---- */

/* The helper of the seat that lives, taken over if it is new. NULL: there is none yet. */
static struct member *take_present(struct place *place)
{
    if (place->present.ended) {
        member_release(&place->present);
        place->present = place->next;
        place->next = (struct member){.pid = 0};
    }
    return place->present.pid != 0 && !place->present.ended ? &place->present : NULL;
}

static struct timespec time_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / CLOCK_SECOND, .tv_nsec = ns % CLOCK_SECOND};
}

/* Waits for it. ERR_CONFLICT: there will be none. */
static int get_member(struct crew *crew, unsigned seat, const struct decode_job *job,
                      struct member **ret_member, struct err *e)
{
    int rc = 0;
    pthread_mutex_lock(&crew->lock);
    while ((*ret_member = take_present(&crew->places[seat])) == NULL) {
        if (crew->orphaned) {
            rc = err_set(e, ERR_CONFLICT, "the helper of this seat has ended");
            break;
        }
        rc = job_interrupted(job, clock_now());
        if (rc < 0) break;
        struct timespec until = time_of(job_end_ns(job));
        pthread_cond_timedwait(&crew->news, &crew->lock, &until);
    }
    pthread_mutex_unlock(&crew->lock);
    return rc;
}

/* Who waits in its own place leaves a processor to the helper, where both are awake at once: on an
 * idle one a helper, and then who waits for it, would have to be woken, which takes longer than a
 * small image. If it cannot be, it is as it was. */
static void place_helper(const struct crew *crew, struct member *m, const struct decode_job *job)
{
    int processor = job->in_place ? sched_getcpu() : ANY;
    if (processor == m->processor || processor >= CPU_SETSIZE) return;
    cpu_set_t set = crew->processors;
    if (processor != ANY) {
        CPU_ZERO(&set);
        CPU_SET(processor, &set);
    }
    sched_setaffinity(m->pid, sizeof(set), &set);
    m->processor = processor;
}

/* Never waits: a helper that answers and does not read is none of ours. */
static bool send_byte(const struct member *m)
{
    return send(m->socket, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

enum heard { HEARD_NOTHING, HEARD_DONE, HEARD_END };

/* Waits for the helper until a time, or until it is nudged. */
static enum heard hear(const struct place *place, int64_t until_ns)
{
    struct pollfd fds[2] = {{.fd = place->present.socket, .events = POLLIN},
                            {.fd = place->nudge, .events = POLLIN}};
    int64_t left_ns = until_ns - clock_now();
    struct timespec left = time_of(left_ns > 0 ? left_ns : 0);
    int n = ppoll(fds, 2, &left, NULL);
    if (n <= 0) return HEARD_NOTHING;
    if (fds[1].revents != 0) {
        eventfd_t ignored;
        eventfd_read(place->nudge, &ignored);
    }
    if (fds[0].revents == 0) return HEARD_NOTHING;
    char byte;
    return recv(place->present.socket, &byte, 1, MSG_DONTWAIT) == 1 ? HEARD_DONE : HEARD_END;
}

/* After it was told to stop. */
static enum heard hear_in_grace(const struct place *place)
{
    int64_t until = clock_now() + GRACE_MS * CLOCK_MS;
    enum heard heard;
    do {
        heard = hear(place, until);
    } while (heard == HEARD_NOTHING && clock_now() < until);
    return heard;
}

static enum tally_loss loss_for(int interruption)
{
    switch (interruption) {
    case ERR_CANCELLED:
        return TALLY_CANCELLED;
    case ERR_DEADLINE:
        return TALLY_DEADLINE;
    default:
        return TALLY_TIMEOUT;
    }
}

static void kill_for(struct crew *crew, struct member *m, enum tally_loss why)
{
    pthread_mutex_lock(&crew->lock);
    m->killed_for = why;
    pthread_mutex_unlock(&crew->lock);
    member_kill(m);
}

/* The helper has ended, or is about to: what the job is answered with. */
static int wait_for_end(struct crew *crew, struct member *m, struct err *e)
{
    struct timespec until = time_of(clock_now() + END_MS * CLOCK_MS);
    int rc = 0;
    pthread_mutex_lock(&crew->lock);
    while (!m->ended && !crew->orphaned && rc == 0)
        rc = pthread_cond_timedwait(&crew->news, &crew->lock, &until);
    bool known = m->ended;
    if (!known) { /* nobody says how, or not in time */
        m->ended = true;
        m->signal = SIGKILL;
        tally_lost(crew->tally, loss_of(m));
    }
    enum tally_loss loss = loss_of(m);
    pthread_mutex_unlock(&crew->lock);
    if (known && (loss == TALLY_CRASH || loss == TALLY_FORBIDDEN || loss == TALLY_NONSENSE))
        return err_set(e, ERR_FORMAT, "the decoder failed on this image: it may be damaged");
    return err_set(e, ERR_BUSY, "the process that decoded this image was ended: try again");
}

/* Until the helper is through or the job is to end. 0: it is through, and the outcome can be
 * taken; -EAGAIN: it ended before it began. */
static int wait_for_job(struct crew *crew, struct place *place, const struct decode_job *job,
                        struct err *e)
{
    struct member *m = &place->present;
    int why = 0;
    enum heard heard = HEARD_NOTHING;
    while (heard == HEARD_NOTHING && why == 0) {
        heard = hear(place, job_end_ns(job));
        if (heard == HEARD_NOTHING) why = job_interrupted(job, clock_now());
    }
    if (why != 0) {
        atomic_store(&m->region.head->stop, true);
        heard = hear_in_grace(place);
        if (heard == HEARD_NOTHING) {
            kill_for(crew, m, loss_for(why));
            wait_for_end(crew, m, NULL);
        }
        if (heard != HEARD_END) return job_set_interrupted(why, e);
    }
    if (heard == HEARD_DONE) return 0;
    int rc = wait_for_end(crew, m, e);
    return atomic_load(&m->region.head->begun) ? rc : -EAGAIN;
}

static int check_sizes(const struct crew *crew, const struct decode_job *job, size_t output_bytes,
                       struct err *e)
{
    const struct helper_options *o = &crew->options.helper;
    if (job->work.input_bytes > o->input_max)
        return err_set(e, ERR_LIMIT, "the image has %zu bytes, the decoder takes %zu",
                       job->work.input_bytes, o->input_max);
    if (output_bytes > o->output_max)
        return err_set(e, ERR_LIMIT, "the model's input has %zu bytes, the decoder makes %zu",
                       output_bytes, o->output_max);
    return 0;
}

/* What the work takes whatever runs beside it: what the helper says, and that somebody has to be
 * woken, which takes its time on an idle machine, too. */
static int64_t processor_time(const struct region_head *head, int64_t took_ns)
{
    int64_t its_ns = head->took_ns, cpu_ns = head->cpu_ns;
    if (cpu_ns < 0 || cpu_ns > its_ns || its_ns > took_ns) return 0; /* it lies */
    int64_t rest_ns = took_ns - its_ns;
    return cpu_ns + (rest_ns < WAKE_NS ? rest_ns : WAKE_NS);
}

/* With a helper that lives, and has been told. */
static int run_in(struct crew *crew, struct place *place, struct decode_job *job, size_t floats,
                  int64_t start_ns, struct err *e)
{
    struct member *m = &place->present;
    int rc = wait_for_job(crew, place, job, e);
    if (rc == 0) job->cpu_ns = processor_time(m->region.head, clock_now() - start_ns);
    if (rc == 0) rc = region_take(&m->region, job->output, floats, e);
    if (rc == ERR_CONFLICT) {
        kill_for(crew, m, TALLY_NONSENSE);
        rc = wait_for_end(crew, m, e);
    }
    region_trim(&m->region, job->work.input_bytes, floats * sizeof(float));
    return rc;
}

int crew_run(struct crew *crew, unsigned seat, struct decode_job *job, struct err *e)
{
    const struct preprocess *p = &job->work.preprocess;
    size_t floats = (size_t)p->width * (size_t)p->height * 3;
    struct place *place = &crew->places[seat];
    struct member *m;
    int64_t cpu_start = clock_cpu();
    int rc = check_sizes(crew, job, floats * sizeof(float), e);
    if (rc < 0) return rc;
    for (int tries = 0; tries < TRIES; tries++) {
        rc = get_member(crew, seat, job, &m, e);
        if (rc == ERR_CONFLICT) return rc;
        if (rc < 0) return job_set_interrupted(rc, e);
        place_helper(crew, m, job);
        if (region_put(&m->region, job) < 0)
            return err_set(e, -ENOMEM, "out of memory for an image of %zu bytes",
                           job->work.input_bytes);
        rc = -EAGAIN;
        int64_t start = clock_now();
        if (send_byte(m))
            rc = run_in(crew, place, job, floats, start, e);
        else
            wait_for_end(crew, m, e);
        if (rc != -EAGAIN) break;
    }
    if (job->cpu_ns > 0) job->cpu_ns += clock_cpu() - cpu_start;
    return rc == -EAGAIN ? e->code : rc;
}

void crew_nudge(struct crew *crew, unsigned seat)
{
    eventfd_write(crew->places[seat].nudge, 1);
    pthread_mutex_lock(&crew->lock);
    pthread_cond_broadcast(&crew->news);
    pthread_mutex_unlock(&crew->lock);
}

/* ---- life ---- */

/* One after the other, while there is no other thread: the first that fails tells why. */
static int receive_all(struct crew *crew, struct err *e)
{
    int64_t until = clock_now() + START_MS * CLOCK_MS;
    for (unsigned i = 0; i < crew->n; i++) {
        struct zygote_news news;
        int fds[ZYGOTE_FDS];
        struct pollfd socket = {.fd = crew->socket, .events = POLLIN};
        int64_t left_ms = (until - clock_now()) / CLOCK_MS;
        int n = poll(&socket, 1, left_ms > 0 ? (int)left_ms : 0);
        if (n < 0 && errno == EINTR) {
            i--;
            continue;
        }
        if (n < 1) return err_set(e, -ETIME, "helpers that decode took too long to start");
        int rc = zygote_receive(crew->socket, &news, fds);
        if (rc == -EPIPE)
            return err_set(e, rc, "the process that starts helpers ended before they were there");
        if (rc < 0) return err_set(e, rc, "cannot reach a helper: %s", err_text(rc));
        if (news.event == ZYGOTE_FAILED) return err_set(e, news.error.code, "%s", news.error.text);
        if (news.event == ZYGOTE_ENDED)
            return err_set(e, -ECHILD, "a helper that decodes ended as soon as it was there");
        rc = welcome(crew, &news, fds, e);
        if (rc < 0) return rc;
        crew->posture = news.posture;
    }
    return 0;
}

static int make_nudges(struct crew *crew, struct err *e)
{
    for (unsigned i = 0; i < crew->n; i++) {
        crew->places[i].nudge = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (crew->places[i].nudge < 0)
            return err_set(e, -errno, "cannot start the decoder: %s", err_text(-errno));
    }
    return 0;
}

int crew_new(const struct zygote_options *options, struct tally *tally,
             void (*report)(void *arg, const char *message), void *report_arg,
             struct crew **ret_crew, struct err *e)
{
    unsigned n = options->foreground + options->background;
    struct crew *crew = mem_new(1, sizeof(*crew) + n * sizeof(struct place));
    if (crew == NULL) return err_set(e, -ENOMEM, "out of memory for the decoder");
    crew->options = *options;
    crew->tally = tally;
    crew->report = report;
    crew->report_arg = report_arg;
    crew->n = n;
    crew->socket = -1;
    sched_getaffinity(0, sizeof(crew->processors), &crew->processors);
    for (unsigned i = 0; i < n; i++) crew->places[i].nudge = -1;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&crew->news, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int rc = zygote_start(options, &crew->zygote, &crew->socket, e);
    if (rc == 0) rc = make_nudges(crew, e);
    if (rc == 0) rc = receive_all(crew, e);
    if (rc < 0) {
        crew_free(crew);
        return rc;
    }
    *ret_crew = crew;
    return 0;
}

int crew_watch(struct crew *crew, struct err *e)
{
    sigset_t all, before; /* signals are for the program's own threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&crew->watcher, NULL, watch, crew);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    crew->watched = rc == 0;
    return rc == 0 ? 0 : err_set(e, -rc, "cannot start the decoder's threads: %s", err_text(-rc));
}

struct sandbox_posture crew_posture(const struct crew *crew)
{
    return crew->posture;
}

/* It ends when its socket does, with all helpers; if it was stopped, by force, and they when they
 * find nobody at theirs. */
static void end_zygote(struct crew *crew)
{
    shutdown(crew->socket, SHUT_RDWR);
    int pidfd = pidfd_open(crew->zygote, 0);
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    if (poll(&ended, 1, END_MS) != 1) kill(crew->zygote, SIGKILL);
    if (pidfd >= 0) close(pidfd);
    waitpid(crew->zygote, NULL, 0);
}

void crew_free(struct crew *crew)
{
    if (crew == NULL) return;
    pthread_mutex_lock(&crew->lock);
    crew->closing = true;
    pthread_mutex_unlock(&crew->lock);
    if (crew->zygote > 0) end_zygote(crew);
    if (crew->watched) pthread_join(crew->watcher, NULL);
    if (crew->socket >= 0) close(crew->socket);
    for (unsigned i = 0; i < crew->n; i++) {
        struct place *place = &crew->places[i];
        member_release(&place->present);
        member_release(&place->next);
        if (place->nudge >= 0) close(place->nudge);
    }
    pthread_cond_destroy(&crew->news);
    pthread_mutex_destroy(&crew->lock);
    mem_free(crew);
}
