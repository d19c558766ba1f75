/* A request's body in a content coding, on its way to the handler. On the loop thread. */
#ifndef HTTP_CODED_BODY_H
#define HTTP_CODED_BODY_H

#include "http/exchange.h"

/* Unpacks the body, which is there as a whole, then calls the route's handler with what was in it,
 * or answers 400, 413 or 503. Returns at once where that takes long: the exchange is then one that
 * has been kept, until a thread of libuv's pool is through. */
void coded_body_handle(struct exchange *x);

#endif
