#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "blend.hpp"
#include "jpeg.hpp"
#include "latent-motion.hpp"
#include "mask-shaper.hpp"
#include "noise.hpp"
#include "optical-flow.hpp"
#include "patch-rows.hpp"
#include "pixels.hpp"
#include "region.hpp"
#include "warp.hpp"

namespace allaprima {

/** The stages that keep scratch memory from frame to frame. One thread at a time. */
struct Workbench {
	PixelConverter convert;
	OpticalFlow opticalFlow;
	Warp warp;
	Blend blend;
	LatentMotion moveLatents;
	NoiseCarrier carryNoise;
	PatchRows patchRows;
	JpegCodec jpeg;
	RegionPainter region;
	MaskShaper shapeMask;
};

/** Lends benches to threads: there come to be as many as calls ever ran at once. */
class WorkbenchPool : public std::enable_shared_from_this<WorkbenchPool> {
public:
	class Lease {
	public:
		Lease(std::shared_ptr<WorkbenchPool> pool, std::unique_ptr<Workbench> bench)
			: pool_(std::move(pool)), bench_(std::move(bench)) {}
		Lease(const Lease&) = delete;
		Lease& operator=(const Lease&) = delete;
		~Lease() { pool_->giveBack(std::move(bench_)); }

		Workbench& operator*() const { return *bench_; }

	private:
		std::shared_ptr<WorkbenchPool> pool_;
		std::unique_ptr<Workbench> bench_;
	};

	Lease take() {
		std::unique_ptr<Workbench> bench;
		{
			const std::scoped_lock lock(mutex_);
			if (!idle_.empty()) {
				bench = std::move(idle_.back());
				idle_.pop_back();
			}
		}
		if (!bench) bench = std::make_unique<Workbench>();
		return {shared_from_this(), std::move(bench)};
	}

private:
	void giveBack(std::unique_ptr<Workbench> bench) {
		const std::scoped_lock lock(mutex_);
		idle_.push_back(std::move(bench));
	}

	std::mutex mutex_;
	std::vector<std::unique_ptr<Workbench>> idle_;
};

}
