// Makes a process into which it is preloaded (LD_PRELOAD) believe that its disk takes long to flush: while the file that
// FIRSTCOME_SLOW_DISK names exists, each flush takes 400 ms longer.
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char *sign;

__attribute__((constructor)) static void read_settings(void) {
    // Not preloaded into children.
    unsetenv("LD_PRELOAD");
    sign = getenv("FIRSTCOME_SLOW_DISK");
}

static void wait_for_disk(void) {
    if (sign == NULL || access(sign, F_OK) != 0) return;
    struct timespec rest = {.tv_sec = 0, .tv_nsec = 400 * 1000 * 1000};
    while (nanosleep(&rest, &rest) != 0) {
    }
}

int fdatasync(int file) {
    wait_for_disk();
    return (int)syscall(SYS_fdatasync, file);
}

int fsync(int file) {
    wait_for_disk();
    return (int)syscall(SYS_fsync, file);
}
