/* Landlock (Linux 5.13 and later): a process gives up files, and with newer kernels the network and
 * signals. */
#ifndef SRC_DECODE_LANDLOCK_H
#define SRC_DECODE_LANDLOCK_H

/* Gives up all that the kernel has a word for; no_new_privs must be set. The ABI, or 0: the kernel
 * does not have it, it is turned off, or a filter around us does not let us. */
int landlock_enter(void);

#endif
