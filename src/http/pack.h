/* Answers as gzip. */
#ifndef HTTP_PACK_H
#define HTTP_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    PACK_WORTH_MIN = 1 << 10, /* bytes; below, a packet more or less is not saved */
    PACK_BLOCK = 16 << 10,    /* packed at a time */
};

/* Whether packing makes a body of this type smaller: text and JSON. */
bool pack_suits(const char *content_type);

struct packer;

/* gzip of the data, which must stay as long as the packer; NULL: out of memory. */
struct packer *packer_new(const char *data, size_t size);
void packer_free(struct packer *packer);

/* The next bytes, at most PACK_BLOCK, into `to`: their number; 0 at the end; -EIO. */
ssize_t packer_run(struct packer *packer, char *to);

#endif
