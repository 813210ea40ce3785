/* A protobuf message as a list of fields that can be edited and written again; what is not edited
 * keeps its bytes. */
#ifndef TEST_MESSAGE_H
#define TEST_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

struct message {
    struct arena *arena;
    struct message_field {
        uint32_t number, wire;
        uint64_t value;            /* varint, fixed32, fixed64 */
        const unsigned char *data; /* length-delimited */
        size_t size;
        struct message *inner; /* opened: written from here */
    } * fields;
    int n;
};

/* NULL when the bytes are no message. */
struct message *message_parse(struct arena *a, const unsigned char *data, size_t size);
size_t message_size(const struct message *m);
unsigned char *message_write(const struct message *m, unsigned char *out);

/* The k-th field of a number, or NULL. */
struct message_field *message_field(const struct message *m, uint32_t number, int k);
int message_count(const struct message *m, uint32_t number);
/* The k-th field opened as a message, or NULL. */
struct message *message_inner(struct message *m, uint32_t number, int k);
/* Text of the k-th field ("" when absent). */
const char *message_text(const struct message *m, uint32_t number, int k);
struct message_field *message_add(struct message *m, uint32_t number, uint32_t wire);
void message_set_text(struct message *m, uint32_t number, int k, const char *text);
/* Sets the value of the first field of that number, added when absent. */
void message_set_value(struct message *m, uint32_t number, uint32_t wire, uint64_t value);
void message_remove(struct message *m, uint32_t number);
/* Numbers of a repeated field, packed or not; returns how many. */
int message_varints(const struct message *m, uint32_t number, int64_t *out, int max);
void message_set_varints(struct message *m, uint32_t number, const int64_t *v, int n);

#endif
