/* Preloaded into the server by tests/faulty.rs: fails one call on the database or its WAL, and writes down the order of
 * calls and answers.
 *
 * FAULTY_AT     number of the call that fails, counted from 1 over all calls on these files; 0: none
 * FAULTY_HOW    EIO, ENOSPC or SHORT (half of a write; a sync that is to be short fails with EIO)
 * FAULTY_FULL   while a file of this name is there, writes fail with ENOSPC
 * FAULTY_TRACE  file that gets a line for each call: number, call, db or wal, result; for each delivery whose bytes are
 *               written into the WAL for the first time: holds, its number; for each answer: 200, log position
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static long calls;

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

/* "db", "wal", "outbox" (of a node, with its WAL), or NULL for any other file. */
static const char *which(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return NULL;
    path[length] = 0;
    char *gone = strstr(path, " (deleted)");
    if (gone)
        *gone = 0;
    length = (ssize_t)strlen(path);
    if (length >= 11 && !strcmp(path + length - 11, "chatfold.db"))
        return "db";
    if (length >= 15 && !strcmp(path + length - 15, "chatfold.db-wal"))
        return "wal";
    if (strstr(path, "chatfold.db.outbox"))
        return "outbox";
    return NULL;
}

/* One line, whole. The caller holds `order`. */
static void trace(const char *line)
{
    static int fd = -2;
    if (fd == -2) {
        const char *path = getenv("FAULTY_TRACE");
        fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    }
    if (fd >= 0) {
        ssize_t (*real)(int, const void *, size_t) = next("write");
        if (real(fd, line, strlen(line)) < 0)
            abort();
    }
}

/* Counts a call; 0, or the error it fails with (-1: short). */
static int count(const char *call, long *number)
{
    const char *at = getenv("FAULTY_AT"), *how = getenv("FAULTY_HOW"), *full = getenv("FAULTY_FULL");
    *number = ++calls;
    if (full && strstr(call, "write") && !access(full, F_OK))
        return ENOSPC;
    if (!at || atol(at) != *number)
        return 0;
    int sync = strstr(call, "sync") != NULL || strstr(call, "truncate") != NULL;
    if (how && !strcmp(how, "ENOSPC"))
        return ENOSPC;
    if (how && !strcmp(how, "SHORT") && !sync)
        return -1;
    return EIO;
}

static void done(long number, const char *call, const char *file, const char *result)
{
    char line[96];
    snprintf(line, sizeof line, "%ld %s %s %s\n", number, call, file, result);
    trace(line);
}

/* The deliveries of tests/support/load.rs in what is written, each once. The caller holds `order`. */
static void holds(const char *bytes, size_t length)
{
    static char seen[1 << 16];
    static const char mark[] = "\"text\":\"no ";
    for (const char *at = bytes; (at = memmem(at, length - (size_t)(at - bytes), mark, sizeof mark - 1));) {
        char line[64];
        at += sizeof mark - 1;
        unsigned long id = strtoul(at, NULL, 10);
        if (id < sizeof seen && !seen[id]) {
            seen[id] = 1;
            snprintf(line, sizeof line, "holds %lu\n", id);
            trace(line);
        }
    }
}

/* The lock is held over a write and let go over a sync, whose end is what counts. */
#define SYNC(name)                                                              \
    int name(int fd)                                                            \
    {                                                                           \
        int (*real)(int) = next(#name);                                         \
        const char *file = which(fd);                                           \
        if (!file)                                                              \
            return real(fd);                                                    \
        long number;                                                            \
        pthread_mutex_lock(&order);                                             \
        int error = count(#name, &number);                                \
        done(number, #name, file, "begins");                                    \
        pthread_mutex_unlock(&order);                                           \
        int result = error ? -1 : real(fd);                                     \
        pthread_mutex_lock(&order);                                             \
        done(number, #name, file, error ? "failed" : "done");                   \
        pthread_mutex_unlock(&order);                                           \
        if (error)                                                              \
            errno = error;                                                      \
        return result;                                                          \
    }
SYNC(fsync)
SYNC(fdatasync)

#define PWRITE(name, offset_t)                                                  \
    ssize_t name(int fd, const void *bytes, size_t length, offset_t at)         \
    {                                                                           \
        ssize_t (*real)(int, const void *, size_t, offset_t) = next(#name);     \
        const char *file = which(fd);                                           \
        if (!file)                                                              \
            return real(fd, bytes, length, at);                                 \
        long number;                                                            \
        pthread_mutex_lock(&order);                                             \
        int error = count(#name, &number);                                \
        ssize_t result = error > 0 ? -1 : real(fd, bytes, error ? length / 2 : length, at); \
        if (*file == 'w')                                                       \
            holds(bytes, length);                                               \
        done(number, #name, file, error > 0 ? "failed" : error ? "short" : "done"); \
        pthread_mutex_unlock(&order);                                           \
        if (error > 0)                                                          \
            errno = error;                                                      \
        return result;                                                          \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define TRUNCATE(name, offset_t)                                                \
    int name(int fd, offset_t length)                                           \
    {                                                                           \
        int (*real)(int, offset_t) = next(#name);                               \
        const char *file = which(fd);                                           \
        if (!file)                                                              \
            return real(fd, length);                                            \
        long number;                                                            \
        pthread_mutex_lock(&order);                                             \
        int error = count(#name, &number);                                \
        int result = error ? -1 : real(fd, length);                             \
        done(number, #name, file, error ? "failed" : "done");                   \
        pthread_mutex_unlock(&order);                                           \
        if (error)                                                              \
            errno = error;                                                      \
        return result;                                                          \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

/* One line for each answer 200 in what leaves, before it leaves. */
static void answers(const char *bytes, size_t length)
{
    static const char ok[] = "HTTP/1.1 200";
    for (const char *at = bytes; (at = memmem(at, length - (size_t)(at - bytes), ok, sizeof ok - 1)); at++) {
        const char *seq = memmem(at, length - (size_t)(at - bytes), "hatfold-seq: ", 13);
        char line[64];
        snprintf(line, sizeof line, "200 %ld\n", seq ? strtol(seq + 13, NULL, 10) : 0L);
        pthread_mutex_lock(&order);
        trace(line);
        pthread_mutex_unlock(&order);
    }
}

ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
    ssize_t (*real)(int, const void *, size_t, int) = next("send");
    answers(bytes, length);
    return real(fd, bytes, length, flags);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    ssize_t (*real)(int, const void *, size_t) = next("write");
    if (length > 12 && !memcmp(bytes, "HTTP/1.1 ", 9))
        answers(bytes, length);
    return real(fd, bytes, length);
}

ssize_t writev(int fd, const struct iovec *parts, int count_of)
{
    ssize_t (*real)(int, const struct iovec *, int) = next("writev");
    for (int i = 0; i < count_of; i++)
        if (parts[i].iov_len > 12 && !memcmp(parts[i].iov_base, "HTTP/1.1 ", 9))
            answers(parts[i].iov_base, parts[i].iov_len);
    return real(fd, parts, count_of);
}
