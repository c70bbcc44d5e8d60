#include <doctest/doctest.h>

#include "blend.hpp"
#include "pictures.hpp"

using namespace allaprima;
using namespace allaprima::testing;

TEST_CASE("alpha is the share of the first picture") {
	OwnedPicture a(rgbLayout(17, 5), 200), b(rgbLayout(17, 5), 100), target(rgbLayout(17, 5));
	for (const auto& [alpha, expected] : {std::pair{0.0, 100}, {0.25, 125}, {0.5, 150}, {1.0, 200}}) {
		blend(a, b, alpha, target);
		CHECK(std::ranges::all_of(target.bytes, [expected](int value) { return value == expected; }));
	}
}

TEST_CASE("the target may be either of the pictures") {
	OwnedPicture a(rgbLayout(17, 5), 200), b(rgbLayout(17, 5), 100);
	blend(a, b, 0.25, a);
	CHECK(a.bytes[0] == 125);
	blend(a, b, 0.2, b);
	CHECK(b.bytes[0] == 105);
}
