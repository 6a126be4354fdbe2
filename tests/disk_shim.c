/* Loaded into a process under test (LD_PRELOAD): tells what it does to the files of one folder, and makes that fail.
 *
 * TF_DISK_ROOT    only files below this folder count.
 * TF_DISK_TRACE   every change of them is appended to this file, in the order in which it happened: see tests/disk_trace.py.
 * TF_DISK_FAULTS  a file of four numbers "write-errno sync-errno write-ms sync-ms", looked at before every write and sync;
 *                 0 is none. A file that is absent means no faults.
 *
 * Every call is made under one lock, so that the order told is the order in which things happened. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { OPEN = 1, WRITE, TRUNCATE, SYNC, CLOSE, RENAME, UNLINK, MKDIR };
#define MAX_FD 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char ours[MAX_FD];
static const char *root, *faults;
static size_t root_size;
static int trace = -1;

#define REAL(result, name, ...) \
    static result (*real_##name)(__VA_ARGS__); \
    if (!real_##name) real_##name = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static void begin(void) {
    static int is_done;
    pthread_mutex_lock(&lock);
    if (is_done) return;
    is_done = 1;
    root = getenv("TF_DISK_ROOT");
    root_size = root ? strlen(root) : 0;
    faults = getenv("TF_DISK_FAULTS");
    const char *path = getenv("TF_DISK_TRACE");
    if (path) {
        REAL(int, open, const char *, int, ...);
        trace = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
}

static int is_below(const char *path) {
    return root_size && strncmp(path, root, root_size) == 0 && (path[root_size] == '/' || path[root_size] == 0);
}

static int is_ours(int fd) { return fd >= 0 && fd < MAX_FD && ours[fd]; }

static void tell(int kind, int fd, uint64_t offset, uint64_t flags, const char *name, const char *other,
                 const struct iovec *parts, int count, size_t size) {
    if (trace < 0) return;
    REAL(ssize_t, write, int, const void *, size_t);
    size_t name_size = name ? strlen(name) : 0, other_size = other ? strlen(other) : 0;
    uint32_t head[4] = {kind, (uint32_t)fd, name_size, other_size};
    uint64_t wide[3] = {offset, flags, size};
    size_t total = sizeof head + sizeof wide + name_size + other_size + size;
    char *record = malloc(total), *at = record;
    memcpy(at, head, sizeof head), at += sizeof head;
    memcpy(at, wide, sizeof wide), at += sizeof wide;
    if (name_size) memcpy(at, name, name_size), at += name_size;
    if (other_size) memcpy(at, other, other_size), at += other_size;
    for (int i = 0; i < count && size; i++) {
        size_t part = parts[i].iov_len < size ? parts[i].iov_len : size;
        memcpy(at, parts[i].iov_base, part), at += part, size -= part;
    }
    if (real_write(trace, record, total) != (ssize_t)total) abort();
    free(record);
}

/* Fails or delays a write (which = 0) or a sync (1). The lock is given up while it waits. */
static int fault(int which) {
    int codes[2] = {0, 0}, delays[2] = {0, 0};
    if (!faults) return 0;
    FILE *file = fopen(faults, "re");
    if (!file) return 0;
    if (fscanf(file, "%d %d %d %d", &codes[0], &codes[1], &delays[0], &delays[1]) != 4) codes[which] = 0;
    fclose(file);
    if (delays[which]) {
        struct timespec pause = {delays[which] / 1000, delays[which] % 1000 * 1000000L};
        pthread_mutex_unlock(&lock);
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&lock);
    }
    return codes[which];
}

static int opened(int fd, const char *path, int flags, int is_new) {
    if (fd >= 0 && fd < MAX_FD && is_below(path)) {
        ours[fd] = 1;
        tell(OPEN, fd, is_new, flags, path, NULL, NULL, 0, 0);
    } else if (fd >= 0 && fd < MAX_FD) {
        ours[fd] = 0;
    }
    return fd;
}

#define OPENER(name) \
    int name(const char *path, int flags, ...) { \
        va_list arguments; \
        va_start(arguments, flags); \
        int mode = flags & O_CREAT ? va_arg(arguments, int) : 0; \
        va_end(arguments); \
        begin(); \
        REAL(int, name, const char *, int, ...); \
        REAL(int, access, const char *, int); \
        int is_new = (flags & O_CREAT) && is_below(path) && real_access(path, F_OK) != 0; \
        int fd = real_##name(path, flags, mode), error = errno; \
        opened(fd, path, flags, is_new); \
        pthread_mutex_unlock(&lock); \
        errno = error; \
        return fd; \
    }
OPENER(open)
OPENER(open64)

static ssize_t written(ssize_t size, int fd, off_t offset, const struct iovec *parts, int count) {
    int error = errno;
    if (size > 0 && is_ours(fd)) {
        if (offset < 0) offset = lseek(fd, 0, SEEK_CUR) - size;
        tell(WRITE, fd, offset, 0, NULL, NULL, parts, count, size);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return size;
}

#define REFUSE(fd, which) \
    begin(); \
    if (is_ours(fd)) { \
        int code = fault(which); \
        if (code) { \
            pthread_mutex_unlock(&lock); \
            errno = code; \
            return -1; \
        } \
    }

/* Not every write of the process: only files of ours are worth the lock. */
ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    if (!is_ours(fd)) return real_write(fd, data, size);
    REFUSE(fd, 0)
    struct iovec part = {(void *)data, size};
    return written(real_write(fd, data, size), fd, -1, &part, 1);
}

#define PWRITER(name) \
    ssize_t name(int fd, const void *data, size_t size, off_t offset) { \
        REAL(ssize_t, name, int, const void *, size_t, off_t); \
        if (!is_ours(fd)) return real_##name(fd, data, size, offset); \
        REFUSE(fd, 0) \
        struct iovec part = {(void *)data, size}; \
        return written(real_##name(fd, data, size, offset), fd, offset, &part, 1); \
    }
PWRITER(pwrite)
PWRITER(pwrite64)

#define PWRITEVER(name) \
    ssize_t name(int fd, const struct iovec *parts, int count, off_t offset) { \
        REAL(ssize_t, name, int, const struct iovec *, int, off_t); \
        if (!is_ours(fd)) return real_##name(fd, parts, count, offset); \
        REFUSE(fd, 0) \
        return written(real_##name(fd, parts, count, offset), fd, offset, parts, count); \
    }
PWRITEVER(pwritev)
PWRITEVER(pwritev64)

/* What Python's os.pwritev is. */
#define PWRITEVER2(name) \
    ssize_t name(int fd, const struct iovec *parts, int count, off_t offset, int flags) { \
        REAL(ssize_t, name, int, const struct iovec *, int, off_t, int); \
        if (!is_ours(fd)) return real_##name(fd, parts, count, offset, flags); \
        REFUSE(fd, 0) \
        return written(real_##name(fd, parts, count, offset, flags), fd, offset, parts, count); \
    }
PWRITEVER2(pwritev2)
PWRITEVER2(pwritev64v2)

#define TRUNCATER(name) \
    int name(int fd, off_t size) { \
        begin(); \
        REAL(int, name, int, off_t); \
        int result = real_##name(fd, size), error = errno; \
        if (result == 0 && is_ours(fd)) tell(TRUNCATE, fd, size, 0, NULL, NULL, NULL, 0, 0); \
        pthread_mutex_unlock(&lock); \
        errno = error; \
        return result; \
    }
TRUNCATER(ftruncate)
TRUNCATER(ftruncate64)

#define SYNCER(name) \
    int name(int fd) { \
        REAL(int, name, int); \
        if (!is_ours(fd)) return real_##name(fd); \
        REFUSE(fd, 1) \
        int result = real_##name(fd), error = errno; \
        if (result == 0) tell(SYNC, fd, 0, 0, NULL, NULL, NULL, 0, 0); \
        pthread_mutex_unlock(&lock); \
        errno = error; \
        return result; \
    }
SYNCER(fsync)
SYNCER(fdatasync)

int close(int fd) {
    REAL(int, close, int);
    if (!is_ours(fd)) return real_close(fd);
    begin();
    ours[fd] = 0;
    tell(CLOSE, fd, 0, 0, NULL, NULL, NULL, 0, 0);
    int result = real_close(fd), error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int rename(const char *from, const char *to) {
    begin();
    REAL(int, rename, const char *, const char *);
    int result = real_rename(from, to), error = errno;
    if (result == 0 && is_below(from)) tell(RENAME, -1, 0, 0, from, to, NULL, 0, 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int unlink(const char *path) {
    begin();
    REAL(int, unlink, const char *);
    int result = real_unlink(path), error = errno;
    if (result == 0 && is_below(path)) tell(UNLINK, -1, 0, 0, path, NULL, NULL, 0, 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int mkdir(const char *path, mode_t mode) {
    begin();
    REAL(int, mkdir, const char *, mode_t);
    int result = real_mkdir(path, mode), error = errno;
    if (result == 0 && is_below(path)) tell(MKDIR, -1, 0, 0, path, NULL, NULL, 0, 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}
