#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <opencv2/core/mat.hpp>

namespace allaprima {

/**
 * Resizes 8-bit pixels: area where they shrink, bilinear where they grow, a copy otherwise. Keeps its scratch
 * memory; one thread at a time.
 */
class Resizer {
public:
	/** Fills `target`, which has the wanted size and the type of `source`, and may lie in a larger picture.
	 */
	void operator()(const cv::Mat& source, cv::Mat& target);

private:
	/** How much each of a run of source pixels adds to a target pixel, for all target pixels of one axis. */
	struct Shares {
		/** Lays `target` equal intervals over `source` pixels, their bounds rounded to 1/256 of an interval.
		 */
		void lay(int source, int target);

		std::size_t taps = 0; // shares of one target pixel, zeros behind the last
		std::vector<std::size_t> first; // [target], its first source pixel
		std::vector<std::uint16_t> share; // [target, taps], each target pixel's sum to 256
	};

	void shrink(const cv::Mat& source, cv::Mat& target);

	Shares columns_, rows_;
	std::vector<std::uint16_t> row_; // a mean of source rows, times 256
	cv::Mat axis_;
};

}
