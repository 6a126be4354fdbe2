/*
 * The fan-out peer in C++ gRPC: what a competent engineer would write first for the same job.
 *
 *   fanout_grpc serve PRODUCER-SOCKET ENDPOINT SUBSCRIBERS BATCH    one producer in, every item out to each subscriber
 *   fanout_grpc subscribe ENDPOINT SECONDS [TOKEN-FILE]             reads one stream, prints what came as one JSON object
 *
 * The server: the asynchronous API with one completion queue and one thread for it, a thread that reads the producer, an
 * item held once as a reference-counted slice that all subscribers share, one multiplexed stream a subscriber, no copy
 * of its own anywhere. BATCH is how many waiting items go into one message: 1 is the plain server, one message a frame;
 * 16 joins what waits when a write completes, slice by slice, as the broker's hub does. A queue is bounded; what does
 * not fit is dropped and counted. At the end of the producer it prints its CPU time and counts as one JSON object.
 *
 * The subscriber is the light reader for any server of StreamFrames, this one and trueframe's: it counts the items of
 * each batch and takes the time that the producer wrote into the last eight bytes of each.
 */
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr const char *kMethod = "/trueframe.v1.BrokerService/StreamFrames";
constexpr size_t kQueueItems = 4096;
constexpr size_t kBatchBytes = 1 << 20;

int64_t NowNs() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

double CpuUs() {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

[[noreturn]] void Die(const char *what) {
    fprintf(stderr, "fanout_grpc: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* One open stream of a subscriber; also the tags of its operations. */
class Stream {
  public:
    Stream(grpc::AsyncGenericService *service, grpc::ServerCompletionQueue *queue, size_t batch)
        : batch_(batch), responder_(&context_) {
        service->RequestCall(&context_, &responder_, queue, queue, this);
    }

    /* The completion queue's thread: the call came, or a write is done. */
    void Complete(bool ok) {
        std::lock_guard<std::mutex> guard(lock_);
        if (!ok) {
            gone_ = true;
            return;
        }
        open_ = true;
        writing_ = false;
        WriteNext();
    }

    /* The producer's thread. */
    void Offer(const grpc::Slice &item) {
        std::lock_guard<std::mutex> guard(lock_);
        if (!open_ || gone_) return;
        if (waiting_.size() >= kQueueItems) {
            ++dropped;
            return;
        }
        waiting_.push_back(item);
        if (!writing_) WriteNext();
    }

    bool open() {
        std::lock_guard<std::mutex> guard(lock_);
        return open_;
    }

    void Cancel() { context_.TryCancel(); }

    bool Idle() {
        std::lock_guard<std::mutex> guard(lock_);
        return gone_ || (!writing_ && waiting_.empty());
    }

    uint64_t delivered = 0, dropped = 0, messages = 0;

  private:
    void WriteNext() {
        if (waiting_.empty()) return;
        std::vector<grpc::Slice> slices;
        size_t size = 0;
        while (!waiting_.empty() && slices.size() < batch_) {
            if (!slices.empty() && size + waiting_.front().size() > kBatchBytes) break;
            size += waiting_.front().size();
            slices.push_back(std::move(waiting_.front()));
            waiting_.pop_front();
        }
        delivered += slices.size();
        ++messages;
        writing_ = true;
        responder_.Write(grpc::ByteBuffer(slices.data(), slices.size()), this);
    }

    const size_t batch_;
    grpc::GenericServerContext context_;
    grpc::GenericServerAsyncReaderWriter responder_;
    std::mutex lock_;
    std::deque<grpc::Slice> waiting_;
    bool open_ = false, writing_ = false, gone_ = false;
};

int Accept(const char *path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        Die(path);
    }
    strcpy(address.sun_path, path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(path);
    if (bind(listener, reinterpret_cast<sockaddr *>(&address), sizeof address) || listen(listener, 4)) Die(path);
    int fd = accept(listener, nullptr, nullptr);
    char role;
    if (fd < 0 || read(fd, &role, 1) != 1) Die("accept");
    close(listener);
    return fd;
}

void Serve(const char *producer_path, const char *endpoint, size_t subscribers, size_t batch) {
    grpc::AsyncGenericService service;
    grpc::ServerBuilder builder;
    builder.AddListeningPort(endpoint, grpc::InsecureServerCredentials());
    builder.RegisterAsyncGenericService(&service);
    auto queue = builder.AddCompletionQueue();
    auto server = builder.BuildAndStart();
    if (!server) Die(endpoint);
    std::vector<std::unique_ptr<Stream>> streams;
    for (size_t i = 0; i < subscribers; ++i) streams.push_back(std::make_unique<Stream>(&service, queue.get(), batch));
    std::thread completions([&queue] {
        void *tag;
        bool ok;
        while (queue->Next(&tag, &ok)) static_cast<Stream *>(tag)->Complete(ok);
    });
    int fd = Accept(producer_path);
    for (auto &stream : streams)
        while (!stream->open()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const double cpu_us = CpuUs();
    std::vector<uint8_t> buffer((1 << 18) + (1 << 24));
    size_t used = 0;
    uint64_t items = 0;
    for (;;) {
        ssize_t got = read(fd, buffer.data() + used, 1 << 18);
        if (got <= 0) break;
        used += got;
        size_t at = 0;
        uint32_t size;
        while (used - at >= 4 && (memcpy(&size, &buffer[at], 4), used - at - 4 >= size)) {
            grpc::Slice item(&buffer[at + 4], size);
            for (auto &stream : streams) stream->Offer(item);
            at += 4 + size;
            ++items;
        }
        memmove(buffer.data(), buffer.data() + at, used - at);
        used -= at;
    }
    for (auto &stream : streams)
        for (int tries = 0; !stream->Idle() && tries < 2000; ++tries)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const double spent_us = CpuUs() - cpu_us;
    uint64_t delivered = 0, dropped = 0, messages = 0;
    for (auto &stream : streams) {
        delivered += stream->delivered;
        dropped += stream->dropped;
        messages += stream->messages;
        stream->Cancel();
    }
    printf("{\"items\": %llu, \"delivered\": %llu, \"dropped\": %llu, \"messages\": %llu, \"cpu_us\": %.0f}\n",
           (unsigned long long)items, (unsigned long long)delivered, (unsigned long long)dropped,
           (unsigned long long)messages, spent_us);
    fflush(stdout);
    server->Shutdown(std::chrono::system_clock::now());
    queue->Shutdown();
    completions.join();
}

/* Counts the items of one batch and notes how old each is. */
void TakeBatch(const uint8_t *bytes, size_t size, int64_t now_ns, uint64_t *items, std::vector<int64_t> *ages) {
    size_t at = 0;
    while (at < size) {
        uint64_t length = 0;
        int shift = 0;
        ++at; /* the tag of field 1 */
        do {
            length |= uint64_t(bytes[at] & 0x7f) << shift;
            shift += 7;
        } while (bytes[at++] & 0x80);
        at += length;
        /* Begins and ends of epochs are shorter than any frame of a load. */
        if (length < 1000) continue;
        int64_t sent_ns;
        memcpy(&sent_ns, bytes + at - 8, 8);
        ++*items;
        ages->push_back(now_ns - sent_ns);
    }
}

void Subscribe(const char *endpoint, double seconds, const char *token_file) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(64 << 20);
    auto channel = grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments);
    grpc::GenericStub stub(channel);
    grpc::CompletionQueue queue;
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    if (token_file) {
        std::string token;
        std::ifstream(token_file) >> token;
        context.AddMetadata("authorization", "Bearer " + token);
    }
    auto call = stub.PrepareCall(&context, kMethod, &queue);
    void *tag;
    bool ok = false;
    call->StartCall(nullptr);
    if (!queue.Next(&tag, &ok) || !ok) exit(1);
    const char request[] = {0x10, 1, 0x2a, 5, 'b', 'e', 'n', 'c', 'h'}; /* all_cameras, subscriber */
    grpc::Slice slice(request, sizeof request);
    call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    if (!queue.Next(&tag, &ok) || !ok) exit(1);
    uint64_t items = 0, messages = 0, bytes = 0;
    std::vector<int64_t> ages;
    ages.reserve(1 << 20);
    grpc::ByteBuffer message;
    const auto deadline = std::chrono::system_clock::now() + std::chrono::milliseconds(int64_t(seconds * 1000));
    call->Read(&message, nullptr);
    while (queue.AsyncNext(&tag, &ok, deadline) == grpc::CompletionQueue::GOT_EVENT && ok) {
        grpc::Slice whole;
        if (!message.DumpToSingleSlice(&whole).ok()) exit(1);
        TakeBatch(whole.begin(), whole.size(), NowNs(), &items, &ages);
        bytes += whole.size();
        ++messages;
        call->Read(&message, nullptr);
    }
    std::sort(ages.begin(), ages.end());
    const auto at = [&ages](double share) {
        return ages.empty() ? 0.0 : ages[std::min(ages.size() - 1, size_t(ages.size() * share))] / 1e6;
    };
    printf("{\"items\": %llu, \"messages\": %llu, \"bytes\": %llu, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"cpu_us\": %.0f}\n",
           (unsigned long long)items, (unsigned long long)messages, (unsigned long long)bytes, at(0.5), at(0.99), CpuUs());
    fflush(stdout);
    _exit(0); /* the stream may still be open; there is nothing to say good-bye for */
}

}  // namespace

int main(int count, char **words) {
    if (count == 6 && !strcmp(words[1], "serve")) Serve(words[2], words[3], atoi(words[4]), atoi(words[5]));
    else if ((count == 4 || count == 5) && !strcmp(words[1], "subscribe"))
        Subscribe(words[2], atof(words[3]), count == 5 ? words[4] : nullptr);
    else {
        fprintf(stderr, "usage: fanout_grpc serve SOCKET ENDPOINT N BATCH | subscribe ENDPOINT SECONDS [TOKEN-FILE]\n");
        return 2;
    }
    return 0;
}
