// Linux calls which Swift's Glibc module does not show: eventfd(2), the GNU pthread extensions, prctl(2) names, mallopt(3).
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/// At most so many heaps for the threads of this process, each with so many bytes free at its end, and pieces of so many
/// bytes by themselves, given back when they are freed; before the first of the threads starts.
static inline void clinux_limit_heaps(int count, int kept, int large) {
    mallopt(M_ARENA_MAX, count);
    mallopt(M_TRIM_THRESHOLD, kept);
    mallopt(M_MMAP_THRESHOLD, large);
}

/// A descriptor which becomes readable when any thread calls clinux_wake, or -1 with errno set.
static inline int clinux_wake_open(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

static inline void clinux_wake(int fd) {
    uint64_t one = 1;
    ssize_t ignored = write(fd, &one, sizeof one);
    (void)ignored;
}

static inline void clinux_wake_clear(int fd) {
    uint64_t count;
    ssize_t ignored = read(fd, &count, sizeof count);
    (void)ignored;
}

extern int pthread_setname_np(pthread_t thread, const char *name);
static inline int clinux_set_thread_name(pthread_t thread, const char *name) {
    return pthread_setname_np(thread, name);
}

/// The calling thread asks for slices of so many nanoseconds (sched_setattr(2)): Linux 6.12 and later then lets it
/// interrupt threads with longer ones when it wakes, and earlier ones take no notice.
static inline void clinux_ask_for_slices(uint64_t nanoseconds) {
    // glibc has no struct for it before 2.41.
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attributes = {.size = sizeof attributes, .nice = getpriority(PRIO_PROCESS, 0), .runtime = nanoseconds};
    (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

/// User plus system CPU time of this process, seconds (getrusage(2)).
static inline double clinux_cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec * 1e-6 + (double)usage.ru_stime.tv_sec +
           (double)usage.ru_stime.tv_usec * 1e-6;
}
