/* Large pages: fewer of them to look up where much memory is read in a row. */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stddef.h>

/* Lets the system use large pages for [p, p + size), as far as whole ones fit, when it is first
 * written to. A system without them changes nothing. */
void pages_large(void *p, size_t size);

#endif
