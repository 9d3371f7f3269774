"""bench/measured.py: no contender wins by judging less, and ratios are of the same rounds."""

import pytest

from bench.ratios import Disagreement, Series, compare, merge_verdicts, ratio, repeats

A = ("k8s-master-01", "SWAP-OFF", "runtime")
B = ("k8s-node-01", "SWAP-OFF", "runtime")


def test_ratio_is_of_neighbours_not_of_medians() -> None:
    # The medians (3 and 2) would say 1.5; half of the noise hit only one of the two.
    ours, floor = Series(((1.0, 4.0, 3.0),)), Series(((1.0, 2.0, 3.0),))
    found = ratio(ours, floor)
    assert (found.value, found.low, found.high) == (1.0, 1.0, 2.0)


def test_ratio_compares_a_long_run_with_the_median_of_its_round() -> None:
    found = ratio(Series(((80.0,), (40.0,))), Series(((1.0, 9.0, 2.0), (1.0, 1.0, 1.0))))
    assert (found.value, found.low, found.high) == (40.0, 40.0, 40.0)


def test_ratio_with_fewer_rounds_of_the_slow_one() -> None:
    found = ratio(Series(((80.0,),)), Series(((2.0,), (4.0,))))
    assert (found.value, found.low, found.high) == (40.0, 40.0, 40.0)


@pytest.mark.parametrize(("tests", "times"), [(100, 2), (130, 2), (199, 2), (200, 1), (250, 1)])
def test_repeats_until_there_are_enough(tests: int, times: int) -> None:
    assert repeats(tests, 200) == times


def test_merged_takes_equal_verdicts_of_all_repetitions() -> None:
    judged = [(A, "PASS"), (B, "FAIL"), (A, "PASS"), (B, "FAIL")]
    assert merge_verdicts(judged, 2) == {A: "PASS", B: "FAIL"}


@pytest.mark.parametrize("verdicts", [["PASS"], ["PASS", "FAIL"], ["PASS", "PASS", "PASS"]])
def test_merged_refuses_missing_different_and_extra_verdicts(verdicts: list[str]) -> None:
    with pytest.raises(Disagreement):
        merge_verdicts([(A, verdict) for verdict in verdicts], 2)


def test_compare_names_what_differs_and_what_was_not_judged() -> None:
    with pytest.raises(Disagreement) as error:
        compare("stock", {A: "FAIL"}, {A: "PASS", B: "PASS"})
    assert str(error.value).splitlines() == [
        "stock disagrees with the audit:",
        "  k8s-master-01 SWAP-OFF runtime: FAIL, the audit says PASS",
        "  k8s-node-01 SWAP-OFF runtime: not judged, the audit says PASS",
    ]


def test_compare_is_content_with_equal_verdicts() -> None:
    compare("stock", {A: "PASS"}, {A: "PASS"})
