"""Calls whose model a policy chooses, and calls without a model: what is one call is the operator's word."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiered_cache.core.canonical import CACHEABLE_ENDPOINTS, Canonical, KeyOptions, canonicalise
from tiered_cache.core.keys import Keyer
from tiered_cache.core.models import is_dated
from tiered_cache.core.vocabulary import Bypass, Keyed, Request, Scope

BODIES = {
    "chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
    "messages": {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]},
    "responses": {"input": "hi", "store": False},
    "embeddings": {"input": ["a", "b"]},
    "rerank": {"query": "q", "documents": ["a"]},
    "moderations": {"input": "a"},
    "audio/speech": {"input": "a", "voice": "alloy"},
}
MODES = KeyOptions(policies={"fast": "pool", "mine": "pin", "never": "bypass"})
KEYED = KeyOptions(policies=MODES.policies, identity_fields="key")
CHAT = "chat/completions"
IDS = {"user_id": "u", "trace_id": "t"}


def raw(endpoint=CHAT, **fields) -> bytes:
    return json.dumps({**BODIES[endpoint], **fields}).encode()


def form(endpoint=CHAT, options=MODES, **fields) -> Canonical:
    made = canonicalise(endpoint, raw(endpoint, **fields), options)
    assert isinstance(made, Canonical)
    return made


def test_every_endpoint_is_tried_here():
    assert set(BODIES) <= CACHEABLE_ENDPOINTS


@pytest.mark.parametrize("endpoint", BODIES)
def test_a_policy_that_nobody_declared_is_not_cached(endpoint):
    assert form(endpoint, KeyOptions(), model="policy/fast").call.bypass == "policy-model"
    assert form(endpoint, model="policy/never").call.bypass == "policy-model"
    assert form(endpoint, model="policy/").call.bypass == "policy-model"


@pytest.mark.parametrize("endpoint", BODIES)
def test_a_pool_is_keyed_by_the_policys_name(endpoint):
    """SEMANTICS 1: `pool` (key on the policy's name)."""
    one = form(endpoint, model="policy/fast", requesty=IDS)
    assert one.call.bypass is None
    assert one.text == form(endpoint, model="policy/fast", requesty={"trace_id": "x", "tags": []}).text
    assert one.text == form(endpoint, model="policy/fast").text
    assert json.loads(one.text)["model"] == "policy/fast"


@pytest.mark.parametrize("options", [MODES, KEYED], ids=["drop", "key"])
@pytest.mark.parametrize("endpoint", BODIES)
def test_a_pin_is_keyed_by_the_sticky_ids_too(endpoint, options):
    """SEMANTICS 1: `pin` (on the sticky id too): trace_id and user_id choose the model."""

    def pinned(**ids):
        return form(endpoint, options, model="policy/mine", requesty=ids)

    made = [
        pinned(**ids) for ids in (IDS, {"user_id": "u"}, {"trace_id": "u"}, {"user_id": "v", "trace_id": "t"})
    ]
    assert [each.call.bypass for each in made] == [None] * 4
    assert len({each.text for each in made}) == 4
    for each in (
        pinned(),
        pinned(tags=["a"]),
        pinned(user_id=None),
        pinned(user_id="", trace_id=None),
        form(endpoint, options, model="policy/mine"),
    ):
        assert each.call.bypass == "policy-model", "without an id the policy chooses anew"


@pytest.mark.parametrize("endpoint", BODIES)
def test_a_pin_leaves_out_all_other_identity(endpoint):
    told = [
        form(endpoint, model="policy/mine", requesty=IDS),
        form(endpoint, model="policy/mine", requesty={**IDS, "tags": ["a"], "extra": {}, "auto_cache": True}),
    ]
    assert told[0].text == told[1].text
    assert told[0].elements == (), "a batch is one call there"


@pytest.mark.parametrize(
    ("model", "models", "bypass"),
    [
        ("policy/fast", ["policy/fast", "openai/x"], None),
        ("openai/x", ["openai/x", "policy/fast"], None),
        ("openai/x", ["openai/x", "policy/other"], "policy-model"),
        ("policy/fast", ["policy/fast", "policy/never"], "policy-model"),
        ("policy/fast", ["policy/fast", "policy/mine"], "policy-model"),
        (None, ["policy/other"], "no-model"),
    ],
)
def test_of_several_policies_the_strictest_mode_counts(model, models, bypass):
    """SEMANTICS 1: also in `models` fallback lists."""
    assert form(model=model, models=models).call.bypass == bypass


def test_a_list_with_a_pinned_policy_is_pinned():
    lists = {"model": "openai/x", "models": ["openai/x", "policy/mine", "policy/fast"]}
    one, other = form(**lists, requesty=IDS), form(**lists, requesty={"user_id": "other"})
    assert (one.call.bypass, other.call.bypass) == (None, None)
    assert one.text != other.text


@pytest.mark.parametrize("fields", [{"store": True}, {"tools": [{"type": "mcp"}]}, {"container": "c"}])
@pytest.mark.parametrize("model", ["policy/fast", "policy/mine"])
def test_no_mode_lifts_another_bypass(model, fields):
    assert form(model=model, requesty=IDS, **fields).call.bypass in {"side-effect", "origin-tool"}


def test_a_policy_is_no_dated_model_and_no_providers():
    assert not is_dated("policy/best-2024-08-06")
    assert (
        "parallel"
        in form(model="policy/openai/x", parallel_tool_calls=True, options=pool("openai/x")).text.decode()
    )


def pool(name: str) -> KeyOptions:
    return KeyOptions(policies={name: "pool"})


@pytest.mark.parametrize("models", [[1], "policy/mine", {"policy/mine": 1}])
def test_a_list_of_the_wrong_type_is_still_refused(models):
    refused = canonicalise(CHAT, raw(model="policy/mine", models=models, requesty=IDS), MODES)
    assert refused == Bypass("field-type", "policy/mine")


ids = st.fixed_dictionaries(
    {}, optional={"user_id": st.sampled_from(["a", "b", ""]), "trace_id": st.sampled_from(["a", "b"])}
)


@given(ids, ids, st.lists(st.text()), st.sampled_from(list(BODIES)))
def test_pinned_calls_are_equal_exactly_when_their_ids_are(one, other, tags, endpoint):
    made = [form(endpoint, model="policy/mine", requesty={**each, "tags": tags}) for each in (one, other)]
    if one and other:
        assert (made[0].text == made[1].text) == (one == other)
    assert [each.call.bypass is None for each in made] == [any(one.values()), any(other.values())]


def keyed(body: bytes, endpoint=CHAT, **models) -> Keyed | Bypass:
    keyer = Keyer(b"s" * 16, default_models={name.replace("_", "/"): model for name, model in models.items()})
    return keyer.key(Request(endpoint, body, Scope("t", "o")))


@pytest.mark.parametrize("endpoint", BODIES)
def test_an_omitted_model_is_the_configured_one(endpoint):
    """SEMANTICS 1: An omitted model is not cached unless the operator configures the default."""
    name = endpoint.replace("/", "_")
    assert keyed(raw(endpoint), endpoint) == Bypass("no-model", "")
    assert keyed(raw(endpoint), endpoint, other="a/b") == Bypass("no-model", "")
    assert keyed(raw(endpoint), endpoint, **{name: "openai/m-2024-08-06"}) == keyed(
        raw(endpoint, model="openai/m-2024-08-06"), endpoint
    )


def test_defaults_of_the_configured_models_provider_are_elided():
    spelled = {"frequency_penalty": 0, "n": 1}
    assert keyed(raw(**spelled), chat_completions="openai/x") == keyed(raw(model="openai/x"))
    assert keyed(raw(**spelled), chat_completions="other/x") != keyed(raw(model="other/x"))


@pytest.mark.parametrize("fields", [{"model": None}, {"model": ""}, {"models": ["a/b"]}])
def test_what_is_not_an_omitted_model_has_no_default(fields):
    assert keyed(raw(**fields), chat_completions="openai/x") == Bypass("no-model", "")


def test_a_prompt_template_may_name_the_model_itself():
    body = raw("responses", prompt={"id": "p", "version": "1"})
    assert keyed(body, "responses", responses="openai/x") == Bypass("no-model", "")


def test_a_policy_may_be_the_default():
    assert keyed(raw(), chat_completions="policy/p") == Bypass("policy-model", "policy/p")
