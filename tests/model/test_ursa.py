import json
import shutil

import numpy as np
import pytest
import torch

from ursa_ray.errors import CheckpointError, OptionError
from ursa_ray.model import Ursa

CASES = [
    ("fsq", "text_to_image"),
    ("fsq", "text_to_video"),
    ("fsq", "image_to_video"),
    ("fsq", "video_to_video"),
    ("fsq", "no_guidance"),
    ("fsq", "shift_override"),
    ("ibq", "text_to_image"),
]


@pytest.fixture(scope="session")
def small(random_checkpoint):
    return Ursa.from_pretrained(str(random_checkpoint), device="cpu")


@pytest.fixture(scope="session")
def fsq(golden_folder):
    return Ursa.from_pretrained(str(golden_folder / "tiny-fsq"), device="cpu")


@pytest.fixture(scope="session")
def clip():
    """17 frames of 96 x 64 pixels, the default size of `small`."""
    return np.random.default_rng(0).integers(0, 256, (17, 64, 96, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def published(golden, cases, kind):
    """Arguments of a recorded case by name, and its codes."""

    def arguments(name):
        case = cases["cases"][f"{kind}.{name}"]
        options = {"guidance_scale": 7.0, "cond_noise_scale": 0.0} | {
            key: value for key, value in case.items() if key not in ("shift", "seed", "shape")
        }
        condition = {"image_to_video": "image", "video_to_video": "video"}.get(name)
        if condition is not None:
            options[condition] = golden[f"case.{condition}"].numpy()
        return options | {
            "height": cases[kind]["height"],
            "width": cases[kind]["width"],
            "num_inference_steps": cases[kind]["steps"],
            "flow_shift": case["shift"],
            "guidance_trunc": 0.9,
            "max_prompt_length": 48,
            "generator": torch.Generator().manual_seed(case["seed"]),
            "sampler": "published",
        }

    return arguments


def test_every_recorded_case_is_replayed(cases):
    assert sorted(cases["cases"]) == sorted(".".join(case) for case in CASES)


@pytest.mark.parametrize(("kind", "name"), CASES, indirect=["kind"], scope="session")
def test_a_whole_run_gives_the_published_codes(ursa, cases, golden, published, name):
    codes = ursa.generate(cases["prompt"], cases["negative_prompt"], **published(name))
    assert codes.dtype == torch.int64
    assert torch.equal(codes, golden[f"case.{name}.latents"][0].long())


def test_prompts_have_the_published_ids(ursa, golden, cases):
    assert ursa.text.encode(cases["prompt"], 48) == golden["prompt_ids"][0].tolist()
    assert ursa.text.encode(cases["negative_prompt"], 48) == golden["negative_prompt_ids"][0].tolist()


def frames_of(golden):
    pixels = golden["vae.pixels"][0]
    if pixels.ndim == 3:  # an image
        pixels = pixels[:, None]
    return pixels.permute(1, 2, 3, 0).numpy()


def test_frames_have_the_published_codes(ursa, golden, kind):
    codes = golden["vae.codes"][0].long()
    assert torch.equal(ursa.encode(frames_of(golden)), codes if kind == "fsq" else codes[None])


def test_an_image_has_the_codes_of_a_clip_of_one_frame(ursa, golden):
    image = frames_of(golden)[0]
    codes = ursa.encode(image)
    assert torch.equal(codes, ursa.encode(image[None]))
    if "vae.codes_first_frame" in golden:
        assert torch.equal(codes, golden["vae.codes_first_frame"][0].long())


def test_codes_decode_to_the_published_bytes(ursa, golden):
    codes = golden["case.text_to_image.latents"][0].long()
    frames, expected = ursa.decode(codes), golden["case.text_to_image.pixels"].flatten(0, -4).numpy()
    assert frames.dtype == np.uint8 and frames.shape == expected.shape
    # Float32 sums in another order put a value that is nearly whole below or above it: 2 of 18,432 here.
    other = frames != expected
    assert other.mean() < 0.001
    exact = ursa.tokenizer.decode(codes[None])[0].movedim(0, -1).double().numpy() * 127.5 + 127.5
    assert np.abs(exact - exact.round())[other].max(initial=0) < 1e-3
    assert np.abs(frames.astype(int) - expected).max() <= 1


def test_values_are_cut_to_bytes_not_rounded(ursa, golden):
    codes = golden["vae.codes"].long().reshape(ursa.encode(frames_of(golden)).shape)
    exact = golden["vae.decoded"].double().numpy() * 127.5 + 127.5
    found = ursa.decode(codes).transpose(3, 0, 1, 2).reshape(exact.shape)
    inside = (exact > 1) & (exact < 255)
    assert (found == np.floor(exact))[inside].mean() > 0.999
    assert (found == exact.round())[inside].mean() < 0.6


@pytest.mark.parametrize("num_frames", [1, 5, 17])
def test_decoding_undoes_the_sizes_of_encoding(small, clip, num_frames):
    codes = small.encode(clip[:num_frames])
    assert codes.shape == ((num_frames - 1) // 4 + 1, 8, 12)
    frames = small.decode(codes)
    assert frames.shape == (num_frames, 64, 96, 3)
    assert small.encode(frames).shape == codes.shape


def test_a_model_has_sizes_of_its_own(small):
    codes = small.generate("a bear")
    assert codes.shape == (5, 8, 12)
    assert [step for step, _ in small.generate_steps("a bear")] == list(range(1, 11))


def test_a_model_without_default_sizes_asks_for_them(ursa):
    with pytest.raises(OptionError, match=r"^height is missing, and .* has no default for it\.$"):
        ursa.generate("a bear", width=96)


@pytest.mark.parametrize("num_frames", [1, 5])
def test_a_condition_of_one_frame_is_an_image(small, clip, num_frames):
    same = {"num_frames": num_frames, "num_inference_steps": 3, "cond_noise_scale": 0.2}
    for sampler in ("fast", "published"):
        image = small.generate("a bear", image=clip[0], sampler=sampler, **same)
        assert torch.equal(image, small.generate("a bear", video=clip[:1], sampler=sampler, **same))


def start_of(ursa, **options):
    """Start codes: the first step of several cannot change any."""
    _, codes = next(ursa.generate_steps("a bear", num_inference_steps=4, **options))
    return codes


def test_the_first_step_leaves_the_start_codes_and_only_it(small):
    random = start_of(small, seed=3)
    steps = dict(small.generate_steps("a bear", num_inference_steps=4, seed=3))
    assert torch.equal(steps[1], random)
    assert not torch.equal(steps[2], random)
    assert not torch.equal(steps[4], steps[3])


@pytest.mark.parametrize("sampler", ["fast", "published"])
def test_a_condition_replaces_the_first_latent_frames_of_the_start(small, clip, sampler):
    random = start_of(small, sampler=sampler)
    start = start_of(small, sampler=sampler, video=clip[:5])
    assert torch.equal(start[:2], small.encode(clip[:5]))
    assert torch.equal(start[2:], random[2:])


@pytest.mark.parametrize("sampler", ["fast", "published"])
def test_indices_place_both_ends_of_a_full_length_condition(small, clip, sampler):
    random = start_of(small, sampler=sampler)
    start = start_of(small, sampler=sampler, video=clip, cond_indices=[0, 4])
    given = small.encode(clip)
    assert torch.equal(start[[0, 4]], given[[0, 4]])
    assert torch.equal(start[1:4], random[1:4])
    assert not torch.equal(start[1:4], given[1:4])


def test_no_indices_place_nothing(small, clip):
    assert torch.equal(start_of(small, video=clip, cond_indices=[]), start_of(small))


def test_a_noised_condition_is_partly_the_given_one(fsq, golden_folder):
    clip = np.random.default_rng(0).integers(0, 256, (17, 64, 96, 3), dtype=np.uint8)
    size = {"height": 64, "width": 96, "num_frames": 17, "max_prompt_length": 48, "video": clip}
    given = fsq.encode(clip)
    kept = [
        float((start_of(fsq, cond_noise_scale=scale, **size) == given).float().mean()) for scale in (0, 0.01, 0.2, 0.9)
    ]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] == 1 and 0 < kept[2] < kept[1] < 1 and kept[3] < 0.01


def test_the_condition_is_resampled_in_the_end(small, clip):
    """As published, nothing is clamped: with random weights no condition survives."""
    codes = small.generate("a bear", video=clip, num_inference_steps=4)
    assert (codes == small.encode(clip)).float().mean() < 0.05


@pytest.mark.parametrize("sampler", ["fast", "published"])
def test_a_seed_decides_the_codes(small, sampler):
    once, again, other = (small.generate("a bear", seed=seed, sampler=sampler) for seed in (5, 5, 6))
    assert torch.equal(once, again)
    assert (once == other).float().mean() < 0.1


def test_prompts_and_negative_prompts_matter(small):
    codes = [
        small.generate(*texts, num_inference_steps=4)
        for texts in (("a bear",), ("a house",), ("a bear", "blurry"), ("a bear", ""))
    ]
    assert torch.equal(codes[0], codes[3])
    assert not torch.equal(codes[0], codes[1])
    assert not torch.equal(codes[0], codes[2])


def test_a_generator_decides_the_codes_of_the_fast_sampler(small):
    generator = torch.Generator().manual_seed(1)
    first, second = (small.generate("a bear", generator=generator, seed=9) for _ in range(2))
    again = small.generate("a bear", generator=torch.Generator().manual_seed(1))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("sampler", ["fast", "published"])
@pytest.mark.parametrize("scale", [1, 0.5, 0])
def test_without_guidance_the_negative_prompt_does_not_matter(small, sampler, scale):
    same = {"sampler": sampler, "num_inference_steps": 4}
    blurry = small.generate("a bear", "blurry", guidance_scale=scale, **same)
    assert torch.equal(blurry, small.generate("a bear", "", guidance_scale=scale, **same))
    assert torch.equal(blurry, small.generate("a bear", guidance_scale=1, **same))
    assert not torch.equal(blurry, small.generate("a bear", "blurry", **same))


def test_guidance_that_never_acts_gives_the_codes_of_no_guidance(small):
    truncated = small.generate("a bear", "blurry", guidance_trunc=0, num_inference_steps=6)
    assert torch.equal(truncated, small.generate("a bear", guidance_scale=1, num_inference_steps=6))


def test_the_shift_of_the_checkpoint_is_the_default(small):
    default = small.generate("a bear", num_inference_steps=6)
    assert torch.equal(default, small.generate("a bear", num_inference_steps=6, flow_shift=3))
    assert not torch.equal(default, small.generate("a bear", num_inference_steps=6, flow_shift=1))


@pytest.mark.parametrize("sampler", ["fast", "published"])
@pytest.mark.parametrize("shift", [0.1, 0.7, 2.7])
def test_an_unusual_shift_still_rests_in_its_first_step(golden_folder, small, tmp_path, sampler, shift):
    """Its exact time 0 matters most for exponents below 1, where beta has no slope at 0."""
    half = copy_of(small.checkpoint.folder, tmp_path, "scheduler/scheduler_config.json", alpha=0.5, c=6.0)
    start = [
        start_of(Ursa.from_pretrained(str(half), device="cpu"), sampler=sampler, flow_shift=other)
        for other in (shift, 3.0)
    ]
    assert torch.equal(*start)


@pytest.mark.parametrize("path", [{}, {"alpha": None, "c": None}], ids=["metric", "mixture"])
def test_from_every_step_a_run_goes_on_to_the_same_codes(small, tmp_path, clip, path):
    folder = copy_of(small.checkpoint.folder, tmp_path, "scheduler/scheduler_config.json", **path)
    ursa = Ursa.from_pretrained(str(folder), device="cpu")
    same = {"num_inference_steps": 6, "seed": 11, "video": clip[:5], "cond_noise_scale": 0.1}
    steps = list(ursa.generate_steps("a bear", "blurry", **same))
    final = steps[-1][1]
    for step, codes in steps:
        kept = codes.clone()
        *_, (last, resumed) = ursa.generate_steps("a bear", "blurry", resume=(step, codes), **same)
        assert (last, resumed.tolist()) == (6, final.tolist())
        assert torch.equal(codes, kept)
        assert torch.equal(ursa.generate("a bear", "blurry", resume=(step, codes), **same), final)


@pytest.mark.parametrize("sampler", ["fast", "published"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_runs_on_a_cpu(kind, golden_folder, golden, sampler, dtype):
    ursa = Ursa.from_pretrained(str(golden_folder / f"tiny-{kind}"), device="cpu", dtype=dtype)
    frames = frames_of(golden)
    size = {"num_frames": len(frames), "height": frames.shape[1], "width": frames.shape[2], "max_prompt_length": 48}
    if kind == "fsq":
        size |= {"image": frames[0], "cond_noise_scale": 0.1}
    codes = ursa.generate("a bear", num_inference_steps=3, sampler=sampler, **size)
    assert codes.shape == ursa.encode(frames).shape
    assert codes.min() >= 0 and codes.max() < ursa.tokenizer.num_codes
    assert ursa.decode(codes).shape == frames.shape


def copy_of(folder, to, file, **changes):
    copied = shutil.copytree(folder, to / "copy", copy_function=shutil.copyfile)
    raw = json.loads((copied / file).read_text())
    (copied / file).write_text(json.dumps(raw | changes))
    return copied


def black(*shape, dtype=np.uint8):
    return np.zeros(shape, dtype)


CLIP = black(17, 64, 96, 3)

BAD_OPTIONS = {
    "a name that is none": ({"steps": 4}, r"^generate\(\) has no option 'steps'\. Options: height, width, .*sampler"),
    "a width between": ({"width": 90}, r"^width is 90, expected a multiple of 8\.$"),
    "a width of 0": ({"width": 0}, r"^width is 0, expected a multiple of 8\.$"),
    "a negative height": ({"height": -64}, r"^height is -64, expected a multiple of 8\.$"),
    "a fraction of a pixel": ({"height": 64.0}, r"^height is 64\.0, expected a whole number\.$"),
    "frames between": ({"num_frames": 16}, r"^num_frames is 16, expected 1 more than a multiple of 4\.$"),
    "no frames": ({"num_frames": 0}, r"^num_frames is 0, expected at least 1\.$"),
    "frames as text": ({"num_frames": "17"}, r"^num_frames is '17', expected a whole number\.$"),
    "frames as a flag": ({"num_frames": True}, r"^num_frames is True, expected a whole number\.$"),
    "negative steps": ({"num_inference_steps": -1}, r"^num_inference_steps is -1, expected at least 1\.$"),
    "no steps": ({"num_inference_steps": 0}, r"^num_inference_steps is 0, expected at least 1\.$"),
    "no prompt": ({"max_prompt_length": 0}, r"^max_prompt_length is 0, expected at least 1\.$"),
    "a shift of 0": ({"flow_shift": 0}, r"^flow_shift is 0\.0, expected more than 0\.$"),
    "an infinite shift": ({"flow_shift": float("inf")}, r"^flow_shift is inf, expected a number\.$"),
    "guidance that is no number": ({"guidance_scale": float("nan")}, r"^guidance_scale is nan, expected a number\.$"),
    "guidance as text": ({"guidance_scale": "7"}, r"^guidance_scale is '7', expected a number\.$"),
    "a time past the end": ({"guidance_trunc": 1.5}, r"^guidance_trunc is 1\.5, expected a time from 0 to 1\.$"),
    "noise alone": ({"cond_noise_scale": 1}, r"^cond_noise_scale is 1\.0, expected 0 or more and less than 1\.$"),
    "negative noise": ({"cond_noise_scale": -0.1}, r"^cond_noise_scale is -0\.1, expected 0 or more and less"),
    "a negative seed": ({"seed": -1}, r"^seed is -1, expected 0 to 2\*\*64 - 1\.$"),
    "a large seed": ({"seed": 2**64}, r"^seed is 18446744073709551616, expected 0 to 2\*\*64 - 1\.$"),
    "a sampler that is none": ({"sampler": "euler"}, r"^sampler is 'euler', expected 'fast' or 'published'\.$"),
    "a generator that is none": ({"generator": 1}, r"^generator is 1, expected a torch\.Generator\.$"),
    "two conditions": ({"image": CLIP[0], "video": CLIP}, r"^image and video are both given, expected at most one\.$"),
    "a small image": ({"image": black(56, 96, 3)}, r"^image is uint8 \(56, 96, 3\), expected uint8 .* \(64, 96\)"),
    "an image on its side": (
        {"image": black(96, 64, 3)},
        r"^image is uint8 \(96, 64, 3\), expected uint8 .* \(64, 96\)",
    ),
    "an image of floats": ({"image": black(64, 96, 3, dtype=np.float32)}, r"^image is float32 \(64, 96, 3\), expected"),
    "channels first": (
        {"image": black(3, 64, 96)},
        r"^image is uint8 \(3, 64, 96\), expected uint8 \(height, width, 3\)",
    ),
    "an alpha channel": ({"image": black(64, 96, 4)}, r"^image is uint8 \(64, 96, 4\), expected"),
    "a path": ({"image": "bear.png"}, r"^image is <U8 \(\), expected uint8"),
    "a path as video": ({"video": "bear.mp4"}, r"^video is <U8 \(\), expected uint8 \(frames, height, width, 3\) of"),
    "an image as video": (
        {"video": CLIP[0]},
        r"^video is uint8 \(64, 96, 3\), expected uint8 \(frames, height, width, 3\)",
    ),
    "a video as image": ({"image": CLIP[:1]}, r"^image is uint8 \(1, 64, 96, 3\), expected uint8 \(height, width, 3\)"),
    "a video between": (
        {"video": CLIP[:4]},
        r"^video has 4 frames, expected 1 more than a multiple of 4, at most 17\.$",
    ),
    "a video of nothing": ({"video": CLIP[:0]}, r"^video has 0 frames, expected 1 more than a multiple of 4"),
    "a long video": ({"video": black(21, 64, 96, 3)}, r"^video has 21 frames, expected .* at most 17\.$"),
    "a video for an image": ({"video": CLIP[:5], "num_frames": 1}, r"^video has 5 frames, expected .* at most 1\.$"),
    "an index past the end": (
        {"video": CLIP[:5], "cond_indices": (0, 2)},
        r"^cond_indices are \[0, 2\], expected 0 to 1",
    ),
    "a negative index": ({"video": CLIP, "cond_indices": (-1,)}, r"^cond_indices are \[-1\], expected 0 to 4"),
    "indices as text": ({"video": CLIP, "cond_indices": "04"}, r"^cond_indices are '04', expected whole numbers"),
    "indices of nothing": ({"cond_indices": (0,)}, r"^cond_indices are given without a condition, expected an image"),
    "resuming published": (
        {"sampler": "published", "resume": (1, torch.zeros(5, 8, 12, dtype=torch.int64))},
        r"^only the fast sampler with a seed can be resumed",
    ),
    "resuming a generator": (
        {"generator": torch.Generator(), "resume": (1, torch.zeros(5, 8, 12, dtype=torch.int64))},
        r"^only the fast sampler with a seed can be resumed",
    ),
    "resuming other codes": (
        {"resume": (1, torch.zeros(4, 8, 12, dtype=torch.int64))},
        r"^resume is step 1 with codes \(4, 8, 12\), expected step 0 to 10 with codes \(5, 8, 12\)\.$",
    ),
    "resuming past the end": (
        {"resume": (11, torch.zeros(5, 8, 12, dtype=torch.int64))},
        r"^resume is step 11 with codes \(5, 8, 12\), expected step 0 to 10 with codes \(5, 8, 12\)\.$",
    ),
}


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_a_bad_option_is_refused_by_its_name(small, options, message):
    with pytest.raises(OptionError, match=message):
        small.generate("a bear", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"num_frames": np.int64(5), "guidance_scale": np.float32(7), "seed": np.uint64(3)},
        {"video": CLIP, "cond_indices": range(2)},
        {"video": torch.from_numpy(CLIP), "num_frames": None, "generator": None},
        {"seed": 2**64 - 1},
        {"seed": 2**64 - 1, "sampler": "published"},
    ],
)
def test_what_stands_for_a_good_option_is_taken(small, options):
    assert small.generate("a bear", num_inference_steps=2, **options).shape[1:] == (8, 12)


@pytest.mark.parametrize("condition", ["image", "video"])
def test_an_image_model_refuses_conditions(golden_folder, condition):
    ursa = Ursa.from_pretrained(str(golden_folder / "tiny-ibq"), device="cpu")
    value = {"image": black(64, 96, 3), "video": black(1, 64, 96, 3)}[condition]
    with pytest.raises(OptionError, match=r"tiny-ibq makes images from text alone; image and video need a video model"):
        ursa.generate("a bear", height=64, width=96, **{condition: value})


@pytest.mark.parametrize(("code", "found"), [(-1, "-1 to 5"), (1000, "5 to 1000")])
def test_codes_of_another_model_are_not_decoded(small, code, found):
    codes = torch.full((1, 8, 12), 5)
    codes[0, 0, 0] = code
    with pytest.raises(OptionError, match=rf"^codes are {found}, expected 0 to 999\.$"):
        small.decode(codes)


@pytest.mark.parametrize("frames", [black(64, 96), black(1, 64, 96, 4), black(64, 96, 3, dtype=np.int64), "bear.png"])
def test_what_is_no_frames_is_not_encoded(small, frames):
    with pytest.raises(OptionError, match=r"^frames are .*, expected uint8 \(frames, height, width, 3\) or"):
        small.encode(frames)


def test_frames_of_a_size_between_are_not_encoded(small):
    with pytest.raises(OptionError, match=r"^height is 60, expected a multiple of 8\. Nearest: 56 or 64\.$"):
        small.encode(black(60, 96, 3))


def test_frames_that_cannot_be_written_to_are_encoded(small, clip):
    frozen = clip.copy()
    frozen.flags.writeable = False
    assert torch.equal(small.encode(frozen), small.encode(clip))


def test_gradients_are_never_kept(small, clip):
    assert not small.generate("a bear", num_inference_steps=2).requires_grad
    assert torch.is_grad_enabled()
    for _ in small.generate_steps("a bear", num_inference_steps=2):
        assert torch.is_grad_enabled()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_not_asked_for_weights():
    with pytest.raises(OptionError, match=r"^device is cuda:0, but torch .* finds no GPU here\."):
        Ursa.from_pretrained("org/model", device="cuda:0")


def test_parts_of_different_models_are_refused(golden_folder, tmp_path):
    folder = shutil.copytree(golden_folder / "tiny-fsq", tmp_path / "mixed", copy_function=shutil.copyfile)
    shutil.rmtree(folder / "vae")
    shutil.copytree(golden_folder / "tiny-ibq" / "vae", folder / "vae", copy_function=shutil.copyfile)
    with pytest.raises(CheckpointError, match=r"the tokenizer has 640 codes, the transformer scores 64000\.$"):
        Ursa.from_pretrained(str(folder), device="cpu")
