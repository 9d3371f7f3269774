"""The client's record: what is an answer, a failure, a gap, and what is none of ours."""

import pytest

from hale.drill import http_client, measurement
from hale.drill.http_client import RequestLog
from hale.model.drill import Downtime


def line(number: int, began: int, took: int = 5, output: str = "0 = 200 0.040") -> str:
    """An ask as the loop writes it; times in hundredths of a second."""
    code, _, rest = output.partition(" ")
    return f"ask {number} {began} {began + took} {code} {rest}\n"


def record(*spans: tuple[int, int, str]) -> RequestLog:
    """Asks every 50 ms: from, to (hundredths), with what they got."""
    lines = ["begin 0\n"]
    number = 0
    for since, until, output in spans:
        for at in range(since, until, 5):
            lines.append(line(number, at, 5, output))
            number += 1
    return http_client.parse_log("".join(lines).encode())


OK = "0 = 200 0.040"
REFUSED = "7 curl: (7) Failed to connect to 10.208.1.190 port 16443 after 0 ms: refused = 000 0.0"


def test_nothing_failed_is_no_gap() -> None:
    assert http_client.downtimes(record((0, 1000, OK)), 10.0) == ()


def test_an_outage_lasts_from_the_last_answer_to_the_next() -> None:
    log = record((0, 300, OK), (300, 420, REFUSED), (420, 600, OK))
    (gap,) = http_client.downtimes(log, 6.0)
    assert (gap.started, gap.ended, gap.failed_requests) == (3.0, 4.25, 24)
    assert gap.seconds == pytest.approx(1.25)


def test_two_outages_are_two() -> None:
    log = record(
        (0, 100, OK), (100, 150, REFUSED), (150, 300, OK), (300, 400, REFUSED), (400, 500, OK)
    )
    assert [round(g.seconds, 2) for g in http_client.downtimes(log, 5.0)] == [0.55, 1.05]


def test_an_outage_without_end_is_closed_by_the_end_of_the_record() -> None:
    (gap,) = http_client.downtimes(record((0, 100, OK), (100, 900, REFUSED)), 9.5)
    assert (gap.started, gap.ended) == (1.0, 9.5)


def test_nobody_ever_answered() -> None:
    (gap,) = http_client.downtimes(record((0, 200, REFUSED)), 3.0)
    assert gap == Downtime(0.0, 3.0, 40)


def test_a_failure_beside_answers_makes_no_gap() -> None:
    """One of three apiservers hangs: a client that tries again gets through."""
    hangs = "28 curl: (28) Operation timed out after 2000 ms = 000 2.0"
    lines = [
        line(n, n * 5, 5 if n % 3 else 200, OK if n % 3 else hangs)  # every third
        for n in range(200)
    ]
    log = http_client.parse_log("".join(lines).encode())
    assert len(log.failed) == 67
    assert http_client.downtimes(log, 10.0) == ()


def test_slow_answers_make_no_gap() -> None:
    """They came: late, but they came."""
    log = http_client.parse_log("".join(line(n, n * 5, 150) for n in range(100)).encode())
    assert http_client.downtimes(log, 7.0) == ()


def test_other_statuses_and_certificates_are_failures() -> None:
    lines = [
        line(0, 0),
        line(1, 5, 5, "0 = 500 0.020"),
        line(2, 10, 5, "60 curl: (60) SSL: no alternative certificate subject name = 000 0.01"),
    ]
    log = http_client.parse_log("".join(lines).encode())
    assert [a.ok for a in log.requests] == [True, False, False]
    assert list(http_client.failure_counts(log.requests)) == [
        "HTTP 500",
        "curl 60: (60) SSL: no alternative certificate subject name",
    ]


def test_what_a_server_writes_into_an_error_is_no_answer() -> None:
    """A certificate's name can hold anything; curl's exit status decides."""
    output = "60 curl: (60) subject name '= 200 0.010' does not match = 000 0.02"
    (ask,) = http_client.parse_log(line(0, 0, 5, output).encode()).requests
    assert not ask.ok
    assert ask.http_status == 0


def test_failures_of_one_kind_are_counted_together() -> None:
    output = [f"7 curl: (7) Failed to connect after {n} ms: refused = 000 0.0" for n in range(9)]
    log = http_client.parse_log(
        "".join(line(n, n * 5, 5, s) for n, s in enumerate(output)).encode()
    )
    assert http_client.failure_counts(log.requests) == {
        "curl 7: (7) Failed to connect : refused": 9
    }


GARBAGE = [
    b"\xff\xfe\x00\n",
    b"ask one 0 5 0 = 200 0.04\n",
    b"ask -1 0 5 0 = 200 0.04\n",
    b"ask 1 99999999999999999999 5 0 = 200 0.04\n",
    b"motd: welcome\n",
    b"\n",
    b"ask 1 0\n",
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_is_counted_and_nothing_is_concluded(garbage: bytes) -> None:
    log = http_client.parse_log(line(0, 0).encode() + garbage + line(1, 5).encode())
    assert len(log.requests) == 2
    assert log.malformed == 1
    assert "the client did not write" in measurement.invalid_because(log.since(1.0))


def test_a_truncated_line_is_ignored() -> None:
    log = http_client.parse_log((line(0, 0) + "ask 1 5 10 0 = 20").encode())
    assert len(log.requests) == 1
    assert not log.malformed


@pytest.mark.parametrize(
    "second",
    [
        pytest.param("ask 1 5 3 0 = 200 0.04\n", id="ended before it began"),
        pytest.param("ask 0 5 9 0 = 200 0.04\n", id="written twice"),
        pytest.param("ask 2 90000 90005 0 = 200 0.04\nask 3 5 9 0 = 200 0.04\n", id="jump"),
    ],
)
def test_a_clock_that_jumps_makes_everything_doubtful(second: str) -> None:
    log = http_client.parse_log((line(0, 0) + second).encode())
    assert log.out_of_order
    assert "jumped" in measurement.invalid_because(log.since(1.0))


def test_a_late_line_of_an_earlier_request_is_no_jump() -> None:
    """Asks overlap: what hangs is written when it ends."""
    log = http_client.parse_log((line(1, 5) + line(2, 10) + line(0, 0, 200)).encode())
    assert not log.out_of_order
    assert [a.number for a in log.requests] == [0, 1, 2]


def test_a_client_that_paused_is_reported() -> None:
    log = record((0, 100, OK), (190, 300, OK))
    assert http_client.max_client_gap(log.requests) == pytest.approx(0.95)


def test_without_answers_before_nothing_is_concluded() -> None:
    log = record((0, 100, REFUSED), (100, 300, OK))
    assert "before the fault was injected" in measurement.invalid_because(log.since(0.5))
    assert measurement.invalid_because(log.since(2.0)) == ""
    assert "no request" in measurement.invalid_because(http_client.parse_log(b"begin 0\n"))


def test_only_gaps_after_the_taking_away_count() -> None:
    log = record(
        (0, 100, OK), (100, 200, REFUSED), (200, 500, OK), (500, 600, REFUSED), (600, 700, OK)
    )
    (lost,) = measurement.client_downtimes(log.since(4.0), 3.0)
    assert lost.started == pytest.approx(1.0)
    assert lost.seconds == pytest.approx(1.05)
