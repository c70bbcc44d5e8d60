"""DreamLite's prompt: its template, and as much of Qwen's tokenizer (byte-level BPE) as export and tests need."""

import json
import re
import unicodedata
from collections import Counter

from training.dreamlite.errors import CheckpointError

IMAGE_TOKENS = 64  # 256x256 pixels, 16x16 patches, four to a token
MAX_LENGTH = 256
FILE_BYTES_MAX = 64_000_000
TEMPLATE = (
    "<|im_start|>system\nDescribe the key features of the input image (color, shape, size, texture, objects, background), then explain how the "
    "user's text instruction should alter or modify the image. Generate a new image that meets the user's requirements while maintaining "
    "consistency with the original input where appropriate.<|im_end|>\n<|im_start|>user\n<|vision_start|>" + "<|image_pad|>" * IMAGE_TOKENS + "<|vision_end|>"
    "[Edit]: A diptych with two side-by-side images of the same scene. Compared to the right side, the left one has {prompt}"
    "<|im_end|>\n<|im_start|>assistant\n"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")

# Python's `re` has no \p{L}: a letter is a word character that is neither a digit nor an underscore.
LETTER = r"[^\W\d_]"
WORDS = re.compile(rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|(?:[^\r\n\w]|_)?{LETTER}+|\d| ?(?:[^\s\w]|_)+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def _byte_letters():
    """GPT-2's letter for each byte: those that can be seen are themselves, the others come from 256 on."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in seen}
    for byte in range(256):
        letters.setdefault(byte, chr(256 + len(letters) - len(seen)))
    return letters


LETTERS = _byte_letters()


class Tokenizer:
    """tokenizer.json of a checkpoint -> ids. Errors: CheckpointError."""

    def __init__(self, path):
        try:
            if path.stat().st_size > FILE_BYTES_MAX:
                raise CheckpointError(f"{path} has more than {FILE_BYTES_MAX} bytes, which no tokenizer has.")
            read = json.loads(path.read_text(encoding="utf-8"))
            self.vocabulary = read["model"]["vocab"]
            merges = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in read["model"]["merges"]]
            self.added = {token["content"]: token["id"] for token in read["added_tokens"]}
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read ({error.strerror}). Get the checkpoint's tokenizer folder.") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"{path} is no byte-level BPE tokenizer in the format of Hugging Face tokenizers: {error!r}.") from error
        missing = [token for token in SPECIAL if token not in self.added]
        if missing:
            raise CheckpointError(f"{path} lacks {', '.join(missing)}: it is not Qwen3-VL's tokenizer.")
        numbers = [self.vocabulary.get(letter) for letter in LETTERS.values()] if isinstance(self.vocabulary, dict) else [None]
        if not all(type(id) is int and id >= 0 for id in [*numbers, *self.added.values()]):
            raise CheckpointError(f"{path} has no number for some byte or special token: it is not Qwen3-VL's tokenizer.")
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._special = re.compile("|".join(re.escape(token) for token in sorted(self.added, key=len, reverse=True)))

    def __call__(self, text):
        """The ids of a text, special tokens by their names."""
        ids, at = [], 0
        for match in [*self._special.finditer(text), None]:
            plain = unicodedata.normalize("NFC", text[at : match.start() if match else None])
            for word in WORDS.findall(plain):
                parts = self._merged([LETTERS[byte] for byte in word.encode()])
                ids += [self.vocabulary[part] if part in self.vocabulary else self._missing(part) for part in parts]
            if match:
                ids.append(self.added[match.group()])
                at = match.end()
        return ids

    def _missing(self, part):
        raise CheckpointError(f"The tokenizer merges bytes to {part!r} and has no number for it: it was damaged. Get the checkpoint anew.")

    def _merged(self, parts):
        while len(parts) > 1:
            pairs = list(zip(parts, parts[1:]))
            best = min(pairs, key=lambda pair: self.ranks.get(pair, len(self.ranks)))
            if best not in self.ranks:
                break
            i = pairs.index(best)
            parts[i : i + 2] = ["".join(best)]
        return parts

    def padded(self, prompt):
        """A prompt in the template -> ids and mask, MAX_LENGTH each."""
        ids = self(TEMPLATE.replace("{prompt}", prompt))
        if len(ids) > MAX_LENGTH:
            ids = [*ids[: MAX_LENGTH - 1], ids[-1]]
        pad = MAX_LENGTH - len(ids)
        return ids + [self.added["<|endoftext|>"]] * pad, [1] * len(ids) + [0] * pad


def byte_level(words):
    """A tokenizer.json like Qwen's that knows all bytes and these words: for checkpoints without its vocabulary."""
    vocabulary = {LETTERS[byte]: byte for byte in range(256)}
    merges, split = [], [[LETTERS[byte] for byte in word.encode()] for word in words]
    while any(len(parts) > 1 for parts in split):
        pair = Counter(pair for parts in split for pair in zip(parts, parts[1:])).most_common(1)[0][0]
        merges.append(list(pair))
        vocabulary.setdefault("".join(pair), len(vocabulary))
        for parts in split:
            for i in range(len(parts) - 1, 0, -1):
                if tuple(parts[i - 1 : i + 1]) == pair:
                    parts[i - 1 : i + 1] = ["".join(pair)]
    added = [
        {"id": len(vocabulary) + i, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for i, token in enumerate(SPECIAL)
    ]
    words_step = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False}
    byte_level_step = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [words_step, byte_level_step]},
        "post_processor": byte_level_step, "decoder": byte_level_step,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False,
            "byte_fallback": False, "vocab": vocabulary, "merges": merges,
        },
    }
