"""Money is exact: whole pico-dollars, from text, without a float in between; unknown is never zero."""

from decimal import Decimal, localcontext

import pytest

from tiered_cache.core.accounting import ABSURD_PICOUSD, picousd, usd_text


@pytest.mark.parametrize(
    ("amount", "pico"),
    [
        ("0", 0),
        ("-0.0", 0),
        ("0e99", 0),
        ("1", 10**12),
        ("0.000000000001", 1),
        ("1e-12", 1),
        ("1E-12", 1),
        ("1e+2", 10**14),
        ("0.00021", 210_000_000),
        ("0.1234567890125", 123456789012),
        ("0.1234567890135", 123456789014),
        ("0.12345678901250001", 123456789013),
        ("0.00000000000049", 0),
        ("5e-13", 0),
        ("15e-13", 2),
        ("1e-9999", 0),
        ("999999.999999999999", ABSURD_PICOUSD - 1),
        ("0.30000000000000004", 300_000_000_000),
        (b"0.00021", 210_000_000),
        (Decimal("0.00021"), 210_000_000),
        (Decimal("2.1E-4"), 210_000_000),
        (3, 3 * 10**12),
        (0, 0),
        (0.00021, 210_000_000),
        (1e-07, 100_000),
        (-0.0, 0),
    ],
)
def test_an_amount_is_read_exactly(amount, pico):
    assert picousd(amount) == pico


@pytest.mark.parametrize(
    "amount",
    [
        None,
        True,
        False,
        "",
        "x",
        "-1",
        "-1e-12",
        "NaN",
        "Infinity",
        "1_000",
        " 1",
        "1 ",
        "1\n",
        "01",
        ".5",
        "5.",
        "+1",
        "0x1",
        "\u0661",
        "1000000",
        "1e6",
        "1e9999",
        "1e99999",
        "9" * 129,
        "9" * 100_000,
        b"\xff",
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal(-1),
        Decimal("1e999999"),
        float("nan"),
        float("inf"),
        -0.5,
        -3,
        10**6,
        10**5000,
    ],
    ids=lambda amount: repr(amount)[:20] if not isinstance(amount, int) or amount < 10**9 else "huge",
)
def test_what_nobody_can_have_paid_is_unpriced(amount):
    assert picousd(amount) is None


def test_the_callers_decimal_context_changes_nothing():
    with localcontext() as context:
        context.prec = 2
        assert picousd("0.123456789012") == 123456789012
        assert picousd(Decimal("0.123456789012")) == 123456789012


@pytest.mark.parametrize(
    ("pico", "text"),
    [
        (0, b"0"),
        (1, b"0.000000000001"),
        (210_000_000, b"0.00021"),
        (10**12, b"1"),
        (10 * 10**12, b"10"),
        (1_500_000_000_000, b"1.5"),
        (10**18 + 1, b"1000000.000000000001"),
        (-1_500_000_000_000, b"-1.5"),
    ],
)
def test_dollars_are_written_as_a_plain_decimal(pico, text):
    assert usd_text(pico) == text
