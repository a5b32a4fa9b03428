"""From what an answer says to whether it is stored, for every dialect."""

from tiered_cache.core.content import classify
from tiered_cache.core.reading import Reading
from tiered_cache.core.storable import is_short_lived
from tiered_cache.core.vocabulary import Answer, Call, Form, Refusal


def judged(
    call: Call, form: Form, body: bytes, reading: Reading, *, locked: bool, problem: str | None
) -> Answer | Refusal:
    """The answer to store, or its refusal for `problem`.

    Args:
        call: that was answered.
        form: how the origin wrote it.
        body: what would be stored.
        reading: what the answer says.
        locked: the other form cannot say all of it.
        problem: reason word why it is not stored, or None.
    """
    if problem is not None:
        return Refusal(problem, reading.usage)
    return Answer(
        form=form,
        body=body,
        locked=locked,
        has_usage=reading.has_usage,
        content_class=classify(call, reading),
        model=reading.model,
        usage=reading.usage,
        short_lived=is_short_lived(call, reading, locked=locked),
        searched=reading.cites,
        expires_at_s=reading.expires_at_s,
        result_urls=reading.result_urls,
    )
