"""The painters that the model learns from: painter(rgb, noise) -> rgb, deterministic, brush driven by the noise alone."""

from training.teachers.oil_painting import paint as oil_painting
from training.teachers.pencil_sketch import paint as pencil_sketch

NOISE_CHANNELS = 8

PAINTERS = {
    "oil-painting": oil_painting,
    "pencil-sketch": pencil_sketch,
}
