#include "metrics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "optical-flow.hpp"
#include "warp.hpp"

namespace allaprima {

namespace {

constexpr int THUMBNAIL_WIDTH = 32;
constexpr int BLOCK_SIDE = 16;

cv::Mat greyOf(const Picture& picture) {
	cv::Mat grey;
	cv::cvtColor(picture.rgb(), grey, cv::COLOR_RGB2GRAY);
	return grey;
}

double meanOf(const cv::Mat& values) {
	return cv::mean(values)[0];
}

/** Mean of |a - b| over all channels. */
double meanAbsoluteOf(const cv::Mat& a, const cv::Mat& b) {
	return cv::norm(a, b, cv::NORM_L1) / (static_cast<double>(a.total()) * a.channels());
}

double ssimOf(const cv::Mat& a, const cv::Mat& b) {
	constexpr double c1 = (0.01 * 255) * (0.01 * 255), c2 = (0.03 * 255) * (0.03 * 255);
	const auto blurred = [](const cv::Mat& values) {
		cv::Mat blur;
		cv::GaussianBlur(values, blur, {11, 11}, 1.5);
		return blur;
	};
	cv::Mat x, y;
	a.convertTo(x, CV_32F);
	b.convertTo(y, CV_32F);
	const cv::Mat meanX = blurred(x), meanY = blurred(y);
	const cv::Mat meanXX = meanX.mul(meanX), meanYY = meanY.mul(meanY), meanXY = meanX.mul(meanY);
	const cv::Mat varianceX = blurred(x.mul(x)) - meanXX;
	const cv::Mat varianceY = blurred(y.mul(y)) - meanYY;
	const cv::Mat covariance = blurred(x.mul(y)) - meanXY;

	const cv::Mat above = (2 * meanXY + c1).mul(2 * covariance + c2);
	const cv::Mat below = (meanXX + meanYY + c1).mul(varianceX + varianceY + c2);
	return meanOf(above / below);
}

}

double thumbnailDifference(const Picture& a, const Picture& b) {
	const int width = std::min(THUMBNAIL_WIDTH, a.width);
	const int height =
		std::clamp(static_cast<int>(std::lround(1.0 * width * a.height / a.width)), 1, a.height);
	cv::Mat thumbnailA, thumbnailB;
	cv::resize(greyOf(a), thumbnailA, {width, height}, 0, 0, cv::INTER_AREA);
	cv::resize(greyOf(b), thumbnailB, {width, height}, 0, 0, cv::INTER_AREA);
	return meanAbsoluteOf(thumbnailA, thumbnailB);
}

double blockDifference(const Picture& a, const Picture& b) {
	cv::Mat differences;
	cv::subtract(greyOf(a), greyOf(b), differences, cv::noArray(), CV_32F);
	double largest = 0;
	for (int y = 0; y < differences.rows; y += BLOCK_SIDE) {
		for (int x = 0; x < differences.cols; x += BLOCK_SIDE) {
			const cv::Rect block(
				x, y, std::min(BLOCK_SIDE, differences.cols - x), std::min(BLOCK_SIDE, differences.rows - y)
			);
			largest = std::max(largest, std::abs(cv::mean(differences(block))[0]));
		}
	}
	return largest;
}

double meanMotion(const Flow& flow) {
	double sum = 0;
	for (const Motion& motion : flow.data) {
		sum += std::sqrt(motion.x * motion.x + motion.y * motion.y);
	}
	return sum / static_cast<double>(flow.data.size());
}

PictureDifference pictureDifference(const Picture& a, const Picture& b) {
	const cv::Mat pixelsA = a.rgb(), pixelsB = b.rgb();
	const double squared = cv::norm(pixelsA, pixelsB, cv::NORM_L2SQR) /
		(static_cast<double>(pixelsA.total()) * pixelsA.channels());
	return {
		.meanAbsolute = meanAbsoluteOf(pixelsA, pixelsB),
		.psnrDb =
			squared > 0 ? 10 * std::log10(255.0 * 255.0 / squared) : std::numeric_limits<double>::infinity(),
		.ssim = ssimOf(greyOf(a), greyOf(b)),
	};
}

PictureDetail pictureDetail(const Picture& picture) {
	const cv::Mat grey = greyOf(picture);
	cv::Mat mixed;
	cv::Sobel(grey, mixed, CV_32F, 1, 1, 3);

	cv::Mat values, spectrum;
	grey.convertTo(values, CV_32F);
	cv::dft(values, spectrum, cv::DFT_COMPLEX_OUTPUT);
	// Distances are those of numpy's fftshift: frequency 0 lies at (height / 2, width / 2).
	const auto distanceSquared = [](int index, int length) {
		const auto distance = static_cast<std::int64_t>((index + length / 2) % length - length / 2);
		return distance * distance;
	};
	const std::int64_t radius = std::min(grey.rows, grey.cols) / 4;
	double sum = 0;
	std::int64_t count = 0;
	for (int y = 0; y < spectrum.rows; ++y) {
		const auto* row = spectrum.ptr<cv::Vec2f>(y);
		const std::int64_t squaredY = distanceSquared(y, spectrum.rows);
		for (int x = 0; x < spectrum.cols; ++x) {
			if (squaredY + distanceSquared(x, spectrum.cols) <= radius * radius) continue;
			sum += std::sqrt(row[x][0] * row[x][0] + row[x][1] * row[x][1]);
			++count;
		}
	}
	return {
		.sobel = cv::norm(mixed, cv::NORM_L1) / static_cast<double>(mixed.total()),
		.hfFft = count > 0 ? sum / static_cast<double>(count) : 0,
	};
}

WarpingError warpingError(const std::array<Picture, 2>& inputs, const std::array<Picture, 2>& outputs) {
	const cv::Mat first = greyOf(inputs[0]), second = greyOf(inputs[1]);
	cv::Mat forward, backward, map, warped, arriving;
	farneback(first, second, forward);
	farneback(second, first, backward);
	gatherMap(forward, 1, map);
	cv::remap(outputs[1].rgb(), warped, map, {}, cv::INTER_LINEAR, cv::BORDER_REPLICATE);
	cv::remap(backward, arriving, map, {}, cv::INTER_LINEAR, cv::BORDER_REPLICATE);

	cv::Mat difference;
	cv::absdiff(outputs[0].rgb(), warped, difference);
	std::int64_t sum = 0, visibleSum = 0, visibleCount = 0;
	for (int y = 0; y < difference.rows; ++y) {
		const auto* pixels = difference.ptr<cv::Vec3b>(y);
		const auto *there = forward.ptr<Motion>(y), *back = arriving.ptr<Motion>(y);
		for (int x = 0; x < difference.cols; ++x) {
			const int pixel = pixels[x][0] + pixels[x][1] + pixels[x][2];
			sum += pixel;
			const Motion f = there[x], b = back[x];
			const float lost = (f.x + b.x) * (f.x + b.x) + (f.y + b.y) * (f.y + b.y);
			const float length = f.x * f.x + f.y * f.y + b.x * b.x + b.y * b.y;
			if (lost <= 0.01F * length + 0.5F) {
				visibleSum += pixel;
				++visibleCount;
			}
		}
	}
	const auto count = static_cast<double>(difference.total());
	const auto visible = static_cast<double>(visibleCount);
	return {
		.all = static_cast<double>(sum) / (3 * count),
		.visible = visibleCount > 0 ? static_cast<double>(visibleSum) / (3 * visible) : 0,
		.visibleFraction = visible / count,
	};
}

}
