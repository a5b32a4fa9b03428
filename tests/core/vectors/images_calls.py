"""Golden calls that only images/generations has: seeds, streams, pictures that are named by their URL."""

from tests.core.vectors.call_parts import BASES, MODEL, compact, row


def of_images():
    """What only bodies of images have: seeds, streams, pictures that are named by their URL."""
    base = BASES["images/generations"]
    others = [
        {"prompt": ""},
        {"prompt": None},
        {"seed": 7},
        {"seed": 7.0},
        {"seed": 0},
        {"seed": -1},
        {"n": 0},
        {"n": 2},
        {"n": 2, "seed": 7},
        {"size": "1024x1024"},
        {"size": "auto"},
        {"stream": False, "partial_images": 0},
        {"stream": True, "partial_images": 2},
        {"svg": {"model": "openai/m", "reasoning": {"effort": "low"}}},
        {"image_url": "https://e.com/a.png"},
        {"images": [{"url": "https://e.com/a.png"}]},
        {"user": "u", "safety_identifier": "s"},
        {"models": [MODEL, "b"]},
        {"models": [MODEL, "sonar"]},
        {"models": [MODEL, 1]},
        {"store": True},
        {"requesty": {"zone": "eu", "user_id": "u", "tags": ["t"], "extra": {"a": 1.0}}},
    ]
    for other in others:
        yield row(compact(other), "images/generations", {**base, **other})
    for model in ("policy/a", "", None, 1, "sonar"):
        yield row(f"model {compact(model)}", "images/generations", {**base, "model": model})
    yield row("no prompt", "images/generations", {"model": MODEL})
