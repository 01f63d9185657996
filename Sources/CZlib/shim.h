#ifndef CZLIB_SHIM_H
#define CZLIB_SHIM_H

// Input bytes are then read through pointers to const.
#define ZLIB_CONST
#include <zlib.h>

// Prepares a stream that writes the gzip format (RFC 1952). deflateInit2() is a macro, which Swift cannot import. 15 is the largest
// window, 16 more asks for gzip's header and trailer, and 9 is the most memory for compression.
static inline int czlib_begin_gzip(z_streamp stream, int level) {
    return deflateInit2(stream, level, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY);
}

#endif
