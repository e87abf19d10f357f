"""A bundle gives back the model, alone, and refuses what is damaged, foreign or too large."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.bundle import Bundle, load_bundle, save_bundle
from core.durable import json_bytes, manifest
from core.errors import ConfigError, IntegrityError, ResourceError
from tests.core.tiny import MIXED, TOKENIZER, tiny_model, write_bundle

FILES = ["MANIFEST.json", "card.md", "config.json", "metrics.json", "model.safetensors", "tokenizer.json"]


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle", tiny_model())


def rewrite(bundle, name, change):
    """Changes a JSON file and makes the manifest fit, as an attacker would."""
    value = json.loads((bundle / name).read_text())
    change(value)
    (bundle / name).write_text(json.dumps(value))
    remanifest(bundle)


def remanifest(bundle):
    listing = {"format": "foretell/bundle", "format_version": 1, "files": manifest(bundle)}
    (bundle / "MANIFEST.json").write_bytes(json_bytes(listing))


def test_what_is_saved_is_loaded(tmp_path):
    model = tiny_model(MIXED, pattern="SA")
    path = write_bundle(tmp_path / "bundle", model)
    loaded = load_bundle(path)
    assert isinstance(loaded, Bundle)
    assert sorted(p.name for p in path.iterdir()) == FILES
    assert loaded.spec == MIXED
    assert loaded.model.config == model.config
    assert (loaded.domain, loaded.objective, loaded.tokenizer) == ("dna", "next_token", TOKENIZER)
    assert loaded.training["tokens"] == 16
    for name, weight in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], weight), name
    assert not loaded.model.training


def test_whoever_may_read_the_config_may_read_the_weights(bundle):
    assert len({path.stat().st_mode for path in bundle.iterdir()}) == 1


def test_equal_models_have_equal_fingerprints_and_others_do_not(tmp_path):
    prints = {
        name: load_bundle(write_bundle(tmp_path / name, tiny_model(seed=seed))).fingerprint
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    }
    assert prints["a"] == prints["b"] != prints["c"]


def test_the_card_says_licence_source_use_and_metrics(bundle):
    card = load_bundle(bundle).card
    for part in (
        "licence: CC0",
        "source: made by a test",
        "use: tests",
        "validation_nats | 1.25",
        "Citation: not stated",
    ):
        assert part in card


def test_metrics_that_are_not_finite_become_null(tmp_path):
    path = write_bundle(tmp_path / "b", tiny_model(), metrics={"a": float("nan"), "b": [1.0, float("inf")]})
    assert load_bundle(path).metrics == {"a": None, "b": [1.0, None]}


def test_it_loads_without_lightning_hydra_or_pickle(bundle):
    code = (
        "import sys, pickle\n"
        "def refuse(*a, **k): raise RuntimeError('unpickled')\n"
        "pickle.loads = pickle.load = refuse\n"
        "from core.bundle import load_bundle\n"
        f"load_bundle({str(bundle)!r})\n"
        "print(sorted({'lightning', 'pytorch_lightning', 'hydra', 'omegaconf'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_or_a_missing_file_is_named(bundle, name):
    path = bundle / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    if name != "MANIFEST.json":  # a flip there changes what is expected, or makes it no JSON
        with pytest.raises(IntegrityError, match=name):
            load_bundle(bundle)
    else:
        with pytest.raises((IntegrityError, ConfigError)):
            load_bundle(bundle)
    path.unlink()
    with pytest.raises((IntegrityError, ConfigError), match=name):
        load_bundle(bundle)


def test_without_verify_only_sizes_are_compared(bundle):
    card = bundle / "card.md"
    card.write_text(card.read_text().replace("CC0", "CC1"))
    assert "CC1" in load_bundle(bundle, verify=False).card
    card.write_text("short")
    with pytest.raises(IntegrityError, match=r"card\.md"):
        load_bundle(bundle, verify=False)


@pytest.mark.parametrize(
    "key, value",
    [
        ("layers", 10**9),
        ("width", 10**12),
        ("context", 10**15),
        ("mlp_hidden", 2**62),
        ("chunk", 10**9),
        ("ngrams", [10**9]),
        ("width", "64"),
        ("width", True),
        ("qk_norm", 1),
        ("rope_base", None),
    ],
)
def test_a_config_that_claims_too_much_or_the_wrong_type_is_refused(bundle, key, value):
    rewrite(bundle, "config.json", lambda config: config["model"].update({key: value}))
    with pytest.raises(IntegrityError, match=r"config\.json"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    "change, error",
    [
        (lambda c: c.update(objective="next_tokem"), ConfigError),
        (lambda c: c["readouts"].update(tokens="categoricle"), ConfigError),
        (lambda c: c["model"].update(pattern="AX"), ConfigError),
        (lambda c: c["model"].update(_target_="os.system"), ConfigError),
        (lambda c: c.update(format="other"), IntegrityError),
        (lambda c: c.update(format_version=2), IntegrityError),
        (lambda c: c.pop("spec"), IntegrityError),
        (lambda c: c["spec"][0].pop("name"), IntegrityError),
        (lambda c: c["spec"][0]["symbols"].append("N"), IntegrityError),
    ],
)
def test_unknown_names_and_foreign_configs_are_refused(bundle, change, error):
    rewrite(bundle, "config.json", change)
    with pytest.raises(error):
        load_bundle(bundle)


def test_weights_that_do_not_fit_are_refused(bundle):
    weights = load_file(bundle / "model.safetensors")
    name = "readouts.tokens.proj.weight"
    for wrong, message in (
        ({k: v for k, v in weights.items() if k != name}, name),
        (weights | {"extra": torch.zeros(2)}, "extra"),
        (weights | {name: weights[name][:3].clone()}, name),
        (weights | {name: torch.full_like(weights[name], torch.nan)}, "not finite"),
    ):
        save_file(wrong, bundle / "model.safetensors")
        remanifest(bundle)
        with pytest.raises(IntegrityError, match=message):
            load_bundle(bundle)
    (bundle / "model.safetensors").write_bytes(b"\x80\x04" + b"\0" * 100)
    remanifest(bundle)
    with pytest.raises(IntegrityError, match=r"model\.safetensors"):
        load_bundle(bundle)


def test_a_manifest_may_not_reach_outside(bundle):
    rewrite_manifest = json.loads((bundle / "MANIFEST.json").read_text())
    rewrite_manifest["files"]["../other"] = rewrite_manifest["files"]["card.md"]
    (bundle / "MANIFEST.json").write_text(json.dumps(rewrite_manifest))
    with pytest.raises(IntegrityError, match="outside"):
        load_bundle(bundle)


def test_nothing_is_replaced_unless_told_and_a_failure_leaves_nothing(tmp_path, bundle):
    before = load_bundle(bundle).fingerprint
    with pytest.raises(ConfigError, match="exists"):
        write_bundle(bundle, tiny_model(seed=1))
    assert load_bundle(bundle).fingerprint == before
    write_bundle(bundle, tiny_model(seed=1), overwrite=True)
    assert load_bundle(bundle).fingerprint != before
    with pytest.raises(ConfigError, match="next_token"):
        write_bundle(tmp_path / "other", tiny_model(), objective="next_tokem")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle"]


def test_a_folder_that_is_no_bundle(tmp_path):
    with pytest.raises(ConfigError, match="not a bundle"):
        load_bundle(tmp_path)


def test_a_full_disk_is_a_resource_error_that_names_the_place(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.bundle.save_file", full)
    with pytest.raises(ResourceError, match="bundle"):
        save_bundle(
            tmp_path / "bundle", tiny_model(), tokenizer=TOKENIZER, domain="dna", metrics={}, card="", training={}
        )
    assert list(tmp_path.iterdir()) == []
