"""What people say, by grammar: phrases for each style, its modifiers and "change nothing", and the tokenizer that reads them.

The tokenizer is WordPiece in the Hugging Face `tokenizers` file format; `WordPiece` below is the same greedy
longest-match-first algorithm (BERT, google-research/bert tokenization.py) for training.
"""

import itertools
import json
import random
import re
import unicodedata

MAX_LENGTH = 32
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
NEUTRAL = "neutral"
NEUTRAL_PROMPT = "leave it as it is"
PRESETS = {
    "oil-painting": "transfer this to oil painting style, vibrant colors",
    "watercolor": "transfer this to watercolor painting style",
    "pencil-sketch": "transfer this to pencil sketch style",
    "anime": "transfer this to anime style",
    "render-3d": "transfer this to 3d render style",
    "van-gogh": "transfer this to van gogh painting style",
    "ukiyo-e": "transfer this to ukiyo-e woodblock print style",
    "comic-halftone": "transfer this to comic book halftone style",
}
PRESET_MODIFIERS = {"oil-painting": ("vibrant",)}

VERBS = [
    "transfer this to", "turn this into", "make this", "make it look like", "paint this as", "render this as", "convert this to",
    "restyle this as", "redraw this as", "transform the image into", "change the picture to", "show this as", "give me", "i want",
    "please make it", "turn the video into", "make everything look like", "stylize as", "repaint the scene as", "",
]
NOUNS = {
    "oil-painting": [
        "oil painting style", "an oil painting", "oil paint", "a painting in oils", "oil on canvas", "a classical oil painting",
        "thick oil paint with visible brush strokes", "an impasto painting", "a painted canvas", "heavy brush strokes in oil",
        "an old master painting", "the style of an oil painting", "an oil portrait", "a brushed oil canvas", "impasto oil style",
        "a painting with thick brush strokes", "a museum painting", "an alla prima painting", "oil colours on linen", "painterly oil",
    ],
    "watercolor": [
        "watercolor painting style", "a watercolor painting", "a watercolour", "watercolor", "an aquarelle", "watercolour on paper", "a wet watercolor wash",
        "watercolour painting style", "a painting in watercolors", "washes of water colour", "a loose watercolor sketch", "watercolor paint on rough paper",
        "a delicate watercolor", "aquarelle style", "a watercolor illustration", "the style of a watercolour", "a water color picture", "soft watercolor washes",
        "a watercolor with wet edges", "a painted watercolor postcard",
    ],
    "pencil-sketch": [
        "pencil sketch style", "a pencil sketch", "a pencil drawing", "a graphite drawing", "a hand drawn sketch", "a drawing in pencil",
        "graphite on paper", "a sketch on white paper", "a hatched pencil drawing", "pencil lines and hatching", "a black and white sketch",
        "the style of a pencil drawing", "a pencil portrait", "a sketchbook page", "a rough pencil sketch", "a neat pencil drawing",
        "line art in pencil", "a shaded pencil sketch", "a charcoal pencil sketch", "sketched lines",
    ],
    "anime": [
        "anime style", "an anime", "anime", "a cel shaded anime", "japanese animation", "an anime scene", "a cartoon", "cel shading", "a manga in colour",
        "an anime film still", "the style of an anime", "a hand drawn animation", "an animated cartoon", "flat cel shaded cartoon", "a japanese cartoon",
        "an anime character", "a frame of an anime series", "cartoon style", "anime drawing with clean lines", "a cel animation",
    ],
    "render-3d": [
        "3d render style", "a 3d render", "3d animation", "a 3d animated film", "cgi", "computer generated 3d", "a glossy 3d model", "a plastic toy", "3d",
        "a three dimensional render", "3d rendered style", "a clay model", "a vinyl figure", "a smooth 3d character", "a ray traced scene", "a rendered 3d scene",
        "the style of a 3d movie", "shiny plastic 3d", "a 3d cartoon render", "computer graphics",
    ],
    "van-gogh": [
        "van gogh painting style", "a van gogh painting", "a van gogh", "the style of vincent van gogh", "vincent van gogh", "starry night", "the starry night by van gogh",
        "a painting by van gogh", "swirling brush strokes", "a post impressionist painting", "swirling van gogh strokes", "van gogh style", "van gogh",
        "a painting with swirls", "swirls of thick paint like van gogh", "an expressive post impressionist canvas", "the manner of van gogh", "a van gogh sky full of swirls",
        "vincent's starry night style", "swirly painting style",
    ],
    "ukiyo-e": [
        "ukiyo-e woodblock print style", "a ukiyo-e print", "ukiyo-e", "a japanese woodblock print", "a woodblock print", "ukiyo e style", "a print by hokusai",
        "an edo period print", "the style of hokusai", "a hiroshige print", "a japanese print", "a woodcut", "the great wave", "old japanese woodblock art", "a wood block print",
        "a traditional japanese print", "ukiyo-e art", "a hokusai woodcut", "a flat japanese woodblock with outlines", "the style of a ukiyo-e print",
    ],
    "comic-halftone": [
        "comic book halftone style", "a comic", "a comic book", "halftone", "comic style with halftone dots", "pop art", "a comic strip", "a halftone print", "a pop art print",
        "ben day dots", "the style of lichtenstein", "a superhero comic", "comic book style", "a printed comic page", "a graphic novel", "a vintage comic with dots",
        "comics", "the style of a comic", "a dotted comic panel", "retro halftone comic",
    ],
}
TAILS = {
    "oil-painting": ["with thick paint", "with brush strokes", "on canvas", "painted by hand"],
    "watercolor": ["with soft edges", "on paper", "with wet washes", "with white paper showing"],
    "pencil-sketch": ["with hatching", "on white paper", "with clean lines", "in graphite", "black and white", "with shading", "hand drawn"],
    "anime": ["with clean lines", "with flat shading", "with ink outlines", "hand drawn"],
    "render-3d": ["with soft shadows", "with highlights", "with smooth shading", "with studio light"],
    "van-gogh": ["with swirling strokes", "with thick paint", "with blue and yellow", "on canvas"],
    "ukiyo-e": ["with wood grain", "with flat colours", "with outlines", "on old paper"],
    "comic-halftone": ["with dots", "with black ink", "with heavy outlines", "with a dot screen"],
}
# Other styles that people name, each with the painter that comes nearest.
KIN = {
    "oil-painting": ["rembrandt", "vermeer", "baroque", "renaissance", "monet", "impressionist", "impressionism", "cezanne", "a fresco", "acrylic", "rococo", "a portrait gallery", "turner", "classical art"],
    "watercolor": ["gouache", "pastel", "an ink wash", "a dreamy wash", "a children's book illustration", "chinese ink", "a fashion illustration", "tempera", "a botanical plate"],
    "pencil-sketch": ["charcoal", "an etching", "an engraving", "a ballpoint drawing", "crayon", "line art", "leonardo", "a chalk drawing", "a doodle", "crosshatching"],
    "anime": ["manga", "cyberpunk", "disney", "a music video animation", "vector art", "cel", "flat design", "fantasy", "pokemon", "a visual novel", "rotoscope"],
    "render-3d": ["pixar", "claymation", "clay", "lego", "unreal engine", "blender", "low poly", "a video game", "sculpture", "marble", "porcelain", "minecraft", "glass"],
    "van-gogh": ["expressionism", "munch", "the scream", "expressionist", "fauvism", "matisse", "psychedelic", "gauguin", "abstract art", "surrealism", "sunflowers"],
    "ukiyo-e": ["linocut", "a poster from the twenties", "art nouveau", "klimt", "a stained glass window", "sumi", "batik", "mucha", "art deco", "a travel poster"],
    "comic-halftone": ["warhol", "marvel", "screen print", "risograph", "newspaper print", "stippling", "pointillism", "noir comic", "batman", "street art", "graffiti", "retro poster"],
}
# What a modifier does to a painting is in train.modify; bold and fine are the painter's own scale.
MODIFIERS = {
    "vibrant": ["vibrant colors", "vibrant colours", "vivid colors", "rich saturated colors", "more colorful", "bright vivid colours", "intense color", "strong colours", "vibrant"],
    "muted": ["muted colors", "muted colours", "pale faded colors", "desaturated", "soft dull tones", "less color", "washed out colours", "subdued tones", "muted"],
    "warm": ["warm colors", "warm tones", "warm light", "golden light", "a warm palette", "sunset colours", "orange tones", "warm"],
    "cool": ["cool colors", "cool tones", "cold light", "a cool blue palette", "icy colours", "blue tones", "cold colors", "cool"],
    "dark": ["dark", "dark and moody", "low key", "darker", "in deep shadow", "night mood", "dim light", "dark tones"],
    "bright": ["bright", "high key", "brighter", "light and airy", "full of light", "lighter tones", "bright light", "bright and light"],
    "monochrome": ["monochrome", "in monochrome", "black and white", "in shades of grey", "grayscale", "without color", "in gray tones", "no colour"],
    "bold": ["bold strokes", "broad strokes", "big bold brush strokes", "wide strokes", "coarse strokes", "large strokes", "with bold strokes", "rough and bold"],
    "fine": ["fine strokes", "small fine strokes", "delicate strokes", "thin fine strokes", "fine detail", "with fine strokes", "small strokes", "detailed and fine"],
}
NEUTRAL_PHRASES = [
    NEUTRAL_PROMPT, "leave this as it is", "leave the image as it is", "change nothing", "do not change anything", "keep it as it is", "keep the original",
    "keep the picture the same", "no change", "no style", "original image", "the original video", "show the original", "as it is", "do nothing",
    "leave it alone", "leave it unchanged", "just the camera", "plain video", "natural", "realistic photo", "a photograph", "no effect", "without any style",
    "unchanged", "same as the source", "keep everything the same", "pass through", "off", "none",
]
# Other people's words, so that a sentence outside the grammar still becomes words and not letters.
COMMON = """
a about above across after again against all almost along also always am among an and any are around artist as at away back bad be because
beautiful been before behind being below best better between big bird black blue body both bottom bright brown brush but by camera can car cartoon
cat child city classic clean clear close cloud cold color colors colour colours comic comics could crisp dark day deep detail details did different dim
do does dog done dots down dramatic draw drawing drawn dream during each edge edges effect else even every everything eye eyes face faces famous
fast few fill film fine fire first flat flower flowers for forest from full game garden gentle get give glow go gold golden good got great green
grey gray ground had hair half halftone hand hands happy hard has have he head heavy her here high him his home house how i ice if image in
ink into is it its japanese job just keep kind know lake land landscape large last leaf leaves left less let life light like line lines little
living long look looks lot low loud made make man many master me medium men mild modern monochrome mood moon more morning most mountain mouth
move much muted music my nature near never new next nice night no none not nothing now of off oil old on one only open or orange other our
out outline over paint painted painter painting paper part pastel people perfect person photo picture pink place plain please portrait poster pretty
print pure purple quick quiet rain real really red render rendered right river rock room rough round sad same saturated scene screen sea see
set shade shaded shading shadow shadows shape sharp she shine shiny show side simple sketch sky slow small smile smooth snow so soft
some something spring star starry stars still stone storm street strong stroke strokes studio style stylize subtle summer sun sunset sweet table take tall
than that the their them then there these they thick thin thing things this those through time to today together tone tones too top touch town
tree trees true turn turned two under up use van gogh very video view vivid walk wall want war warm was wash water watercolor watercolour
wave way we week well were wet what when where white who whole why wide wild will wind window winter with woman women wood word work world
would year yellow yes you young your anime manga cel shaded ukiyo e woodblock render 3d three dimensional pixar clay comic book pop art halftone
vintage retro noir neon abstract expressive impressionist impressionism baroque renaissance modernist surreal cubist minimal minimalist sepia cool
""".split()

# Those that anyone sees in what is painted (models/lite/README.md), as the manifest gives them to controls; the strongest first.
OFFERED_MODIFIERS = ("bright", "dark", "monochrome", "warm", "cool", "muted", "vibrant")

_PIECES = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3400-\u9fff\uf900-\ufaff]+|[^\s]", re.UNICODE)


def phrases(style):
    """Every phrase of a style by the grammar, without modifiers, in a fixed order; the preset's own text first."""
    if style == NEUTRAL:
        polite = ["", "please ", "just "]
        return [p + phrase for phrase in NEUTRAL_PHRASES for p in polite]
    made = [PRESETS[style]]
    for verb, noun, tail in itertools.product(VERBS, NOUNS[style], ["", *TAILS[style]]):
        made.append((f"{verb} {noun}".strip() + (f", {tail}" if tail else "")))
    for word in KIN[style]:
        made += [word, f"{word} style", f"in the style of {word}", f"make this look like {word}", f"transfer this to {word} style"]
    return list(dict.fromkeys(made))


def split(style, held_share=0.1):
    """(training phrases, held-out phrases); presets and the neutral prompt are always trained on."""
    everything = phrases(style)
    keep = {NEUTRAL_PROMPT, *PRESETS.values()}
    chosen = random.Random(f"held {style}")
    held = {p for p in everything if p not in keep and chosen.random() < held_share}
    return [p for p in everything if p not in held], sorted(held)


def modifier_words(name, held=False):
    """How a modifier is said: one way in four is held out of training."""
    return [words for i, words in enumerate(MODIFIERS[name]) if (i % 4 == 3) == held]


def offered_modifiers():
    """Modifiers for the manifest: what a control says, and the words that it adds to a prompt."""
    return [{"name": name, "phrase": MODIFIERS[name][0]} for name in OFFERED_MODIFIERS]


def modified(phrase, modifiers, rng, held=False):
    """The phrase with words for each modifier, before or after it; rng is a numpy Generator."""
    for name in modifiers:
        words = modifier_words(name, held)
        words = words[int(rng.integers(len(words)))]
        phrase = (f"{phrase}, {words}", f"{phrase} with {words}" if " " in words else f"{words} {phrase}", f"{words}, {phrase}")[int(rng.choice(3, p=[0.6, 0.25, 0.15]))]
    return phrase


def vocabulary():
    """Token -> id. Words of the grammar and of common English, then single characters and ##characters."""
    words = set(COMMON)
    for style in (NEUTRAL, *PRESETS):
        for phrase in phrases(style):
            words.update(pretokenize(phrase))
    for said in itertools.chain(*MODIFIERS.values()):
        words.update(pretokenize(said))
    characters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    endings = ["s", "ed", "ing", "er", "ly", "y", "ish", "ist", "est", "ful", "less", "al", "ic", "en", "es"]
    tokens = SPECIAL + characters + ["##" + c for c in characters] + ["##" + e for e in endings if len(e) > 1]
    tokens += sorted(words - set(tokens))
    return {token: i for i, token in enumerate(tokens)}


def pretokenize(text):
    """Lower case without accents, split at white space and punctuation, as BertNormalizer and BertPreTokenizer do."""
    text = unicodedata.normalize("NFD", text.lower())
    text = "".join(c for c in text if unicodedata.category(c) != "Mn")
    return _PIECES.findall(text)


class WordPiece:
    """text -> (ids, mask), both MAX_LENGTH long: [CLS] tokens [SEP] [PAD]..."""

    def __init__(self, tokens=None):
        self.tokens = tokens or vocabulary()

    def word(self, word):
        """The ids of one word: the longest known beginning, then ##rest; [UNK] when some part is unknown."""
        ids, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = ("##" if start else "") + word[start:end]
                if piece in self.tokens:
                    ids.append(self.tokens[piece])
                    start = end
                    break
            else:
                return [self.tokens["[UNK]"]]
        return ids if len(word) <= 100 else [self.tokens["[UNK]"]]

    def __call__(self, text):
        body = [i for word in pretokenize(text) for i in self.word(word)][: MAX_LENGTH - 2]
        ids = [self.tokens["[CLS]"], *body, self.tokens["[SEP]"]]
        rest = MAX_LENGTH - len(ids)
        return ids + [0] * rest, [1] * len(ids) + [0] * rest


def tokenizer_json(tokens=None):
    """The same tokenizer as a Hugging Face tokenizer.json."""
    tokens = tokens or vocabulary()
    special = [
        {"id": tokens[t], "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for t in SPECIAL
    ]
    piece = lambda kind, name, segment: {kind: {"id": name, "type_id": segment}}
    return json.dumps(
        {
            "version": "1.0",
            "truncation": {"direction": "Right", "max_length": MAX_LENGTH, "strategy": "LongestFirst", "stride": 0},
            "padding": {
                "strategy": {"Fixed": MAX_LENGTH}, "direction": "Right", "pad_to_multiple_of": None,
                "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
            },
            "added_tokens": special,
            "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [piece("SpecialToken", "[CLS]", 0), piece("Sequence", "A", 0), piece("SpecialToken", "[SEP]", 0)],
                "pair": [
                    piece("SpecialToken", "[CLS]", 0), piece("Sequence", "A", 0), piece("SpecialToken", "[SEP]", 0),
                    piece("Sequence", "B", 1), piece("SpecialToken", "[SEP]", 1),
                ],
                "special_tokens": {t: {"id": t, "ids": [tokens[t]], "tokens": [t]} for t in ("[CLS]", "[SEP]")},
            },
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": tokens,
            },
        },
        ensure_ascii=False, indent=1,
    )
