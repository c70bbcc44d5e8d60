#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

// Drives a fuzz target where there is no libFuzzer, with mutations of a corpus. An input follows from the
// seed and its number alone; the one that ends the process is written to a file, which is an argument for the
// next run:
//
//   fuzz-TARGET [--seconds N] [--seed N] FOLDER
//   fuzz-TARGET FILE...

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" [[gnu::weak]] int LLVMFuzzerInitialize(int* argc, char*** argv);
extern "C" void __sanitizer_set_death_callback(void (*callback)());

namespace {

using Input = std::vector<std::uint8_t>;

constexpr std::size_t INPUT_BYTES_MAX = 1 << 17;
constexpr unsigned STUCK_AFTER_S = 20;
constexpr long RSS_KIB_MAX = 1 << 20;

Input current;
std::string target;
std::uint64_t seed = 1, number = 0;

/** What is called while the process dies. */
void keepInput() {
	const std::string path = "crash-" + target + "-" + std::to_string(seed) + "-" + std::to_string(number);
	if (std::FILE* file = std::fopen(path.c_str(), "wb")) {
		std::fwrite(current.data(), 1, current.size(), file);
		std::fclose(file);
	}
	std::fprintf(stderr, "%s: seed %lu, input %lu, kept in %s\n", target.c_str(), seed, number, path.c_str());
}

void onSignal(int signal) {
	std::fprintf(stderr, signal == SIGALRM ? "an input takes too long\n" : "an input aborts\n");
	keepInput();
	_exit(1);
}

Input readFile(const std::filesystem::path& path) {
	std::ifstream file(path, std::ios::binary);
	return {std::istreambuf_iterator<char>(file), {}};
}

class Mutator {
public:
	explicit Mutator(std::vector<Input> corpus) : corpus_(std::move(corpus)) {}

	Input next(std::uint64_t from) {
		random_.seed(from);
		Input input = pick();
		for (std::size_t changes = 1 + below(8); changes > 0; --changes) change(input);
		if (input.size() > INPUT_BYTES_MAX) input.resize(INPUT_BYTES_MAX);
		return input;
	}

private:
	std::size_t below(std::size_t limit) {
		return static_cast<std::size_t>(random_() % std::max<std::size_t>(limit, 1));
	}
	const Input& pick() { return corpus_[below(corpus_.size())]; }
	auto place(Input& input, std::size_t at) { return input.begin() + static_cast<std::ptrdiff_t>(at); }

	/** A part of an input of the corpus. */
	Input part() {
		const Input& whole = pick();
		const std::size_t from = below(whole.size()), length = std::min(1 + below(64), whole.size() - from);
		return {
			whole.begin() + static_cast<std::ptrdiff_t>(from),
			whole.begin() + static_cast<std::ptrdiff_t>(from + length)
		};
	}

	void change(Input& input) {
		static constexpr std::array<std::uint64_t, 12> SPECIAL{
			0,
			1,
			2,
			63,
			64,
			4096,
			0x7FFF'FFFF,
			0x8000'0000,
			0xFFFF'FFFF,
			0x7FFF'FFFF'FFFF'FFFF,
			0x8000'0000'0000'0000,
			0xFFFF'FFFF'FFFF'FFFF
		};
		const std::size_t at = below(input.size());
		switch (below(input.empty() ? 2 : 8)) {
		case 0: { // insert
			const Input inserted = part();
			input.insert(place(input, at), inserted.begin(), inserted.end());
			return;
		}
		case 1: // repeat
			if (const Input repeated = part(); !repeated.empty())
				for (std::size_t times = 1 << below(8); times > 0; --times)
					input.insert(place(input, at), repeated.begin(), repeated.end());
			return;
		case 2:
			input[at] ^= static_cast<std::uint8_t>(1U << below(8));
			return;
		case 3:
			input[at] = static_cast<std::uint8_t>(random_());
			return;
		case 4: { // a number that is special
			const std::uint64_t value = SPECIAL[below(SPECIAL.size())];
			std::memcpy(input.data() + at, &value, std::min(std::size_t{1} << below(4), input.size() - at));
			return;
		}
		case 5: // erase
			input.erase(place(input, at), place(input, at + std::min(1 + below(32), input.size() - at)));
			return;
		case 6: { // overwrite
			const Input other = part();
			std::copy_n(other.begin(), std::min(other.size(), input.size() - at), place(input, at));
			return;
		}
		default:
			if (below(4) == 0) input.resize(at);
		}
	}

	std::vector<Input> corpus_;
	std::mt19937_64 random_;
};

void test(const Input& input) {
	current = input;
	LLVMFuzzerTestOneInput(current.data(), current.size());
}

}

int main(int argc, char** argv) {
	target = std::filesystem::path(argv[0]).filename();
	double seconds = 5;
	std::vector<std::filesystem::path> files;
	std::filesystem::path folder;
	for (int i = 1; i < argc; ++i) {
		const std::string argument = argv[i];
		if (argument == "--seconds" && i + 1 < argc)
			seconds = std::stod(argv[++i]);
		else if (argument == "--seed" && i + 1 < argc)
			seed = std::stoull(argv[++i]);
		else if (std::filesystem::is_directory(argument))
			folder = argument;
		else
			files.emplace_back(argument);
	}
	__sanitizer_set_death_callback(keepInput);
	std::signal(SIGABRT, onSignal);
	std::signal(SIGALRM, onSignal);
	if (LLVMFuzzerInitialize) LLVMFuzzerInitialize(&argc, &argv);

	for (const auto& file : files) test(readFile(file));
	if (folder.empty()) return 0;

	std::vector<std::filesystem::path> paths;
	for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path());
	std::ranges::sort(paths);
	std::vector<Input> corpus{{}};
	for (const auto& path : paths) corpus.push_back(readFile(path));
	if (corpus.size() == 1) {
		std::fprintf(stderr, "%s: no corpus in %s\n", target.c_str(), folder.c_str());
		return 2;
	}
	for (const Input& input : corpus) test(input);

	Mutator mutator(corpus);
	const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
	for (number = 1; std::chrono::steady_clock::now() < end; ++number) {
		alarm(STUCK_AFTER_S);
		test(mutator.next(seed << 32 ^ number));
	}
	alarm(0);
	rusage usage{};
	getrusage(RUSAGE_SELF, &usage);
	std::printf(
		"%s: %lu inputs, seed %lu, %ld MiB\n", target.c_str(), number - 1, seed, usage.ru_maxrss / 1024
	);
	if (usage.ru_maxrss > RSS_KIB_MAX) {
		std::fprintf(stderr, "%s: takes more than 1 GiB\n", target.c_str());
		return 1;
	}
	return 0;
}
