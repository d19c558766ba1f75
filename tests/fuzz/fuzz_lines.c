/* Any bytes as a text file of labels: refused because of a NUL, or lines that stand in the text, in
 * order, less blanks at their ends, with none lost but empty ones at the very end. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "fuzz.h"

enum { MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *lines[MAX];
    FUZZ_CHECK(text != NULL);
    if (size > 0) memcpy(text, data, size);
    text[size] = '\0';
    size_t count = 0, ends = 0, mark = text_mark_length(text, size);
    for (size_t i = 0; i < size; i++) ends += data[i] == '\n';
    size_t bad = text_split_lines(text, size, lines, MAX, &count);
    FUZZ_CHECK((bad > 0) == (size > 0 && memchr(data, '\0', size) != NULL) && bad <= ends + 1);
    if (bad == 0) {
        FUZZ_CHECK(count <= ends + 1);
        const char *from = text + mark;
        for (size_t i = 0; i < count && i < MAX; i++) {
            size_t n = strlen(lines[i]);
            FUZZ_CHECK(lines[i] >= from && lines[i] + n <= text + size);
            FUZZ_CHECK(n == 0 || memcmp(lines[i], data + (lines[i] - text), n) == 0);
            FUZZ_CHECK(n == 0 || strchr(" \t\r\n", lines[i][n - 1]) == NULL);
            FUZZ_CHECK(strchr(lines[i], '\n') == NULL);
            from = lines[i] + n;
        }
        if (count > 0 && count <= MAX) FUZZ_CHECK(lines[count - 1][0] != '\0');
    }
    free(text);
    return 0;
}
