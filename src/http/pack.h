/* Answers as gzip. */
#ifndef HTTP_PACK_H
#define HTTP_PACK_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

/* Below, a packet more or less is not saved. */
enum { PACK_WORTH_MIN = 1 << 10 };

/* Whether packing makes a body of this type smaller: text and JSON. */
bool pack_suits(const char *content_type);

/* A response with the data, of mem_new(), as gzip; it is packed while it is sent, a block at a turn
 * of the loop, and so goes out in chunks. Takes the data over. NULL: out of memory, and the data
 * stay the caller's. */
struct MHD_Response *pack_response(char *data, size_t size);

#endif
