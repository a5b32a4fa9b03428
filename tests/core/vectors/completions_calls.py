"""Golden calls that only completions has: prompts of four kinds, several answers, JSON by vLLM's fields."""

from tests.core.vectors.call_parts import BASES, MODEL, compact, row


def of_completions():
    """What only completions bodies have: prompts of four kinds, several answers, JSON by vLLM's fields."""
    base = BASES["completions"]
    prompts = ["", "hi ", ["hi"], ["a", "b"], ["b", "a"], [1, 2], [1.0, 2.0], [[1, 2]], [[1], [2]], []]
    prompts += [[True], ["a", 1], ["a", [1]], [None], [{}]]
    others = [{"prompt": prompt} for prompt in prompts]
    others += [
        {"n": 0},
        {"n": 2},
        {"n": 2, "temperature": 0},
        {"best_of": 1},
        {"echo": True, "max_tokens": 0, "logprobs": 0},
        {"suffix": ""},
        {"stop": "a"},
        {"stop": ["a"]},
        {"stop": ["a", 1]},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"minimum": 1.0}}}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"minimum": 1}}}},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": 1}},
        {"guided_json": {"minimum": 1.0}},
        {"structured_outputs": {"json": {"minimum": 1.0}}},
        {"seed": 1},
        {"top_k": 1},
        {"models": [MODEL, "b"]},
        {"models": [MODEL, 1]},
        {"stream": True, "stream_options": {"include_usage": 1}},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"store": True},
        {"service_tier": "flex"},
        {"metadata": {"a": "b"}},
        {"requesty": {"zone": "eu", "user_id": "u", "tags": ["t"], "extra": {"a": 1.0}}},
    ]
    for other in others:
        yield row(compact(other), "completions", {**base, **other})
    for model in ("policy/a", "", None, 1, "sonar"):
        yield row(f"model {compact(model)}", "completions", {**base, "model": model})
    yield row("no prompt", "completions", {"model": MODEL})
