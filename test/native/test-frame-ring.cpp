#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frame-ring-platform.h"
#include "rings.hpp"

using namespace allaprima::testing;

namespace {

constexpr int PATIENCE_MS = 30'000;

/** The hello of a side, as it lies in the message: another version's may be of another length. */
using Hello = std::array<std::uint64_t, 8>;

constexpr std::uint64_t WRITER = 1, READER = 2;

Hello helloOf(
	std::uint64_t role, std::uint64_t version = FRAME_RING_ABI_VERSION, std::uint64_t generation = 1
) {
	return {FRAME_RING_MAGIC, version | role << 32, 0, generation};
}

struct Pair {
	Pair() { REQUIRE(frame_ring_pair(ends) == FRAME_RING_OK); }
	frame_ring_handle ends[2];
};

/** A writer with the thread that serves its readers. */
class Writer {
public:
	explicit Writer(std::uint32_t slotCount = 4, std::uint64_t payloadBytesMax = MarkedPicture::BYTES) {
		REQUIRE(frame_ring_writer_create(slotCount, payloadBytesMax, &ring) == FRAME_RING_OK);
		serving_ = std::thread([this] {
			while (frame_ring_writer_serve(ring, -1) != FRAME_RING_INTERRUPTED) continue;
		});
	}
	Writer(const Writer&) = delete;
	Writer& operator=(const Writer&) = delete;
	~Writer() { close(); }

	void close() {
		if (!ring) return;
		frame_ring_writer_interrupt(ring);
		serving_.join();
		frame_ring_writer_close(ring);
		ring = nullptr;
	}

	std::uint32_t write(std::uint64_t sequence) {
		const frame_ring_frame frame = picture_.mark(sequence);
		std::uint32_t slot = 99;
		REQUIRE(frame_ring_writer_write(ring, &frame, picture_.words.data(), &slot) == FRAME_RING_OK);
		return slot;
	}

	void awaitReaders(std::uint32_t count) const {
		const std::int64_t untilUs = frame_ring_now_us() + PATIENCE_MS * 1000;
		while (frame_ring_writer_reader_count(ring) != count) {
			if (frame_ring_now_us() > untilUs)
				FAIL("readers: ", frame_ring_writer_reader_count(ring), ", and not ", count);
			std::this_thread::yield();
		}
	}

	frame_ring_writer* ring = nullptr;

private:
	MarkedPicture picture_;
	std::thread serving_;
};

struct Reader {
	explicit Reader(frame_ring_handle end) { REQUIRE(frame_ring_reader_adopt(end, &ring) == FRAME_RING_OK); }
	explicit Reader(const std::string& path) {
		REQUIRE(frame_ring_reader_connect(path.c_str(), &ring) == FRAME_RING_OK);
	}
	explicit Reader(Writer& writer) {
		const Pair pair;
		REQUIRE(frame_ring_writer_adopt(writer.ring, pair.ends[0]) == FRAME_RING_OK);
		REQUIRE(frame_ring_reader_adopt(pair.ends[1], &ring) == FRAME_RING_OK);
		REQUIRE(open() == FRAME_RING_OK);
	}
	Reader(const Reader&) = delete;
	Reader& operator=(const Reader&) = delete;
	~Reader() { frame_ring_reader_close(ring); }

	frame_ring_status open() { return frame_ring_reader_open(ring, PATIENCE_MS); }
	frame_ring_status wait(int timeoutMs = PATIENCE_MS) { return frame_ring_reader_wait(ring, timeoutMs); }
	frame_ring_status read() {
		return frame_ring_read_newest(ring, picture.words.data(), MarkedPicture::BYTES, &taken);
	}
	frame_ring_status readSlot(std::uint32_t slot, std::uint64_t sequence) {
		return frame_ring_read_slot(ring, slot, sequence, picture.words.data(), MarkedPicture::BYTES, &taken);
	}
	bool isWhole() const { return picture.isWhole(taken.frame.sequence); }

	frame_ring_reader* ring = nullptr;
	frame_ring_taken taken{};
	MarkedPicture picture;
};

/** A folder of this test alone. */
struct Folder {
	Folder() {
		std::string name = (std::filesystem::temp_directory_path() / "frame-ring-XXXXXX").string();
		REQUIRE(mkdtemp(name.data()) != nullptr);
		path = name;
	}
	Folder(const Folder&) = delete;
	Folder& operator=(const Folder&) = delete;
	~Folder() { std::filesystem::remove_all(path); }
	std::filesystem::path path;
};

/** One side spoken by hand. */
void sendRaw(
	frame_ring_handle channel,
	const void* message,
	std::size_t bytes,
	const frame_ring_memory* memory = nullptr
) {
	REQUIRE(frame_ring_send(channel, message, bytes, memory) == FRAME_RING_OK);
}

Hello receiveHello(frame_ring_handle channel, frame_ring_handle* memory = nullptr) {
	frame_ring_poll_entry entry{channel, false};
	REQUIRE(frame_ring_poll(&entry, 1, frame_ring_now_us() + PATIENCE_MS * 1000) == FRAME_RING_OK);
	Hello hello{};
	std::size_t bytes = sizeof hello;
	REQUIRE(frame_ring_receive(channel, hello.data(), &bytes, memory) == FRAME_RING_OK);
	REQUIRE(bytes == sizeof hello);
	return hello;
}

bool isClosed(frame_ring_handle channel) {
	frame_ring_poll_entry entry{channel, false};
	if (frame_ring_poll(&entry, 1, frame_ring_now_us() + PATIENCE_MS * 1000) != FRAME_RING_OK) return false;
	Hello hello{};
	std::size_t bytes = sizeof hello;
	return frame_ring_receive(channel, hello.data(), &bytes, nullptr) == FRAME_RING_PEER_GONE;
}

/** A process that does `work` and then waits to be killed. */
template <typename Work>
pid_t processOf(Work work) {
	const pid_t process = fork();
	REQUIRE(process >= 0);
	if (process == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); // a test that fails leaves none behind
		work();
		for (;;) pause();
	}
	return process;
}

void killAndBury(pid_t process) {
	REQUIRE(kill(process, SIGKILL) == 0);
	int status = 0;
	REQUIRE(waitpid(process, &status, 0) == process);
}

/** In a process of its own: a ring with one reader at the other end of the pair. */
frame_ring_writer* writerFor(frame_ring_handle end) {
	frame_ring_writer* writer = nullptr;
	if (frame_ring_writer_create(4, MarkedPicture::BYTES, &writer) != FRAME_RING_OK) _exit(1);
	if (frame_ring_writer_adopt(writer, end) != FRAME_RING_OK) _exit(1);
	while (frame_ring_writer_reader_count(writer) == 0) frame_ring_writer_serve(writer, 1);
	return writer;
}

void writeFrom(frame_ring_writer* writer, MarkedPicture& picture, std::uint64_t sequence) {
	const frame_ring_frame frame = picture.mark(sequence);
	if (frame_ring_writer_write(writer, &frame, picture.words.data(), nullptr) != FRAME_RING_OK) _exit(1);
}

}

TEST_CASE("an end is passed to a process that runs already: what comes after it is told there") {
	Pair channel, ends;
	frame_ring_handle taken = 0;
	CHECK(frame_ring_take(channel.ends[1], &taken) == FRAME_RING_NO_FRAME);
	CHECK(frame_ring_pass(channel.ends[0], -1) == FRAME_RING_BAD_ARGUMENT);
	REQUIRE(frame_ring_pass(channel.ends[0], ends.ends[0]) == FRAME_RING_OK);
	REQUIRE(frame_ring_take(channel.ends[1], &taken) == FRAME_RING_OK);
	CHECK(taken != ends.ends[0]);
	close(static_cast<int>(ends.ends[0]));
	char word = 'x';
	REQUIRE(write(static_cast<int>(taken), &word, 1) == 1);
	CHECK(read(static_cast<int>(ends.ends[1]), &word, 1) == 1);
	close(static_cast<int>(taken));
	CHECK(read(static_cast<int>(ends.ends[1]), &word, 1) == 0); // nobody has it any more

	SUBCASE("what is no end is refused") {
		for (const char* message : {"E", "longer"}) {
			REQUIRE(write(static_cast<int>(channel.ends[0]), message, strlen(message)) > 0);
			CHECK(frame_ring_take(channel.ends[1], &taken) == FRAME_RING_BAD_HEADER);
			CHECK(taken == -1);
		}
	}
	SUBCASE("one that is gone takes none") {
		close(static_cast<int>(channel.ends[1]));
		CHECK(frame_ring_pass(channel.ends[0], ends.ends[1]) == FRAME_RING_PEER_GONE);
		channel.ends[1] = -1;
	}
	for (const frame_ring_handle end : {channel.ends[0], channel.ends[1], ends.ends[1]})
		if (end >= 0) close(static_cast<int>(end));
}

TEST_CASE("pictures go from a writer to several readers, each at its own pace") {
	const Folder folder;
	const std::string path = folder.path / "ring";
	Writer writer;
	REQUIRE(frame_ring_writer_listen(writer.ring, path.c_str()) == FRAME_RING_OK);
	Reader fast(path), slow(path);
	REQUIRE(fast.open() == FRAME_RING_OK);
	REQUIRE(slow.open() == FRAME_RING_OK);
	CHECK(frame_ring_reader_slot_count(fast.ring) == 4);
	CHECK(frame_ring_reader_payload_bytes_max(fast.ring) == MarkedPicture::BYTES);
	CHECK(frame_ring_reader_generation(fast.ring) == frame_ring_reader_generation(slow.ring));
	CHECK(fast.wait(0) == FRAME_RING_TIMEOUT);
	for (std::uint64_t sequence = 10; sequence < 20; ++sequence) {
		const std::uint32_t slot = writer.write(sequence);
		REQUIRE(fast.wait() == FRAME_RING_OK);
		REQUIRE(fast.read() == FRAME_RING_OK);
		CHECK(fast.taken.frame.sequence == sequence);
		CHECK(fast.taken.slot == slot);
		CHECK(fast.taken.missed == 0);
		CHECK(fast.isWhole());
	}
	REQUIRE(slow.wait() == FRAME_RING_OK);
	REQUIRE(slow.read() == FRAME_RING_OK);
	CHECK(slow.taken.frame.sequence == 19);
	CHECK(slow.taken.missed == 9);
	CHECK(slow.isWhole());
	CHECK(slow.wait(0) == FRAME_RING_TIMEOUT);

	const std::uint32_t slot = writer.write(20);
	CHECK(slow.readSlot(slot, 20) == FRAME_RING_OK);
	CHECK(slow.isWhole());
	CHECK(slow.readSlot(slot, 16) == FRAME_RING_NO_FRAME);
}

TEST_CASE("a reader that comes late gets the newest picture at once") {
	Writer writer;
	writer.write(1);
	writer.write(2);
	Reader reader(writer);
	REQUIRE(reader.wait() == FRAME_RING_OK);
	REQUIRE(reader.read() == FRAME_RING_OK);
	CHECK(reader.taken.frame.sequence == 2);
	CHECK(reader.taken.missed == 0);
}

TEST_CASE("a reader that comes after something wrote over the header is served as the others") {
	Writer writer;
	Reader early(writer);
	std::ifstream maps("/proc/self/maps");
	for (std::string line; std::getline(maps, line);) {
		if (line.find(" rw-s ") == line.npos || line.find("/memfd:frame-ring") == line.npos) continue;
		std::memset(reinterpret_cast<void*>(std::stoul(line, nullptr, 16)), 0xFF, 192);
	}
	Reader late(writer);
	writer.write(1);
	for (Reader* reader : {&early, &late}) {
		while (reader->read() != FRAME_RING_OK) REQUIRE(reader->wait() == FRAME_RING_OK);
		CHECK(reader->isWhole());
	}
}

TEST_CASE("a reader that never listens costs the writer nothing, and then gets the newest") {
	Writer writer;
	Reader deaf(writer), alert(writer);
	for (std::uint64_t sequence = 1; sequence <= 5000; ++sequence) writer.write(sequence);
	REQUIRE(deaf.wait() == FRAME_RING_OK);
	REQUIRE(deaf.read() == FRAME_RING_OK);
	CHECK(deaf.taken.frame.sequence == 5000);
	CHECK(deaf.wait(0) == FRAME_RING_TIMEOUT);
}

TEST_CASE("a picture wakes a reader that sleeps, and so does an interruption, for good") {
	Writer writer;
	Reader reader(writer);
	std::atomic<int> woken = 0;
	std::thread sleeper([&] {
		REQUIRE(reader.wait(-1) == FRAME_RING_OK);
		REQUIRE(reader.read() == FRAME_RING_OK);
		woken = 1;
		woken.notify_one();
		REQUIRE(reader.wait(-1) == FRAME_RING_INTERRUPTED);
		REQUIRE(reader.wait(-1) == FRAME_RING_INTERRUPTED);
	});
	writer.write(1);
	woken.wait(0);
	frame_ring_reader_interrupt(reader.ring);
	sleeper.join();
}

TEST_CASE("a ring that is closed ends its readers, after the last picture") {
	Writer writer;
	Reader reader(writer);
	writer.write(1);
	writer.close();
	REQUIRE(reader.wait() == FRAME_RING_OK);
	CHECK(reader.read() == FRAME_RING_OK);
	CHECK(reader.wait() == FRAME_RING_ENDED);
	CHECK(reader.read() == FRAME_RING_NO_FRAME);
	CHECK(reader.isWhole());
}

TEST_CASE("readers come and go, and as many as may are served") {
	Writer writer;
	for (int round = 0; round < 3; ++round) {
		std::vector<std::unique_ptr<Reader>> readers;
		for (std::uint32_t i = 0; i < FRAME_RING_READERS_MAX; ++i)
			readers.push_back(std::make_unique<Reader>(writer));
		writer.awaitReaders(FRAME_RING_READERS_MAX);
		const Pair pair;
		REQUIRE(frame_ring_writer_adopt(writer.ring, pair.ends[0]) == FRAME_RING_OK);
		Reader surplus(pair.ends[1]);
		CHECK(surplus.open() == FRAME_RING_TOO_MANY_READERS);
		const auto sequence = static_cast<std::uint64_t>(round);
		writer.write(sequence);
		for (const auto& reader : readers) {
			REQUIRE(reader->wait() == FRAME_RING_OK);
			REQUIRE(reader->read() == FRAME_RING_OK);
			CHECK(reader->taken.frame.sequence == sequence);
		}
		readers.clear();
		writer.awaitReaders(0);
	}
}

TEST_CASE("a path is this user's alone, is left as it was found, and is taken over from the dead") {
	const Folder folder;
	const std::string path = folder.path / "ring";
	{
		Writer writer, other;
		REQUIRE(frame_ring_writer_listen(writer.ring, path.c_str()) == FRAME_RING_OK);
		CHECK(frame_ring_writer_listen(writer.ring, path.c_str()) == FRAME_RING_BAD_ARGUMENT);
		CHECK(frame_ring_writer_listen(other.ring, path.c_str()) == FRAME_RING_PATH_IN_USE);
		const auto mode = std::filesystem::status(path).permissions();
		CHECK(mode == (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
	}
	CHECK_FALSE(std::filesystem::exists(path));
	frame_ring_reader* none = nullptr;
	CHECK(frame_ring_reader_connect(path.c_str(), &none) == FRAME_RING_NOBODY_THERE);

	const pid_t dead = processOf([&] {
		frame_ring_writer* writer = nullptr;
		if (frame_ring_writer_create(4, 64, &writer) != FRAME_RING_OK) _exit(1);
		if (frame_ring_writer_listen(writer, path.c_str()) != FRAME_RING_OK) _exit(1);
	});
	while (!std::filesystem::exists(path)) std::this_thread::yield();
	killAndBury(dead);
	CHECK(frame_ring_reader_connect(path.c_str(), &none) == FRAME_RING_NOBODY_THERE);
	Writer writer;
	CHECK(frame_ring_writer_listen(writer.ring, path.c_str()) == FRAME_RING_OK);

	Writer lost;
	CHECK(frame_ring_writer_listen(lost.ring, (folder.path / "none" / "ring").c_str()) == FRAME_RING_SYSTEM);
	CHECK(frame_ring_writer_listen(lost.ring, std::string(200, 'x').c_str()) == FRAME_RING_BAD_ARGUMENT);
	CHECK(frame_ring_writer_listen(lost.ring, folder.path.c_str()) == FRAME_RING_PATH_IN_USE);
}

TEST_CASE("a writer that speaks another version, or nothing that makes sense, is told apart") {
	const Pair pair;
	Reader reader(pair.ends[0]);
	CHECK(receiveHello(pair.ends[1]) == helloOf(READER, FRAME_RING_ABI_VERSION, 0));
	SUBCASE("another version") {
		const Hello hello = helloOf(WRITER, 2);
		sendRaw(pair.ends[1], hello.data(), sizeof hello);
		CHECK(reader.open() == FRAME_RING_OTHER_VERSION);
	}
	SUBCASE("another version with a longer hello") {
		std::array<std::uint64_t, 20> hello{FRAME_RING_MAGIC, 7};
		sendRaw(pair.ends[1], hello.data(), sizeof hello);
		CHECK(reader.open() == FRAME_RING_OTHER_VERSION);
	}
	SUBCASE("a reader") {
		const Hello hello = helloOf(READER);
		sendRaw(pair.ends[1], hello.data(), sizeof hello);
		CHECK(reader.open() == FRAME_RING_BAD_HEADER);
	}
	SUBCASE("too short") {
		const Hello hello = helloOf(WRITER);
		sendRaw(pair.ends[1], hello.data(), 11);
		CHECK(reader.open() == FRAME_RING_BAD_HEADER);
	}
	SUBCASE("noise") {
		sendRaw(pair.ends[1], "GET / HTTP/1.1\r\n\r\n", 18);
		CHECK(reader.open() == FRAME_RING_BAD_HEADER);
	}
	SUBCASE("no memory") {
		const Hello hello = helloOf(WRITER);
		sendRaw(pair.ends[1], hello.data(), sizeof hello);
		CHECK(reader.open() == FRAME_RING_BAD_HEADER);
	}
	SUBCASE("silence") {
		CHECK(frame_ring_reader_open(reader.ring, 1) == FRAME_RING_TIMEOUT);
	}
	SUBCASE("death") {
		frame_ring_channel_close(pair.ends[1]);
		CHECK(reader.open() == FRAME_RING_PEER_GONE);
		return;
	}
	SUBCASE("an interruption") {
		frame_ring_reader_interrupt(reader.ring);
		CHECK(reader.open() == FRAME_RING_INTERRUPTED);
	}
	CHECK(reader.wait() == FRAME_RING_BAD_ARGUMENT);
	CHECK(reader.read() == FRAME_RING_BAD_ARGUMENT);
	frame_ring_channel_close(pair.ends[1]);
}

TEST_CASE("memory that could change its size, or holds no ring, is not mapped") {
	const Pair pair;
	Reader reader(pair.ends[0]);
	const auto offer = [&](int fd, std::uint64_t generation = 1) {
		const frame_ring_memory memory{nullptr, 0, fd};
		const Hello words = helloOf(WRITER, FRAME_RING_ABI_VERSION, generation);
		sendRaw(pair.ends[1], words.data(), sizeof words, &memory);
		close(fd);
		return reader.open();
	};
	const auto sealed = [](std::uint64_t bytes, const OwnedSlots& content) {
		const int fd = memfd_create("test", MFD_ALLOW_SEALING);
		REQUIRE(write(fd, content.memory.get(), bytes) == static_cast<ssize_t>(bytes));
		REQUIRE(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
		return fd;
	};
	OwnedSlots ring(4, 64);
	SUBCASE("a ring without seals") {
		const int fd = memfd_create("test", MFD_ALLOW_SEALING);
		REQUIRE(write(fd, ring.memory.get(), ring.bytes) == static_cast<ssize_t>(ring.bytes));
		CHECK(offer(fd) == FRAME_RING_NOT_SEALED);
	}
	SUBCASE("a seal too few") {
		const int fd = memfd_create("test", MFD_ALLOW_SEALING);
		REQUIRE(write(fd, ring.memory.get(), ring.bytes) == static_cast<ssize_t>(ring.bytes));
		REQUIRE(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SEAL) == 0);
		CHECK(offer(fd) == FRAME_RING_NOT_SEALED);
	}
	SUBCASE("a file") {
		const Folder folder;
		const int fd = open((folder.path / "file").c_str(), O_CREAT | O_RDWR, 0600);
		REQUIRE(write(fd, ring.memory.get(), ring.bytes) == static_cast<ssize_t>(ring.bytes));
		CHECK(offer(fd) == FRAME_RING_NOT_SEALED);
	}
	SUBCASE("a folder") {
		CHECK(offer(open("/", O_RDONLY | O_DIRECTORY)) == FRAME_RING_NOT_SEALED);
	}
	SUBCASE("a part of a ring") {
		CHECK(offer(sealed(ring.bytes - 1, ring)) == FRAME_RING_BAD_HEADER);
	}
	SUBCASE("nothing") {
		CHECK(offer(sealed(0, ring)) == FRAME_RING_BAD_HEADER);
	}
	SUBCASE("another ring than the one announced") {
		CHECK(offer(sealed(ring.bytes, ring), 2) == FRAME_RING_BAD_HEADER);
	}
	SUBCASE("a header of nonsense") {
		ring.header().geometry.slot_count = 3;
		CHECK(offer(sealed(ring.bytes, ring)) == FRAME_RING_BAD_HEADER);
	}
	SUBCASE("a header of another version") {
		ring.header().geometry.abi_version = 2;
		CHECK(offer(sealed(ring.bytes, ring)) == FRAME_RING_OTHER_VERSION);
	}
	SUBCASE("and a sound one is") {
		CHECK(offer(sealed(ring.bytes, ring)) == FRAME_RING_OK);
	}
	frame_ring_channel_close(pair.ends[1]);
}

TEST_CASE("nobody can cut the memory short, make it longer, or write to it but the writer") {
	Writer writer;
	const Pair pair;
	REQUIRE(frame_ring_writer_adopt(writer.ring, pair.ends[0]) == FRAME_RING_OK);
	const Hello hello = helloOf(READER);
	sendRaw(pair.ends[1], hello.data(), sizeof hello);
	frame_ring_handle memory = FRAME_RING_NO_HANDLE;
	CHECK(receiveHello(pair.ends[1], &memory)[1] == (FRAME_RING_ABI_VERSION | WRITER << 32));
	REQUIRE(memory != FRAME_RING_NO_HANDLE);
	const int fd = static_cast<int>(memory);
	struct stat file{};
	REQUIRE(fstat(fd, &file) == 0);
	CHECK(ftruncate(fd, 0) == -1);
	CHECK(errno == EPERM);
	CHECK(ftruncate(fd, file.st_size + 1) == -1);
	CHECK(errno == EPERM);
	CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1);
	CHECK(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	CHECK(pwrite(fd, "x", 1, 0) == -1);
	close(fd);
	frame_ring_channel_close(pair.ends[1]);
}

TEST_CASE("a writer sends off who speaks another version or talks too much, and serves the others") {
	Writer writer;
	Reader reader(writer);
	const Pair pair;
	REQUIRE(frame_ring_writer_adopt(writer.ring, pair.ends[0]) == FRAME_RING_OK);
	SUBCASE("another version, which is told this one") {
		const Hello hello = helloOf(READER, 2);
		sendRaw(pair.ends[1], hello.data(), sizeof hello);
		frame_ring_handle memory = FRAME_RING_NO_HANDLE;
		const Hello answer = receiveHello(pair.ends[1], &memory);
		CHECK(answer[0] == FRAME_RING_MAGIC);
		CHECK(static_cast<std::uint32_t>(answer[1]) == FRAME_RING_ABI_VERSION);
		CHECK(static_cast<std::uint32_t>(answer[2]) == FRAME_RING_OTHER_VERSION);
		CHECK(memory == FRAME_RING_NO_HANDLE);
	}
	SUBCASE("another word after the hello") {
		const Hello hello = helloOf(READER);
		sendRaw(pair.ends[1], hello.data(), sizeof hello);
		receiveHello(pair.ends[1]);
		writer.awaitReaders(2);
		sendRaw(pair.ends[1], hello.data(), sizeof hello);
	}
	SUBCASE("silence") {}
	CHECK(isClosed(pair.ends[1]));
	frame_ring_channel_close(pair.ends[1]);
	writer.awaitReaders(1);
	writer.write(5);
	REQUIRE(reader.wait() == FRAME_RING_OK);
	CHECK(reader.read() == FRAME_RING_OK);
}

TEST_CASE("only an end of a pair is adopted") {
	Writer writer;
	frame_ring_reader* none = nullptr;
	int ends[2];
	REQUIRE(pipe(ends) == 0);
	CHECK(frame_ring_writer_adopt(writer.ring, ends[0]) == FRAME_RING_BAD_ARGUMENT);
	CHECK(frame_ring_reader_adopt(ends[1], &none) == FRAME_RING_BAD_ARGUMENT);
	CHECK(frame_ring_writer_adopt(writer.ring, -1) == FRAME_RING_BAD_ARGUMENT);
	CHECK(frame_ring_reader_adopt(1'000'000, &none) == FRAME_RING_BAD_ARGUMENT);
	CHECK(close(ends[0]) == 0);
	CHECK(close(ends[1]) == 0);
}

TEST_CASE("a writer is asked in turn and within its slots, or says so") {
	frame_ring_writer* none = nullptr;
	CHECK(frame_ring_writer_create(3, 64, &none) == FRAME_RING_BAD_ARGUMENT);
	CHECK(frame_ring_writer_create(4, 0, &none) == FRAME_RING_BAD_ARGUMENT);
	frame_ring_writer_close(nullptr);
	frame_ring_reader_close(nullptr);

	Writer writer(4, 300);
	Reader reader(writer);
	const std::vector<std::uint8_t> pixels(300);
	frame_ring_frame frame = frameOf(1, FRAME_RING_RGB, 10, 10);
	CHECK(frame_ring_writer_put(writer.ring, 0, pixels.data(), 1) == FRAME_RING_BAD_ARGUMENT);
	CHECK(frame_ring_writer_commit(writer.ring, &frame, nullptr) == FRAME_RING_BAD_ARGUMENT);
	frame_ring_writer_begin(writer.ring);
	CHECK(frame_ring_writer_put(writer.ring, 1, pixels.data(), 300) == FRAME_RING_BAD_ARGUMENT);
	CHECK(frame_ring_writer_put(writer.ring, ~std::uint64_t{0}, pixels.data(), 2) == FRAME_RING_BAD_ARGUMENT);
	CHECK(frame_ring_writer_put(writer.ring, 299, pixels.data(), 1) == FRAME_RING_OK);
	frame.width = 11;
	CHECK(frame_ring_writer_commit(writer.ring, &frame, nullptr) == FRAME_RING_BAD_FRAME);
	CHECK(frame_ring_writer_write(writer.ring, &frame, pixels.data(), nullptr) == FRAME_RING_BAD_FRAME);
	CHECK(reader.wait(0) == FRAME_RING_TIMEOUT);
	frame.width = 10;
	CHECK(frame_ring_writer_commit(writer.ring, &frame, nullptr) == FRAME_RING_OK);
	CHECK(reader.wait(0) == FRAME_RING_OK);
}

TEST_CASE("a writer killed inside a write leaves the picture before, and its death wakes the reader") {
	const Pair pair;
	int begun[2];
	REQUIRE(pipe(begun) == 0);
	const pid_t process = processOf([&] {
		close(static_cast<int>(pair.ends[1]));
		frame_ring_writer* writer = writerFor(pair.ends[0]);
		MarkedPicture picture;
		for (std::uint64_t sequence = 1; sequence <= 6; ++sequence) writeFrom(writer, picture, sequence);
		picture.mark(7);
		frame_ring_writer_begin(writer);
		frame_ring_writer_put(writer, 0, picture.words.data(), MarkedPicture::BYTES / 2);
		if (write(begun[1], "x", 1) != 1) _exit(1);
	});
	frame_ring_channel_close(pair.ends[0]);
	Reader reader(pair.ends[1]);
	REQUIRE(reader.open() == FRAME_RING_OK);
	char byte = 0;
	REQUIRE(read(begun[0], &byte, 1) == 1);
	REQUIRE(reader.wait() == FRAME_RING_OK);
	REQUIRE(reader.read() == FRAME_RING_OK);
	CHECK(reader.taken.frame.sequence == 6);

	killAndBury(process);
	CHECK(reader.wait() == FRAME_RING_PEER_GONE);
	CHECK(reader.wait() == FRAME_RING_PEER_GONE);
	CHECK(reader.readSlot(7 % 4, 3) == FRAME_RING_NO_FRAME); // half of 7 is over it
	CHECK(reader.readSlot(7 % 4, 7) == FRAME_RING_NO_FRAME);
	CHECK(reader.readSlot(6 % 4, 6) == FRAME_RING_OK);
	CHECK(reader.isWhole());
	close(begun[0]);
	close(begun[1]);
}

TEST_CASE("a process that writes at full speed and is killed at any moment never shows a torn picture") {
	std::uint64_t count = 0;
	for (std::uint64_t round = 1; round <= 5; ++round) {
		const Pair pair;
		const pid_t process = processOf([&] {
			close(static_cast<int>(pair.ends[1]));
			frame_ring_writer* writer = writerFor(pair.ends[0]);
			MarkedPicture picture;
			for (std::uint64_t sequence = 1;; ++sequence) writeFrom(writer, picture, sequence);
		});
		frame_ring_channel_close(pair.ends[0]);
		Reader reader(pair.ends[1]);
		REQUIRE(reader.open() == FRAME_RING_OK);
		frame_ring_status status = FRAME_RING_OK;
		std::uint64_t last = 0, read = 0;
		while ((status = reader.wait()) == FRAME_RING_OK) {
			if (reader.read() != FRAME_RING_OK) continue;
			REQUIRE(reader.isWhole());
			REQUIRE(reader.taken.frame.sequence > last);
			last = reader.taken.frame.sequence;
			if (++read == 200 * round) killAndBury(process);
		}
		CHECK(status == FRAME_RING_PEER_GONE);
		for (std::uint32_t slot = 0; slot < 4; ++slot) {
			for (std::uint64_t sequence = last - 4; sequence <= last + 4; ++sequence) {
				if (reader.readSlot(slot, sequence) == FRAME_RING_OK) CHECK(reader.isWhole());
			}
		}
		count += read;
	}
	CHECK(count >= 3000);
}

TEST_CASE("every status has a name") {
	CHECK(std::string(frame_ring_status_name(FRAME_RING_OK)) == "FRAME_RING_OK");
	CHECK(std::string(frame_ring_status_name(FRAME_RING_SYSTEM)) == "FRAME_RING_SYSTEM");
}
