"""Laws of the log of purges, against a list that forgets nothing; and of the tags that people write."""

from hypothesis import given
from hypothesis import strategies as st

from tiered_cache.core.epochs import UNTOLD, Epoch, Purge, PurgeLog, Standing, stamp_of, with_scopes
from tiered_cache.core.tags import origin_tags, read_tags

HERE, ELSEWHERE = b"incarn-1", b"incarn-2"
SCOPES = [bytes([number]) * 16 for number in range(1, 7)]
some = st.lists(st.sampled_from(SCOPES), min_size=1, max_size=3).map(tuple)
lines = st.lists(st.tuples(some, st.booleans()), max_size=25)
entries = st.lists(st.tuples(st.integers(0, 25), some), max_size=10)


def token(number, branch=b"here") -> bytes:
    return number.to_bytes(4, "big") + branch if number else UNTOLD


def at(counter, branch=b"here") -> Epoch:
    return Epoch(HERE, counter, token(counter, branch))


def line(number, scopes, soft, branch=b"here") -> Purge:
    return Purge(number, scopes, soft, token(number, branch))


def noted(history, capacity=100, lines=100) -> PurgeLog:
    log = PurgeLog(at(0), capacity, lines)
    for number, (scopes, soft) in enumerate(history, 1):
        log.note(line(number, scopes, soft))
    return log


def truth(history, counter, scopes) -> Standing:
    """What a list of all lines says."""
    if counter > len(history):
        return Standing.UNSURE
    kinds = {soft for reached, soft in history[counter:] if set(reached) & set(scopes)}
    if False in kinds:
        return Standing.PURGED
    return Standing.SOFT if kinds else Standing.VALID


@given(lines, entries)
def test_an_entry_stands_as_all_lines_after_its_stamp_say(history, asked):
    log = noted(history)
    for counter, scopes in asked:
        assert log.standing(stamp_of(at(counter), scopes)) is truth(history, counter, scopes)


@given(lines, entries, st.integers(2, 6), st.integers(2, 20))
def test_a_log_that_forgets_purges_more_and_never_less(history, asked, capacity, most):
    log = noted(history, capacity, most)
    assert len(log) <= capacity
    assert len(log.tokens()) <= 8 * (most + most // 8)
    for counter, scopes in asked:
        told, right = log.standing(stamp_of(at(counter), scopes)), truth(history, counter, scopes)
        assert told is right or (told is Standing.PURGED and counter < log.floor)


@given(lines, lines, st.integers(0, 25), entries)
def test_what_was_stamped_in_lines_that_were_lost_is_good_for_nothing(history, others, kept, asked):
    """Two logs have their first lines in common: an entry of one is judged by the other."""
    kept = min(kept, len(history))
    log = PurgeLog(at(0))
    for number, (scopes, soft) in enumerate(history[:kept] + others, 1):
        log.note(line(number, scopes, soft, b"here" if number <= kept else b"else"))
    went_on = log.epoch.counter > kept
    for counter, scopes in asked:
        told = log.standing(stamp_of(at(counter), scopes))
        if counter > log.epoch.counter:
            assert told is Standing.UNSURE
        elif counter > kept:
            assert told is Standing.PURGED
        else:
            assert told is truth(history[:kept] + others, counter, scopes)
        assert log.holds(at(counter)) is (counter <= kept)
    assert not (went_on and any(log.has(line(number, (), False)) for number in range(kept + 1, 26)))


@given(lines, st.integers(1, 2**60))
def test_a_number_far_ahead_costs_no_memory(history, ahead):
    log = noted(history)
    last = Purge(len(history) + ahead, (SCOPES[0],), False, b"far away")
    log.note(last)
    assert len(log.tokens()) <= 8 * 120
    assert log.epoch == Epoch(HERE, last.counter, b"far away")
    assert log.standing(stamp_of(at(len(history)), SCOPES[:1])) is Standing.PURGED
    assert log.standing(stamp_of(log.epoch, SCOPES[:1])) is Standing.VALID


@given(lines, st.randoms(use_true_random=False))
def test_lines_may_come_twice_and_in_any_order(history, draw):
    numbered = [line(number, scopes, soft) for number, (scopes, soft) in enumerate(history, 1)]
    shuffled = numbered * 2
    draw.shuffle(shuffled)
    log = PurgeLog(at(0))
    for each in shuffled:
        log.note(each)
    assert set(log.lines()) == set(noted(history).lines())
    assert log.epoch == at(len(history))
    assert log.tokens() == noted(history).tokens()
    assert all(log.has(each) for each in numbered)


@given(lines, st.integers(0, 25), some)
def test_another_incarnation_or_no_stamp_is_good_for_nothing(history, counter, scopes):
    log = noted(history)
    for stamp in (stamp_of(Epoch(ELSEWHERE, counter, token(counter)), scopes), b"", HERE, HERE[:-1]):
        assert log.standing(stamp) is Standing.PURGED


@given(lines, st.integers(0, 25), some, some)
def test_a_further_scope_reaches_as_if_it_had_been_there(history, counter, scopes, further):
    log, epoch = noted(history), at(counter)
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
