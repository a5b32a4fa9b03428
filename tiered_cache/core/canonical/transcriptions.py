"""The transcriptions dialect: which forms ask for the same text."""

import hashlib
from typing import Any, Final

from tiered_cache.core.canonical.flat import names_urls
from tiered_cache.core.canonical.form import Canonical, KeyOptions, UnsafeBodyError
from tiered_cache.core.canonical.json_form import write_canonical
from tiered_cache.core.canonical.multipart import Part, read_parts
from tiered_cache.core.canonical.policies import PREFIX
from tiered_cache.core.vocabulary import Call, Determinism

ENDPOINT: Final = "audio/transcriptions"

KNOWN_NAMES: Final = (
    *("file", "model", "prompt", "language", "languages[]", "keywords[]", "temperature"),
    *("response_format", "timestamp_granularities[]", "include[]", "chunking_strategy"),
    *("known_speaker_names[]", "known_speaker_references[]", "stream"),
)
"""Names of fields that are documented. All are in the key, and so is every other one."""

JSON_FORMATS: Final = frozenset({"json", "verbose_json", "diarized_json"})
"""Values of `response_format` that are answered with JSON; so is a form that does not say."""

TEXT_FORMATS: Final = frozenset({"text", "srt", "vtt"})
"""Those that are answered with text."""

STREAM_OFF: Final = frozenset({"false"})
"""Values of `stream`, in any case, that ask for no events."""

_MODELS = ("models", "models[]")


def canonical_transcriptions(raw: bytes, content_type: bytes, options: KeyOptions) -> Canonical:
    """The canonical form of a form body: boundary, order of names and spelling of field lines are not in it.

    Raises:
        UnsafeBodyError: `multipart`, `utf8`; `field-type`, no one file, or several of what is one value.
    """
    fields: dict[str, list[Any]] = {}
    for part in read_parts(raw, content_type):
        fields.setdefault(part.name, []).append(_written(part))
    if options.default_model and fields.keys().isdisjoint({"model", *_MODELS}):
        fields["model"] = [options.default_model]
    model = _one(fields, "model") or ""
    try:
        return Canonical(_call(fields, model, options), write_canonical(fields), ())
    except UnsafeBodyError as error:
        error.model = model
        raise


def _written(part: Part) -> Any:
    """What stands for a part: the text of a plain one, a digest of the bytes of every other one."""
    if part.filename is None and part.content_type is None:
        try:
            return str(part.content, "utf-8")
        except UnicodeDecodeError:
            pass  # its digest stands for it
    return {
        "bytes": len(part.content),
        "content_type": part.content_type,
        "filename": part.filename,
        "sha256": hashlib.sha256(part.content).hexdigest(),
    }


def _call(fields: dict[str, list[Any]], model: str, options: KeyOptions) -> Call:
    files = fields.get("file", [])
    if len(files) != 1 or type(files[0]) is not dict or files[0]["filename"] is None:
        raise UnsafeBodyError("field-type")
    models = [name for names in _MODELS for name in fields.get(names, [])]
    if any(type(name) is not str for name in models):
        raise UnsafeBodyError("field-type")
    return Call(
        endpoint=ENDPOINT,
        model=model,
        binary=True,
        determinism=Determinism.DETERMINISTIC,
        json_output=(_one(fields, "response_format") or "json") in JSON_FORMATS,
        bypass=_bypass(fields, [model, *models], options),
        fallback_models=tuple(models),
        remote_urls=names_urls({name: values for name, values in fields.items() if name != "prompt"}),
    )


def _bypass(fields: dict[str, list[Any]], models: list[str], options: KeyOptions) -> str | None:
    """Why a form is never cached, or None. A form names no sticky id, so a pinned policy bypasses too."""
    if not models[0]:
        return "no-model"
    policies = [name.removeprefix(PREFIX) for name in models if name.startswith(PREFIX)]
    if any(options.policies.get(name) != "pool" for name in policies):
        return "policy-model"
    stream = _one(fields, "stream")
    if stream is not None and stream.lower() not in STREAM_OFF:
        return "stream"
    known = (_one(fields, "response_format") or "json") in JSON_FORMATS | TEXT_FORMATS
    return None if known else "response-format"


def _one(fields: dict[str, list[Any]], name: str) -> str | None:
    """The text of a field that is there once at most.

    Raises:
        UnsafeBodyError: `field-type`.
    """
    values = fields.get(name, [])
    if len(values) > 1 or any(type(value) is not str for value in values):
        raise UnsafeBodyError("field-type")
    return values[0] if values else None
