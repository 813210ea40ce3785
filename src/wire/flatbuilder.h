/* New FlatBuffer tables in front of an old file.
 *
 * Offsets of a FlatBuffer point forward, so what is new can stand before all that is old: a new
 * root, copies of the tables on the way to a change, and references from these into the old bytes,
 * which stay as they are and only move back by a multiple of 64. */
#ifndef WIRE_FLATBUILDER_H
#define WIRE_FLATBUILDER_H

#include "base/arena.h"
#include "wire/flatbuffer.h"

struct fb_object;

/* A new object, or a place in the old file (object NULL). */
struct fb_ref {
    struct fb_object *object;
    size_t old;
};

struct fb_object *fb_new_table(struct arena *a, int n_fields);
/* A copy of an old table. `kinds`: one letter a field in schema order: 'o' an offset, '1' '2' '4'
 * '8' a scalar of so many bytes. NULL when the table has a field beyond them: its kind is unknown.
 */
struct fb_object *fb_copy_table(struct arena *a, const struct fb_table *t, const char *kinds);
void fb_set_scalar(struct fb_object *t, int id, int width, uint64_t bits);
void fb_set_f32(struct fb_object *t, int id, float v);
/* ref { NULL, 0 } takes the field away. */
void fb_set_ref(struct fb_object *t, int id, struct fb_ref ref);
/* A vector of n elements of `width` bytes whose first element is aligned to `align` (>= 4). Data is
 * not copied. */
struct fb_object *fb_new_vector(struct arena *a, const void *data, size_t n, size_t width,
                                size_t align);
struct fb_object *fb_new_text(struct arena *a, const char *text);
struct fb_object *fb_new_refs(struct arena *a, const struct fb_ref *refs, size_t n);
/* An old vector of offsets as references, with room for `extra` more. */
struct fb_ref *fb_refs_of(struct arena *a, const struct fb_vector *v, size_t extra);

/* The bytes before the old file: their number is a multiple of 64. identifier: 4 bytes. */
enum status fb_finish(struct arena *a, struct fb_object *root, const unsigned char *identifier,
                      unsigned char **head, size_t *size, struct err *e);

#endif
