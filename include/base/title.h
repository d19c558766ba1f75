/* A process's title: what ps shows instead of its command line. For processes that are forked and
 * stay what they are; the way is that of setproctitle(3), over argv and environ where the system
 * left them. */
#ifndef BASE_TITLE_H
#define BASE_TITLE_H

/* Remembers where they lie, from main(), before there are threads; without it title_set() only sets
 * the name. */
void title_init(char **argv);

/* Of a process with one thread that needs its environment no longer: it is cleared. name: 15 bytes
 * of the title that /proc/PID/comm shows. */
void title_set(const char *name, const char *title);

#endif
