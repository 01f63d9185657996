// Makes a process into which it is preloaded (LD_PRELOAD) believe in another time of day: it is off by the seconds in the file that
// FIRSTCOME_WRONG_CLOCK names, which is read each time. The monotonic clock is not touched.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char *file_of_offset;

__attribute__((constructor)) static void read_settings(void) {
    // Not preloaded into children.
    unsetenv("LD_PRELOAD");
    file_of_offset = getenv("FIRSTCOME_WRONG_CLOCK");
}

static long offset(void) {
    char text[16] = {0};
    if (file_of_offset == NULL) return 0;
    int file = open(file_of_offset, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t count = read(file, text, sizeof text - 1);
    close(file);
    return count > 0 ? strtol(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += offset();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec time;
    if (clock_gettime(CLOCK_REALTIME, &time) != 0) return -1;
    now->tv_sec = time.tv_sec;
    now->tv_usec = time.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    if (now != NULL) *now = time.tv_sec;
    return time.tv_sec;
}
