"""A hole of trade ids, cut by reason."""

from __future__ import annotations

from data_collector.model.gaps import Gap, explain_ids


def test_hole_without_refusals_is_one_gap() -> None:
    assert explain_ids(5, 9, {}, "lost") == [Gap(5, 9, 5, "lost")]


def test_hole_of_one() -> None:
    assert explain_ids(5, 5, {}, "skipped") == [Gap(5, 5, 1, "skipped")]


def test_empty_hole_is_no_gap() -> None:
    assert explain_ids(5, 4, {}, "lost") == []


def test_refused_ids_are_told_from_lost_ones() -> None:
    gaps = explain_ids(5, 9, {7: ("price_positive",)}, "lost")

    assert gaps == [Gap(5, 6, 2, "lost"), Gap(7, 7, 1, "refused", ("price_positive",)), Gap(8, 9, 2, "lost")]


def test_refused_at_both_ends() -> None:
    gaps = explain_ids(5, 7, {5: ("a",), 7: ("b",)}, "lost")

    assert gaps == [Gap(5, 5, 1, "refused", ("a",)), Gap(6, 6, 1, "lost"), Gap(7, 7, 1, "refused", ("b",))]


def test_neighbours_refused_for_the_same_rules_are_one_gap() -> None:
    gaps = explain_ids(5, 8, {5: ("a",), 6: ("a",), 7: ("a", "b"), 8: ("a", "b")}, "lost")

    assert gaps == [Gap(5, 6, 2, "refused", ("a",)), Gap(7, 8, 2, "refused", ("a", "b"))]


def test_refusals_outside_the_hole_do_not_count() -> None:
    assert explain_ids(5, 6, {4: ("a",), 7: ("a",)}, "absent") == [Gap(5, 6, 2, "absent")]
