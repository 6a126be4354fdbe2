/*
 * The fan-out peer: what the same work costs in C over raw Unix sockets.
 *
 *   fanout_raw serve SOCKET SUBSCRIBERS       one producer in, every item out to each subscriber
 *   fanout_raw produce SOCKET ITEMS RATE S    sends the items of a file, paced, RATE a second for S seconds, to any of
 *                                             the servers; the last eight bytes of each become the time it was sent
 *   fanout_raw subscribe SOCKET               reads until the end
 *
 * The server does what the broker's hub does and nothing more: one thread, epoll, an item held once and shared by
 * all subscribers, a bounded ring, and drain-on-ready: when a subscriber's socket takes bytes again, all that is
 * queued for it, up to 16 items or 1 MiB, goes out as one message (length + joined items) in one writev. At the end
 * of the producer it prints its own CPU time and counts as one JSON object. Items in the file and on the wire are
 * 4 bytes of length, little-endian, and that many bytes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { RING = 4096, BATCH_ITEMS = 16, BATCH_BYTES = 1 << 20, MAX_SUBSCRIBERS = 64, READ_BYTES = 1 << 18 };

struct item {
    uint8_t *bytes;
    uint32_t size;
};

struct subscriber {
    int fd;
    int blocked; /* the socket is full; wait for EPOLLOUT */
    uint64_t next;
    uint32_t header;
    struct iovec vectors[BATCH_ITEMS + 1];
    int vector, vectors_used;
    uint64_t delivered, overrun, messages;
};

static struct item ring[RING];
static uint64_t ring_end;
static struct subscriber subscribers[MAX_SUBSCRIBERS];
static int subscriber_count, epoll_fd;

static void die(const char *what) {
    fprintf(stderr, "fanout_raw: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_un address_of(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        die(path);
    }
    strcpy(address.sun_path, path);
    return address;
}

static int dial(const char *path, char role) {
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    for (int tries = 0; connect(fd, (struct sockaddr *)&address, sizeof address); tries++) {
        if (tries == 500) die(path);
        usleep(10000);
    }
    if (write(fd, &role, 1) != 1) die("hello");
    return fd;
}

static void watch(int fd, uint32_t events, uint32_t number, int operation) {
    struct epoll_event event = {.events = events, .data.u32 = number};
    if (epoll_ctl(epoll_fd, operation, fd, &event)) die("epoll_ctl");
}

/* The next message: everything queued, up to the bounds. */
static int load_batch(struct subscriber *s) {
    if (ring_end - s->next > RING / 2) { /* overrun: the ring's older half may go at any time */
        s->overrun += ring_end - RING / 2 - s->next;
        s->next = ring_end - RING / 2;
    }
    s->header = 0;
    s->vectors_used = 1;
    while (s->next < ring_end && s->vectors_used <= BATCH_ITEMS) {
        struct item *item = &ring[s->next % RING];
        if (s->vectors_used > 1 && s->header + item->size > BATCH_BYTES) break;
        s->vectors[s->vectors_used++] = (struct iovec){item->bytes, item->size};
        s->header += item->size;
        s->next++;
        s->delivered++;
    }
    s->vectors[0] = (struct iovec){&s->header, sizeof s->header};
    s->vector = 0;
    s->messages += s->vectors_used > 1;
    return s->vectors_used > 1;
}

static void drain(struct subscriber *s, uint32_t number) {
    for (;;) {
        if (s->vector == s->vectors_used && !load_batch(s)) {
            s->vector = s->vectors_used = 0;
            break;
        }
        ssize_t sent = writev(s->fd, s->vectors + s->vector, s->vectors_used - s->vector);
        if (sent < 0) {
            if (errno != EAGAIN) die("writev");
            if (!s->blocked) watch(s->fd, EPOLLOUT, number, EPOLL_CTL_MOD);
            s->blocked = 1;
            return;
        }
        while (s->vector < s->vectors_used && (size_t)sent >= s->vectors[s->vector].iov_len)
            sent -= s->vectors[s->vector++].iov_len;
        if (s->vector < s->vectors_used) {
            s->vectors[s->vector].iov_base = (char *)s->vectors[s->vector].iov_base + sent;
            s->vectors[s->vector].iov_len -= sent;
        }
    }
    if (s->blocked) watch(s->fd, 0, number, EPOLL_CTL_MOD);
    s->blocked = 0;
}

/* An item that a blocked subscriber's message still points at must not go; no bench load lets that happen. */
static void append(const uint8_t *bytes, uint32_t size) {
    for (int i = 0; i < subscriber_count; i++)
        if (subscribers[i].blocked && ring_end >= subscribers[i].next + RING - BATCH_ITEMS) {
            errno = ETIMEDOUT;
            die("a subscriber stalled");
        }
    struct item *slot = &ring[ring_end % RING];
    free(slot->bytes);
    slot->bytes = malloc(size);
    slot->size = size;
    memcpy(slot->bytes, bytes, size);
    ring_end++;
}

/* Takes whole items out of what was read; returns how many bytes are left over. */
static size_t take_items(uint8_t *buffer, size_t used) {
    size_t at = 0;
    uint32_t size;
    while (used - at >= 4 && (memcpy(&size, buffer + at, 4), used - at - 4 >= size)) {
        append(buffer + at + 4, size);
        at += 4 + size;
    }
    memmove(buffer, buffer + at, used - at);
    return used - at;
}

static void report(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    uint64_t delivered = 0, overrun = 0, messages = 0;
    for (int i = 0; i < subscriber_count; i++) {
        delivered += subscribers[i].delivered;
        overrun += subscribers[i].overrun;
        messages += subscribers[i].messages;
    }
    printf("{\"items\": %llu, \"delivered\": %llu, \"overrun\": %llu, \"messages\": %llu, \"cpu_us\": %.0f}\n",
           (unsigned long long)ring_end, (unsigned long long)delivered, (unsigned long long)overrun,
           (unsigned long long)messages, cpu_us);
}

static void serve(const char *path, int wanted) {
    struct sockaddr_un address = address_of(path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), producer = -1;
    unlink(path);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64)) die(path);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    while (subscriber_count < wanted || producer < 0) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        char role;
        if (fd < 0 || read(fd, &role, 1) != 1) die("accept");
        if (role == 'p') {
            producer = fd;
        } else {
            fcntl(fd, F_SETFL, O_NONBLOCK);
            subscribers[subscriber_count].fd = fd;
            watch(fd, 0, subscriber_count++, EPOLL_CTL_ADD);
        }
    }
    fcntl(producer, F_SETFL, O_NONBLOCK);
    watch(producer, EPOLLIN, MAX_SUBSCRIBERS, EPOLL_CTL_ADD);
    size_t capacity = READ_BYTES + (1 << 24), used = 0;
    uint8_t *buffer = malloc(capacity);
    for (int open = 1; open;) {
        struct epoll_event events[MAX_SUBSCRIBERS + 1];
        int ready = epoll_wait(epoll_fd, events, MAX_SUBSCRIBERS + 1, -1);
        for (int i = 0; i < ready; i++) {
            uint32_t number = events[i].data.u32;
            if (number < MAX_SUBSCRIBERS) {
                drain(&subscribers[number], number);
                continue;
            }
            ssize_t got = read(producer, buffer + used, capacity - used);
            if (got == 0 || (got < 0 && errno != EAGAIN)) open = 0;
            if (got <= 0) continue;
            uint64_t before = ring_end;
            used = take_items(buffer, used + got);
            for (int s = 0; ring_end > before && s < subscriber_count; s++)
                if (!subscribers[s].blocked) drain(&subscribers[s], s);
        }
    }
    report();
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void write_all(int fd, const uint8_t *bytes, size_t size) {
    while (size) {
        ssize_t sent = write(fd, bytes, size);
        if (sent < 0) die("write");
        bytes += sent;
        size -= sent;
    }
}

static void produce(const char *path, const char *items_path, double rate, double seconds) {
    FILE *file = fopen(items_path, "rb");
    if (!file) die(items_path);
    fseek(file, 0, SEEK_END);
    size_t size = ftell(file), at = 0;
    uint8_t *items = malloc(size);
    rewind(file);
    if (size < 4 || fread(items, 1, size, file) != size) die(items_path);
    int fd = dial(path, 'p');
    double started = now_s();
    for (uint64_t n = 0; n < (uint64_t)(rate * seconds); n++) {
        uint32_t length;
        double wait = started + n / rate - now_s();
        if (wait > 0) usleep((useconds_t)(wait * 1e6));
        if (at + 4 > size) at = 0;
        memcpy(&length, items + at, 4);
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        int64_t sent_ns = t.tv_sec * 1000000000LL + t.tv_nsec;
        memcpy(items + at + 4 + length - 8, &sent_ns, 8);
        write_all(fd, items + at, 4 + (size_t)length);
        at += 4 + (size_t)length;
    }
}

static void subscribe(const char *path) {
    static uint8_t buffer[READ_BYTES];
    int fd = dial(path, 's');
    while (read(fd, buffer, sizeof buffer) > 0) {
    }
}

int main(int count, char **words) {
    signal(SIGPIPE, SIG_IGN);
    if (count == 4 && !strcmp(words[1], "serve")) serve(words[2], atoi(words[3]));
    else if (count == 6 && !strcmp(words[1], "produce")) produce(words[2], words[3], atof(words[4]), atof(words[5]));
    else if (count == 3 && !strcmp(words[1], "subscribe")) subscribe(words[2]);
    else {
        fprintf(stderr, "usage: fanout_raw serve SOCKET N | produce SOCKET ITEMS RATE SECONDS | subscribe SOCKET\n");
        return 2;
    }
    return 0;
}
