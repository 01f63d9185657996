// Counts the allocations of the process into which it is preloaded (LD_PRELOAD), for the tests of allocations per request.
//
// The count is in the first eight bytes of the file that FIRSTCOME_ALLOCATIONS names, which must exist and have that length; another
// process can map or read the file to get it. It is one counter for all threads, because a request is served by a loop, the store's
// writer and a reader. glibc calls its own entry points through the same symbols, so what it allocates for a caller is counted too.
//
// The __libc_ functions are glibc's own allocator by other names. Looking up the originals (dlsym) would itself allocate, before an
// allocator is available.
#include "CountingAllocator.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

// Counts the allocations before the file is mapped, which nobody reads.
static _Atomic uint64_t unobserved;
static _Atomic uint64_t *counter = &unobserved;

__attribute__((constructor)) static void map_counter(void) {
    // Not preloaded into children: one with its own allocator, such as redis-server, would free there what was allocated here.
    unsetenv("LD_PRELOAD");
    const char *path = getenv("FIRSTCOME_ALLOCATIONS");
    if (path == NULL) return;
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *memory = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory != MAP_FAILED) counter = memory;
}

static void count(void) { atomic_fetch_add_explicit(counter, 1, memory_order_relaxed); }

void *malloc(size_t size) {
    count();
    return __libc_malloc(size);
}

void *calloc(size_t elements, size_t size) {
    count();
    return __libc_calloc(elements, size);
}

// Counts also where the block does not move, because the caller asked for more memory.
void *realloc(void *memory, size_t size) {
    count();
    return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
    count();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    if (alignment == 0 || alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0) return EINVAL;
    count();
    void *block = __libc_memalign(alignment, size);
    if (block == NULL) return ENOMEM;
    *memory = block;
    return 0;
}
