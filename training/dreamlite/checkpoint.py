"""A DreamLite-mobile checkpoint in diffusers' layout: a folder for each part, its config.json, its safetensors in one file or in shards.

    model_index.json   unet/   vae/   text_encoder/   tokenizer/tokenizer.json   scheduler/scheduler_config.json

What config.json says is compared with what is known of the published model (TABLE). Another kind of network is refused; another size is
refused unless it is asked for.
"""

import json
import re
from pathlib import Path

import torch

from training.dreamlite.errors import CheckpointError
from training.dreamlite.qwen3vl import Qwen3VL
from training.dreamlite.safetensors import SafeTensors
from training.dreamlite.tokenizer import Tokenizer
from training.dreamlite.unet import UNet
from training.dreamlite.vae import AutoencoderTiny

CONFIG_BYTES_MAX = 1_000_000
LARGER_MAX = 4  # times what was published: a config.json that lies would take all memory

# Part -> key -> value of the published model. What is under "kind" says which network it is; "size" may differ where it is allowed to.
TABLE = {
    "unet": {
        "kind": {
            "_class_name": "DreamLiteUNetModel", "down": ["cross", "cross", "full"], "up": ["full", "cross", "plain"], "in_channels": 4, "out_channels": 4,
            "encoder_hid_dim_type": "text_proj_rms", "addition_embed_type": "time", "qk_norm": "rms_norm", "use_sep_conv": True,
            "use_linear_projection": True, "act_fn": "silu", "norm_eps": 1e-5, "flip_sin_to_cos": True, "freq_shift": 0, "num_mid_layers": 1,
        },
        "size": {
            "block_out_channels": [256, 512, 896], "attention_head_dim": [4, 8, 14], "layers_per_block": 2, "transformer_layers_per_block": [1, 2, 4],
            "cross_attention_dim": 2304, "encoder_hid_dim": 2048, "num_kv_heads": 1, "ff_mult": 3, "norm_num_groups": 32,
            "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 512,
        },
    },
    "vae": {
        "kind": {
            "_class_name": "AutoencoderTiny", "act_fn": "relu", "in_channels": 3, "out_channels": 3, "latent_channels": 4, "scaling_factor": 1.0,
            "shift_factor": 0.0,
        },
        "size": {
            "encoder_block_out_channels": [64, 64, 64, 64], "decoder_block_out_channels": [64, 64, 64, 64],
            "num_encoder_blocks": [1, 3, 3, 3], "num_decoder_blocks": [3, 3, 3, 1],
        },
    },
    "text_encoder": {
        "kind": {
            "model_type": "qwen3_vl", "text_config.hidden_act": "silu", "text_config.rms_norm_eps": 1e-6, "text_config.attention_bias": False,
            "vision_config.hidden_act": "gelu_pytorch_tanh", "vision_config.in_channels": 3, "vision_config.patch_size": 16,
            "vision_config.temporal_patch_size": 2, "vision_config.spatial_merge_size": 2,
        },
        "size": {
            "image_token_id": 151655, "vision_start_token_id": 151652, "vision_end_token_id": 151653, "text_config.vocab_size": 151936,
            "text_config.hidden_size": 2048, "text_config.num_hidden_layers": 28, "text_config.num_attention_heads": 16,
            "text_config.num_key_value_heads": 8, "text_config.head_dim": 128, "text_config.intermediate_size": 6144, "text_config.rope_theta": 5e6,
            "text_config.mrope_section": [24, 20, 20], "vision_config.depth": 24, "vision_config.hidden_size": 1024, "vision_config.num_heads": 16,
            "vision_config.intermediate_size": 4096, "vision_config.out_hidden_size": 2048, "vision_config.num_position_embeddings": 2304,
            "vision_config.deepstack_visual_indexes": [5, 11, 17],
        },
    },
    "scheduler": {
        "kind": {"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": True, "time_shift_type": "exponential"},
        "size": {"num_train_timesteps": 1000, "base_shift": 0.5, "max_shift": 1.15, "base_image_seq_len": 256, "max_image_seq_len": 4096},
    },
}
MODULES = {"unet": UNet, "vae": AutoencoderTiny, "text_encoder": Qwen3VL}
UNUSED = {"lm_head.weight"}  # tied to the embeddings


def _read_json(path):
    try:
        if path.stat().st_size > CONFIG_BYTES_MAX:
            raise CheckpointError(f"{path} has more than {CONFIG_BYTES_MAX} bytes, which no config.json has.")
        read = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}). Give the folder of the checkpoint in diffusers' layout.") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON: {error}. Get the checkpoint anew.") from error
    if not isinstance(read, dict):
        raise CheckpointError(f"{path} is no JSON object. Get the checkpoint anew.")
    return read


def _kinds(types):
    """Block types by their names: without self-attention, with it, without any."""
    return ["cross" if "NoSelfAttn" in name else "full" if "CrossAttn" in name else "plain" for name in types]


def _normalised(part, config):
    """Keys as TABLE has them."""
    if part == "unet":
        for key in ("down", "up"):
            if isinstance(config.get(f"{key}_block_types"), list):
                config[key] = _kinds(map(str, config[f"{key}_block_types"]))
    if part == "vae" and config.get("shift_factor") is None:
        config["shift_factor"] = 0.0
    text = config.get("text_config")
    if part == "text_encoder" and isinstance(text, dict):
        rope = text.get("rope_scaling") or text.get("rope_parameters") or {}
        for key in ("mrope_section", "rope_theta"):
            if key in rope:
                text[key] = rope[key]
    return config


def _is_bounded(found, expected):
    """Whether it is of the expected type, and no number in it more than LARGER_MAX times the largest expected."""
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) <= LARGER_MAX * len(expected) and all(_is_bounded(own, max(expected)) for own in found)
    return type(found) in (int, float) and 0 <= found <= LARGER_MAX * expected


def differences(part, config, group):
    """[(key, found, expected)] of one group of TABLE; found is None for a key that is not there."""
    found = []
    for key, expected in TABLE[part][group].items():
        value = config
        for step in key.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        if value != expected:
            found.append((key, value, expected))
    return found


class Checkpoint:
    """Configs are read and compared when it is opened, weights when they are asked for. Errors: CheckpointError."""

    def __init__(self, folder, any_size=False):
        self.folder = Path(folder)
        if not (self.folder / "model_index.json").exists():
            raise CheckpointError(f"{self.folder} has no model_index.json: it is no checkpoint in diffusers' layout. Give the folder that has it.")
        name = _read_json(self.folder / "model_index.json").get("_class_name")
        if not (isinstance(name, str) and name.startswith("DreamLite")):
            raise CheckpointError(f"{self.folder} is a checkpoint of {name}, expected DreamLiteMobilePipeline. Give DreamLite-mobile's.")
        self.configs = {
            part: _normalised(part, _read_json(self.folder / part / ("scheduler_config.json" if part == "scheduler" else "config.json"))) for part in TABLE
        }
        self.differences = []  # lines for people
        self._compare(any_size)
        self.tokenizer_path = self.folder / "tokenizer" / "tokenizer.json"
        self.tokenizer = Tokenizer(self.tokenizer_path)
        self._compare_tokenizer()

    def _compare(self, any_size):
        refused = []
        for part, config in self.configs.items():
            for group in TABLE[part]:
                for key, found, expected in differences(part, config, group):
                    line = f"{part}: {key} is {'not there' if found is None else json.dumps(found)}, expected {json.dumps(expected)}"
                    self.differences.append(line)
                    # A key that is not there is taken as expected: what it is about is seen in the tensors' names and shapes.
                    if found is None and group == "kind":
                        continue
                    if group == "kind" or not any_size or found is None or not _is_bounded(found, expected):
                        refused.append(line)
        if refused:
            raise CheckpointError(
                f"{self.folder} is not DreamLite-mobile as it was published:\n  " + "\n  ".join(refused)
                + "\nGive DreamLite-mobile's checkpoint, or --any-size if sizes alone differ and are meant to."
            )

    def _compare_tokenizer(self):
        config = self.configs["text_encoder"]
        for key, token in (("image_token_id", "<|image_pad|>"), ("vision_start_token_id", "<|vision_start|>"), ("vision_end_token_id", "<|vision_end|>")):
            if config.get(key) != self.tokenizer.added[token]:
                raise CheckpointError(
                    f"{self.tokenizer_path} gives {token} the number {self.tokenizer.added[token]}, and text_encoder/config.json {config.get(key)}. "
                    "Take both from one checkpoint."
                )
        rows, largest = config["text_config"].get("vocab_size"), max(*self.tokenizer.vocabulary.values(), *self.tokenizer.added.values())
        if largest >= rows:
            raise CheckpointError(f"{self.tokenizer_path} has numbers up to {largest}, and the text encoder has embeddings of {rows}. Take both from one checkpoint.")

    def _files(self, part):
        """Tensor name -> SafeTensors."""
        folder = self.folder / part
        for stem in ("diffusion_pytorch_model", "model"):
            if (folder / f"{stem}.safetensors").exists():
                file = SafeTensors(folder / f"{stem}.safetensors")
                return {name: file for name in file.names()}
            if (folder / f"{stem}.safetensors.index.json").exists():
                return self._shards(folder, f"{stem}.safetensors.index.json")
        raise CheckpointError(f"{folder} has no safetensors file. Get the checkpoint anew, in safetensors format.")

    def _shards(self, folder, index):
        weights = _read_json(folder / index).get("weight_map")
        if not isinstance(weights, dict) or not all(isinstance(name, str) and re.fullmatch(r"[\w-][\w.-]*", name) for name in weights.values()):
            raise CheckpointError(f"{folder / index} does not say which of its own folder's files has which tensor. Get the checkpoint anew.")
        files = {}
        for shard in sorted(set(weights.values())):
            if not (folder / shard).exists():
                count = sum(name == shard for name in weights.values())
                raise CheckpointError(f"{folder / shard} is missing, which has {count} of the {len(weights)} tensors of {folder.name}. Get this shard.")
            files[shard] = SafeTensors(folder / shard)
        lost = [name for name, shard in weights.items() if name not in files[shard].names()]
        if lost:
            raise CheckpointError(f"{folder / weights[lost[0]]} has no tensor {lost[0]}, which {index} promises. Get the checkpoint anew.")
        return {name: files[shard] for name, shard in weights.items()}

    def module(self, part):
        """The part in fp32, with every tensor of the checkpoint in its place."""
        try:
            module = MODULES[part](self.configs[part]).eval()
        except (ValueError, KeyError, TypeError, IndexError, RuntimeError, ZeroDivisionError) as error:
            raise CheckpointError(f"{self.folder / part}/config.json describes no network: {error!r}.") from error
        files, parameters = self._files(part), module.state_dict()
        wrong = [f"{name} is missing" for name in parameters if name not in files]
        wrong += [f"{name} is not of this network" for name in files if name not in parameters and name not in UNUSED]
        for name, parameter in parameters.items():
            if name in files and files[name].shape(name) != tuple(parameter.shape):
                wrong.append(f"{name} is {list(files[name].shape(name))}, expected {list(parameter.shape)}")
        if wrong:
            raise CheckpointError(f"{self.folder / part} has {len(wrong)} tensors that are not as expected: {'; '.join(wrong[:3])}. Is it another model's?")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(files[name].tensor(name))
        return module.requires_grad_(False)
