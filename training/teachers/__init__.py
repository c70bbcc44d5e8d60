"""The painters that the model learns from: painter(rgb, noise, scale) -> rgb, deterministic, brush driven by the noise alone."""

from training.teachers.anime import paint as anime
from training.teachers.comic_halftone import paint as comic_halftone
from training.teachers.oil_painting import paint as oil_painting
from training.teachers.pencil_sketch import paint as pencil_sketch
from training.teachers.render_3d import paint as render_3d
from training.teachers.ukiyo_e import paint as ukiyo_e
from training.teachers.van_gogh import paint as van_gogh
from training.teachers.watercolor import paint as watercolor

NOISE_CHANNELS = 8

PAINTERS = {
    "oil-painting": oil_painting,
    "watercolor": watercolor,
    "pencil-sketch": pencil_sketch,
    "anime": anime,
    "render-3d": render_3d,
    "van-gogh": van_gogh,
    "ukiyo-e": ukiyo_e,
    "comic-halftone": comic_halftone,
}
