"""Comparisons of predictions, against published numbers and simulated truths."""

import math

import numpy as np
import pytest

from firstlight.engine.runs.paired import compare_errors, compare_right, mcnemar


@pytest.mark.parametrize(
    ("lost", "won", "p"), [(5, 15, 0.04138946533203125), (15, 5, 0.04138946533203125), (0, 6, 0.03125), (0, 0, 1.0)]
)
def test_p_value_is_that_of_the_binomial_distribution(lost, won, p):
    assert mcnemar(lost, won) == pytest.approx(p, rel=1e-12)


def test_p_value_of_many_examples_is_exact():
    lost, won = 185, 215
    exact = 2 * sum(math.comb(400, k) for k in range(lost + 1)) / 2**400
    assert mcnemar(lost, won) == pytest.approx(exact, rel=1e-9)
    assert mcnemar(0, 5000) == 0.0


def test_interval_of_an_accuracy_is_wilsons():
    right = np.arange(10_000) < 9110
    accuracy = compare_right(right, right).first
    assert accuracy == pytest.approx((0.911, 0.90526, 0.91643), abs=1e-5)
    assert (accuracy.high - accuracy.low) / 2 == pytest.approx(0.0056, abs=5e-5)


def test_equal_predictions_differ_by_nothing():
    right = np.arange(1000) % 3 > 0
    paired = compare_right(right, right)
    assert (paired.difference.value, paired.p) == (0, 1)
    assert paired.difference.low < 0 < paired.difference.high
    errors = np.arange(10.0)
    assert compare_errors(errors, errors)[-2:] == ((0, 0, 0), 1)


def right_answers(random, gain, n=1000, tries=1000):
    """Yield which examples two models are right on: they agree on most, as some are hard; the second is better."""
    for _ in range(tries):
        chance = random.choice([0.98, 0.5, 0.1], size=n, p=[0.7, 0.2, 0.1])
        yield random.random(n) < chance, random.random(n) < np.minimum(chance + gain, 1)


def test_runs_that_are_equally_good_differ_significantly_in_one_of_twenty_cases():
    """The test is exact: it errs a little less often than that."""
    found = [compare_right(*pair) for pair in right_answers(np.random.default_rng(1), 0.0, tries=4000)]
    assert 0.035 < np.mean([paired.p < 0.05 for paired in found]) < 0.05
    assert 0.93 < np.mean([paired.difference.low <= 0 <= paired.difference.high for paired in found]) < 0.975


def test_better_run_is_found_and_its_interval_holds_the_truth():
    found = [compare_right(*pair) for pair in right_answers(np.random.default_rng(2), 0.1, tries=300)]
    truth = 0.7 * 0.02 + 0.3 * 0.1
    assert np.mean([paired.p < 0.05 and paired.difference.value > 0 for paired in found]) > 0.8
    assert 0.92 < np.mean([paired.difference.low <= truth <= paired.difference.high for paired in found]) < 0.98


@pytest.mark.parametrize(("n", "skew"), [(30, 1), (200, 2)])
def test_bootstrap_of_equal_errors_is_significant_in_one_of_twenty_cases(n, skew):
    random = np.random.default_rng(3)
    both = [random.normal(size=(2, n)) ** (2 * skew) for _ in range(500)]
    found = [compare_errors(first, second, resamples=199) for first, second in both]
    assert 0.02 < np.mean([paired.p <= 0.05 for paired in found]) < 0.07


def test_bootstrap_finds_a_smaller_error_the_same_each_time():
    random = np.random.default_rng(4)
    hard = random.exponential(size=500)
    first, second = hard + random.normal(size=500) ** 2, hard + 0.7 * random.normal(size=500) ** 2
    paired = compare_errors(first, second)
    assert paired == compare_errors(first, second)
    assert paired.difference.high < 0
    assert paired.p < 0.01
    assert paired.difference.value == pytest.approx(second.mean() - first.mean())
