/* Loopback TCP in a fixed amount, its threads pinned, and over when it is sent.
 *
 * usage: workload MODE PAIRS MIB CHUNK PAUSE_US
 *   cross  pair i sends from CPU i to CPU i + 1: pages are charged on both, and given back on the receiver's
 *   same   sender and receiver share CPU i
 *   rr     like cross, but each chunk is answered by one of the same size
 * Each pair moves MIB one way in chunks of CHUNK bytes. The receiver sleeps PAUSE_US after each read.
 * Whatever happens, the process ends after 120 seconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LIFETIME = 120, PAIRS_MAX = 64, MIB_MAX = 4096, CHUNK_MAX = 1 << 20 };

struct pair {
    int index, sender, receiver;
    long received;
};

static long bytes, chunk, pause_us, cpus;
static int same, answers;
static pthread_barrier_t start;

static void stop(const char *what)
{
    perror(what);
    exit(1);
}

static void pin(long cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu % cpus, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        stop("sched_setaffinity");
}

static void send_all(int socket, const char *data, long left)
{
    while (left > 0) {
        ssize_t sent = send(socket, data, left, MSG_NOSIGNAL);

        if (sent <= 0)
            stop("send");
        data += sent;
        left -= sent;
    }
}

static long receive_all(int socket, char *data, long wanted)
{
    long got = 0;

    while (got < wanted) {
        ssize_t more = recv(socket, data + got, wanted - got, 0);

        if (more < 0)
            stop("recv");
        if (more == 0)
            break;
        got += more;
    }
    return got;
}

static char *buffer(void)
{
    char *data = malloc(chunk);

    if (!data)
        stop("malloc");
    return memset(data, 1, chunk);
}

static void *sender(void *argument)
{
    struct pair *pair = argument;
    char *data = buffer();

    pin(pair->index);
    pthread_barrier_wait(&start);
    for (long sent = 0; sent < bytes; sent += chunk) {
        send_all(pair->sender, data, chunk);
        if (answers && receive_all(pair->sender, data, chunk) < chunk)
            stop("answer");
    }
    shutdown(pair->sender, SHUT_WR);
    return NULL;
}

static void *receiver(void *argument)
{
    struct pair *pair = argument;
    char *data = buffer();
    ssize_t got;

    pin(pair->index + !same);
    pthread_barrier_wait(&start);
    for (;;) {
        got = answers ? receive_all(pair->receiver, data, chunk) : recv(pair->receiver, data, chunk, 0);
        if (got < 0)
            stop("recv");
        if (got == 0)
            return NULL;
        pair->received += got;
        if (answers)
            send_all(pair->receiver, data, chunk);
        if (pause_us)
            usleep(pause_us);
    }
}

static void join(struct pair *pair)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

    if (listener < 0 || bind(listener, (void *)&address, length) || listen(listener, 1) ||
        getsockname(listener, (void *)&address, &length))
        stop("listen");
    pair->sender = socket(AF_INET, SOCK_STREAM, 0);
    if (pair->sender < 0 || connect(pair->sender, (void *)&address, length))
        stop("connect");
    pair->receiver = accept(listener, NULL, NULL);
    if (pair->receiver < 0)
        stop("accept");
    close(listener);
    setsockopt(pair->sender, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(pair->receiver, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static long number(const char *text, long lowest, long highest)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (*text && !*end && lowest <= value && value <= highest)
        return value;
    fprintf(stderr, "workload: %s is not a number from %ld to %ld\n", text, lowest, highest);
    exit(2);
}

int main(int count, char **words)
{
    static struct pair pairs[PAIRS_MAX];
    static pthread_t threads[2 * PAIRS_MAX];
    long received = 0;

    if (count != 6) {
        fprintf(stderr, "usage: workload cross|same|rr PAIRS MIB CHUNK PAUSE_US\n");
        return 2;
    }
    same = !strcmp(words[1], "same");
    answers = !strcmp(words[1], "rr");
    if (!same && !answers && strcmp(words[1], "cross")) {
        fprintf(stderr, "workload: mode %s is none of cross, same, rr\n", words[1]);
        return 2;
    }
    int n = number(words[2], 1, PAIRS_MAX);
    chunk = number(words[4], 1, CHUNK_MAX);
    bytes = (number(words[3], 1, MIB_MAX) << 20) / chunk * chunk;
    pause_us = number(words[5], 0, 1000000);
    cpus = sysconf(_SC_NPROCESSORS_ONLN);
    alarm(LIFETIME);

    pthread_barrier_init(&start, NULL, 2 * n);
    for (int i = 0; i < n; i++) {
        pairs[i].index = i;
        join(&pairs[i]);
    }
    for (int i = 0; i < n; i++)
        if (pthread_create(&threads[2 * i], NULL, sender, &pairs[i]) ||
            pthread_create(&threads[2 * i + 1], NULL, receiver, &pairs[i]))
            stop("pthread_create");
    for (int i = 0; i < 2 * n; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < n; i++)
        received += pairs[i].received;
    printf("workload %s pairs %d chunk %ld received %ld of %ld bytes\n", words[1], n, chunk, received, n * bytes);
    return received != n * bytes;
}
