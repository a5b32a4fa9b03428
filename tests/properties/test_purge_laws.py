"""Laws of the log of purges, against a list that forgets nothing; and of the tags that people write."""

from hypothesis import given
from hypothesis import strategies as st

from tiered_cache.core.epochs import Epoch, Purge, PurgeLog, Standing, stamp_of, with_scopes
from tiered_cache.core.tags import origin_tags, read_tags

HERE, ELSEWHERE = b"incarn-1", b"incarn-2"
SCOPES = [bytes([number]) * 16 for number in range(1, 7)]
some = st.lists(st.sampled_from(SCOPES), min_size=1, max_size=3).map(tuple)
lines = st.lists(st.tuples(some, st.booleans()), max_size=25)
entries = st.lists(st.tuples(st.integers(0, 25), some), max_size=10)


def noted(history, capacity=100) -> PurgeLog:
    log = PurgeLog(Epoch(HERE, 0), capacity)
    for number, (scopes, soft) in enumerate(history, 1):
        log.note(Purge(number, scopes, soft))
    return log


def truth(history, counter, scopes) -> Standing:
    """What a list of all lines says."""
    kinds = {soft for reached, soft in history[counter:] if set(reached) & set(scopes)}
    if False in kinds:
        return Standing.PURGED
    return Standing.SOFT if kinds else Standing.VALID


@given(lines, entries)
def test_an_entry_stands_as_all_lines_after_its_stamp_say(history, asked):
    log = noted(history)
    for counter, scopes in asked:
        stamp = stamp_of(Epoch(HERE, counter), scopes)
        assert log.standing(stamp) is truth(history, counter, scopes)


@given(lines, entries, st.integers(2, 6))
def test_a_log_that_forgets_purges_more_and_never_less(history, asked, capacity):
    log = noted(history, capacity)
    assert len(log) <= capacity
    for counter, scopes in asked:
        told, right = log.standing(stamp_of(Epoch(HERE, counter), scopes)), truth(history, counter, scopes)
        assert told is right or told is Standing.PURGED


@given(lines, st.randoms(use_true_random=False))
def test_lines_may_come_twice_and_in_any_order(history, draw):
    numbered = [Purge(number, scopes, soft) for number, (scopes, soft) in enumerate(history, 1)]
    shuffled = numbered * 2
    draw.shuffle(shuffled)
    log = PurgeLog(Epoch(HERE, 0))
    for line in shuffled:
        log.note(line)
    assert set(log.lines()) == set(noted(history).lines())
    assert log.epoch == Epoch(HERE, len(history))
    assert all(log.has(line) for line in numbered)


@given(lines, st.integers(0, 25), some)
def test_another_incarnation_or_no_stamp_is_good_for_nothing(history, counter, scopes):
    log = noted(history)
    for stamp in (stamp_of(Epoch(ELSEWHERE, counter), scopes), b"", HERE, HERE[:-1]):
        assert log.standing(stamp) is Standing.PURGED


@given(lines, st.integers(0, 25), some, some)
def test_a_further_scope_reaches_as_if_it_had_been_there(history, counter, scopes, further):
    log, epoch = noted(history), Epoch(HERE, counter)
    later = with_scopes(stamp_of(epoch, scopes), further)
    assert log.standing(later) is log.standing(stamp_of(epoch, scopes + further))


@given(st.binary(max_size=60))
def test_tags_are_read_or_refused_and_origins_are_passed_over(value):
    told = read_tags(value)
    given_ = origin_tags(((b"cache-tag", value),))
    assert told is None or (told and set(told) == set(given_))
    for tag in given_:
        assert 1 <= len(tag) <= 128
        assert "," not in tag
        assert tag.isascii() and tag.isprintable() and " " not in tag


def test_groups_are_a_list_of_strings():
    lines = ((b"cache-groups", b'"a", "b c";x=1, token, 3'), (b"cache-groups", b'"a", "d"'), (b"x", b'"e"'))
    assert origin_tags(lines) == ("a", "d")
    assert origin_tags(((b"cache-groups", b'"a", '),)) == ()
