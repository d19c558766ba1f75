/* Messages to systemd (sd_notify(3)). Without NOTIFY_SOCKET nothing happens. */
#ifndef APP_NOTIFY_H
#define APP_NOTIFY_H

/* "READY=1\nSTATUS=.." and the like. */
void notify_systemd(const char *message);

#endif
