#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "pictures.hpp"
#include "workbench.hpp"

using namespace allaprima;
using namespace allaprima::testing;

TEST_CASE("a bench that came back is lent again") {
	const auto pool = std::make_shared<WorkbenchPool>();
	const Workbench* first = nullptr;
	{
		const auto lease = pool->take();
		first = &*lease;
		const auto other = pool->take();
		CHECK(&*other != first);
	}
	const auto a = pool->take(), b = pool->take();
	CHECK((&*a == first || &*b == first));
}

TEST_CASE("a lease keeps its pool alive") {
	auto pool = std::make_shared<WorkbenchPool>();
	const auto lease = pool->take();
	pool.reset();
	OwnedPicture source(rgbLayout(8, 8), 50), target(rgbLayout(4, 4));
	(*lease).convert.convert(source, target, Fit::STRETCH);
	CHECK(target.bytes[0] == 50);
}

TEST_CASE("threads that share a pool do not disturb each other") {
	const auto pool = std::make_shared<WorkbenchPool>();
	std::vector<int> wrong(4);
	{
		std::vector<std::jthread> threads;
		for (int thread = 0; thread < 4; ++thread) {
			threads.emplace_back([pool, thread, &wrong] {
				for (int round = 0; round < 50; ++round) {
					const auto value = static_cast<std::uint8_t>(40 * thread + round);
					OwnedPicture source(rgbLayout(64 + thread, 48), value),
						target(rgbLayout(31, 17 + thread));
					const auto lease = pool->take();
					(*lease).convert.convert(source, target, Fit::COVER);
					if (std::ranges::any_of(target.bytes, [value](int seen) { return seen != value; })) {
						++wrong[static_cast<std::size_t>(thread)];
					}
				}
			});
		}
	}
	CHECK(wrong == std::vector<int>(4));
}
