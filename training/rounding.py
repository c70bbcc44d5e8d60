"""Numbers of int8: ranges of activations, uint8 per tensor, and rounded weights, int8 per output channel, symmetric and of 7 bits.

255 * 63 * 2 fits 16 bits, so processors without VNNI, which add pairs of products in 16 bits, do not saturate.
"""

import numpy as np

WEIGHT_MAX = 63
DAMPING = 0.01  # of the inputs' mean variance, added to each input's: there are fewer patches than the widest convolution has inputs


def quantization(low, high):
    """(scale, zero point) of uint8 for a range with 0 inside it, so that 0 (the padding) is exact."""
    scale = np.float32(max(high - low, 1e-6) / 255)
    return scale, np.uint8(np.clip(round(-low / scale), 0, 255))


def best_range(values, steps=14):
    """(low, high) around 0 whose 256 levels give `values` (float [N]) back with the least squared error."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    if high - low < 1e-6:
        return -1e-3, 1e-3
    values, best = values.astype(np.float32), (np.inf, low, high)
    shares = np.linspace(1, 0.3, steps)
    for a in low * shares if low < 0 else [0.0]:
        for b in high * shares if high > 0 else [0.0]:
            scale, zero = quantization(a, b)
            error = np.square((np.clip(np.round(values / scale) + zero, 0, 255) - zero) * scale - values).mean()
            best = min(best, (float(error), float(a), float(b)))
    return best[1:]


def rounded(wanted, inputs):
    """Whole numbers [O, K] whose products with `inputs` (float [N, K]) are nearly those of `wanted` (float [O, K]), but for a constant each.

    One column is rounded after the other, and those that are left make up for what it did, as far as inputs go together: GPTQ, Frantar et al.,
    arXiv 2210.17323. In flat areas all inputs of a channel do, and there what is not made up for shows as a blotch.
    """
    apart = inputs - inputs.mean(axis=0)
    covariance = apart.T.astype(np.float64) @ apart / len(apart)
    # Nothing is known of an input that never changed: it is rounded to the nearest.
    covariance[np.diag_indices_from(covariance)] += DAMPING * max(np.trace(covariance) / len(covariance), 1e-12)
    order = np.argsort(-np.diag(covariance))
    upper = np.linalg.cholesky(np.linalg.inv(covariance[np.ix_(order, order)])).T
    left, levels = wanted[:, order].astype(np.float64), np.empty(wanted.shape)
    for i in range(len(order)):
        levels[:, order[i]] = whole = np.clip(np.round(left[:, i]), -WEIGHT_MAX, WEIGHT_MAX)
        left[:, i:] -= ((left[:, i] - whole) / upper[i, i])[:, None] * upper[i, i:]
    return levels


def quantized_weights(weights, bias, scale, inputs=None):
    """(int8 [O, I, h, w], scales [O], bias int32 [O] in units of the input's scale times the weights').

    With patches of the input (float [N, I * h * w]) the weights are rounded for them, and the bias takes up what rounding does to the mean of the
    output (Nagel et al., arXiv 1906.04721, section 4.2); without, each weight is rounded to the nearest.
    """
    flat = weights.reshape(len(weights), -1)
    per_channel = np.abs(flat).max(axis=1) / WEIGHT_MAX
    # A channel without weights would make its bias overflow.
    per_channel = np.maximum(per_channel, np.abs(bias) / (scale * 2**30)).astype(np.float32)
    per_channel = np.maximum(per_channel, np.float32(1e-12))[:, None]
    if inputs is None:
        levels = np.clip(np.round(flat / per_channel), -WEIGHT_MAX, WEIGHT_MAX)
    else:
        levels = rounded(flat / per_channel, inputs)
        bias = bias + (flat - levels * per_channel) @ inputs.mean(axis=0)
    per_channel = per_channel[:, 0]
    return levels.reshape(weights.shape).astype(np.int8), per_channel, np.round(bias / (per_channel.astype(np.float64) * scale)).astype(np.int32)
