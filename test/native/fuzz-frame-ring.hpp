#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

constexpr std::uint32_t FUZZED_SLOTS = 4;
constexpr std::size_t FUZZED_PAYLOAD_BYTES = 6000;

/**
 * Everything that describes something in a ring of sound pictures, tight and with strides: 4 bytes of the
 * target's capacity (0: that of a slot), then the header of the ring, then that of each slot.
 */
std::vector<std::uint8_t> soundRing();

/** Lays the input over a sound ring by exclusive or, so that few bytes go a long way, and reads it by all
 * ways. */
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
