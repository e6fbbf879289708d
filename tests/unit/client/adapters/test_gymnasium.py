"""Environments of candles: Gymnasium's own checks, one beside many, no look ahead, and a ledger counted by hand."""

from __future__ import annotations

import importlib
import math
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import SupportsIndex

import gymnasium
import numpy as np
import pytest
from gymnasium import error
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from data_collector.client import NotInstalled, WrongQuestion
from data_collector.client.adapters.environments.candles import Rows
from data_collector.client.adapters.gymnasium import CandleEnv, CandleVectorEnv
from tests.market import MINUTE_MS, NOON_MS
from tests.walks import candles, walk

GAPS = (slice(700, 703), slice(1200, 1201))
WALK = walk(2000, missing=GAPS)
Step = tuple[object, ...]

# With any words: what is wrong with some is asked here.
MAKE: Callable[..., CandleEnv] = CandleEnv
MAKE_MANY: Callable[..., CandleVectorEnv] = CandleVectorEnv


@pytest.mark.parametrize("positions", [(-1.0, 0.0, 1.0), "box"])
def test_gymnasium_finds_nothing_to_complain_about(positions: object) -> None:
    env = gymnasium.make("data_collector/Candles-v1", candles=WALK, positions=positions)

    check_env(env.unwrapped)


def test_gymnasium_makes_many_of_them() -> None:
    many = gymnasium.make_vec("data_collector/Candles-v1", num_envs=3, candles=WALK)

    assert isinstance(many, CandleVectorEnv)
    assert many.num_envs == 3


@pytest.mark.parametrize("random_start", [True, False])
@pytest.mark.parametrize("positions", [(-1.0, 0.0, 0.5, 1.0), "box"])
def test_many_are_what_gymnasium_makes_of_single_ones(positions: object, random_start: bool) -> None:
    """Eight of them over resets, to the last bit, with all that their infos say."""
    words: dict[str, object] = {"positions": positions, "random_start": random_start, "episode": 70, "slippage": 0.0002}
    many = MAKE_MANY(WALK, 8, **words)
    single = SyncVectorEnv([lambda: made(**words)] * 8, autoreset_mode=AutoresetMode.SAME_STEP)
    many.action_space.seed(5)

    assert_same(many.reset(seed=3), single.reset(seed=3))
    for _ in range(200):
        actions = many.action_space.sample()
        assert_same(many.step(actions), single.step(actions))
    assert_same(many.reset(), single.reset())
    assert_same(many.reset(seed=[9, None] * 4), single.reset(seed=[9, None] * 4))


def test_those_who_are_ruined_begin_anew_too() -> None:
    prices = [1.0, 1.0, 1.0, 1.0, 250.0, 1.0, 1.0, 1.0]
    rows = candles(prices, prices)
    many = CandleVectorEnv(rows, 2, window=2, episode=None, random_start=False)
    single = SyncVectorEnv(
        [lambda: CandleEnv(rows, window=2, episode=None, random_start=False)] * 2,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )

    assert_same(many.reset(seed=1), single.reset(seed=1))
    for _ in range(6):
        actions = np.array([0, 1])
        assert_same(many.step(actions), single.step(actions))


def test_a_seed_decides_everything() -> None:
    first, second = made(), made()

    assert_same(list(run(first, seed=7)), list(run(second, seed=7)))
    assert_same(list(run(first, seed=7)), list(run(second, seed=7)))
    assert first.reset(seed=8)[1] != second.reset(seed=7)[1]


def test_others_draws_change_nothing() -> None:
    """Of the module `random` of numpy, which some environments draw from."""
    env = made()
    begun = env.reset(seed=7)[1]
    np.random.seed(1)

    assert env.reset(seed=7)[1] == begun


def test_nothing_is_seen_of_what_comes_later() -> None:
    """What an agent sees and gets up to a candle's close is the same whatever comes after it."""
    changed, row = WALK.copy(), 600
    for name in ("open", "high", "low", "close", "volume"):
        changed[name][row:] *= np.linspace(1.5, 3.0, len(changed) - row)
    steps = [list(run(made(rows, episode=None, random_start=False), seed=1)) for rows in (WALK, changed)]
    until_ms = int(WALK["timestamp"][row].astype("i8"))

    before = [[step for step in run_ if time_of(step) < until_ms] for run_ in steps]
    after = [[step for step in run_ if time_of(step) >= until_ms] for run_ in steps]
    assert len(before[0]) > 500
    assert_same(before[0], before[1])
    assert not np.array_equal(np.array(after[0][0][0]), np.array(after[1][0][0]))


def test_no_episode_goes_over_a_missing_candle() -> None:
    env = made(episode=50, window=8)
    begun = set()

    for seed in range(300):
        times = [time_of(step) for step in run(env, seed)]
        assert times == [times[0] + MINUTE_MS * step for step in range(51)]
        seen_ms = times[0] - 7 * MINUTE_MS
        missing = [NOON_MS + MINUTE_MS * minute for gap in GAPS for minute in range(gap.start, gap.stop)]
        assert not [time for time in missing if seen_ms <= time <= times[-1]]
        begun.add(times[0])
    assert len(begun) > 200


def test_account_is_as_counted_by_hand() -> None:
    """Decided on a close, filled at the next open, marked at its close; paid for what changes."""
    env = CandleEnv(
        candles([100.0, 101.0, 103.0, 99.0, 98.0], [101.0, 102.0, 100.0, 98.0, 104.0]),
        window=2, positions=(-1.0, 0.0, 0.5, 1.0), fee=0.001, slippage=0.0005, episode=3, random_start=False,
    )  # fmt: skip
    long, short, half = 3, 0, 2
    env.reset()

    _, reward, is_ruined, is_over, told = env.step(long)
    # Nothing was held from 102 to 103, and one is paid for.
    equity = (1 - 0.0015) * (100 / 103)
    assert near(reward, 100 * math.log(equity))
    assert (is_ruined, is_over, told["turnover"], told["timestamp_ms"]) == (False, False, 1.0, NOON_MS + 2 * MINUTE_MS)

    _, reward, _, is_over, told = env.step(short)
    # Long from 100 to 99, then short from 99 to 98: two are paid for.
    kept = (99 / 100) * (1 - 2 * 0.0015) * (1 + (99 - 98) / 99)
    equity *= kept
    assert near(reward, 100 * math.log(kept))
    assert near(told["log_equity"], math.log(equity))
    assert (is_over, told["turnover"], told["position"]) == (False, 3.0, -1.0)

    seen, _, is_ruined, is_over, told = env.step(half)
    equity *= 1.0 * (1 - 1.5 * 0.0015) * (1 + 0.5 * (104 - 98) / 98)
    assert near(told["log_equity"], math.log(equity))
    assert (is_ruined, is_over, told["turnover"], seen[-1]) == (False, True, 4.5, 0.5)
    with pytest.raises(error.ResetNeeded, match="The episode is over"):
        env.step(half)


def test_who_changes_nothing_pays_nothing() -> None:
    env = CandleEnv(candles([100.0] * 9, [100.0] * 9), window=2, episode=None, random_start=False, fee=0.01)
    env.reset()
    env.step(2)

    rewards = {env.step(2)[1] for _ in range(3)}

    assert rewards == {0.0}


@pytest.mark.parametrize("price", [250.0, 199.2], ids=["more than all", "all but a hundredth"])
def test_ruin_alone_terminates(price: float) -> None:
    prices = [100.0, 100.0, 100.0, price, 100.0]
    env = CandleEnv(candles([100.0] * 5, prices), window=2, episode=None, random_start=False, fee=0.01)
    env.reset()
    env.step(0)

    _, reward, is_ruined, is_over, told = env.step(0)

    assert (is_ruined, is_over) == (True, False)
    assert type(is_ruined) is bool
    assert type(is_over) is bool
    assert told["log_equity"] == math.log(0.01)
    assert near(reward, 100 * (math.log(0.01) - math.log(0.99)))
    with pytest.raises(error.ResetNeeded):
        env.step(0)


def test_a_closing_loss_that_turns_a_loss_round_is_no_profit() -> None:
    """Two factors below zero would make one above it."""
    env = CandleEnv(
        candles([1.0, 1.0, 1.0, 5.0, 1.0], [1.0, 1.0, 1.0, 20.0, 1.0]), window=1, positions=(-1.0,), episode=None
    )  # fmt: skip
    env.reset(seed=1)
    while not (stepped := env.step(0))[2]:
        assert not stepped[3]


def test_episodes_follow_each_other_where_they_are_not_drawn() -> None:
    env = made(window=10, episode=300, random_start=False)

    begun = [int(str(env.reset()[1]["timestamp_ms"])) for _ in range(env.episodes + 1)]

    minutes = [(time - NOON_MS) // MINUTE_MS for time in begun]
    assert minutes == [9, 309, 712, 1210, 1510, 9]
    env.reset(seed=1)
    assert env.reset()[1]["timestamp_ms"] == begun[1]


def test_all_of_a_span_is_one_episode() -> None:
    env = made(window=10, episode=None, random_start=False)

    lengths = [len(list(run(env, seed=None))) for _ in range(env.episodes)]

    assert lengths == [691, 488, 790]


def test_what_is_not_told_is_not_seen(recwarn: pytest.WarningsRecorder) -> None:
    """NaN of the columns that an exchange need not tell, candles without a trade, flat ones, and prices that jump."""
    rows = walk(1000)
    rows["volume"][100:400] = 0.0
    for name in ("open", "high", "low", "close"):
        rows[name][200:500] = rows["close"][200]
        rows[name][600:] *= 1e6
    env = made(rows, episode=None, random_start=False)

    seen = np.array([step[0] for step in run(env, seed=1)])

    assert np.isnan(rows["quote_volume"]).all()
    assert np.isfinite(seen).all()
    assert np.abs(seen).max() == 8.0
    assert all(env.observation_space.contains(each) for each in seen)
    assert not recwarn.list


def test_four_numbers_of_a_candle_are_seen() -> None:
    """The newest one last; the first one after a gap moved from nowhere, and scales are those of earlier candles."""
    env = made(window=5, episode=None, random_start=False)
    env.reset()
    env.step(0)
    seen, _ = env.reset()
    rows = WALK[700:705]

    numbers = seen[:-1].reshape(5, 4)
    assert numbers[0, 0] == 0.0
    assert np.abs(numbers[1:, 0]).min() > 0.0
    assert (np.sign(numbers[1:, 0]) == np.sign(np.diff(rows["close"]))).all()
    assert (np.sign(numbers[:, 2]) == np.sign(rows["close"] - rows["open"])).all()
    assert seen.shape == (21,)
    whole = np.array([step[0] for step in run(env, seed=1)])[:, -5:-1]
    assert np.abs(whole.std(axis=0) - 1.0).max() < 0.2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"window": 0}, "window=0 candles are none"),
        ({"window": 32.0}, "window=32.0 candles are none"),
        ({"window": 5000}, r"An episode needs 5,512 candles .*, and the longest span has 799: give more candles"),
        ({"episode": 0}, "episode=0 steps are none"),
        ({"episode": 2000}, r"needs 2,032 candles without a gap \(window=32 and 2,000 of steps\)"),
        ({"fee": -0.001}, "fee=-0.001 is no part"),
        ({"slippage": math.nan}, "slippage=nan is no part"),
        ({"positions": ()}, r"positions=\(\) are none"),
        ({"positions": np.array([])}, "are none: give shares"),
        ({"positions": (0.0, 9.0)}, "none beyond 8"),
        ({"positions": (0.0, math.nan)}, "are none: give shares"),
        ({"positions": "boxes"}, 'or "box"'),
        ({"execution": "close"}, "execution='close' is none that there is: write \"next_open\""),
        ({"features": "candles/2"}, 'write "candles/1"'),
        ({"reward": "sharpe"}, 'write "log_return"'),
        ({"reward_scale": 0.0}, "reward_scale=0.0 is none"),
    ],
)
def test_what_makes_no_environment_is_said_at_once(words: Mapping[str, object], sentence: str) -> None:
    for make in (MAKE, MAKE_MANY):
        with pytest.raises(WrongQuestion, match=sentence):
            make(WALK, **words)


def test_numbers_of_numpy_do_too() -> None:
    env = made(positions=np.array([0.0, 1.0]), window=np.int64(4), episode=np.int32(5))

    assert env.reset(seed=1)[0].shape == (17,)
    assert env.step(np.array(1))[-1]["position"] == 1.0


def test_a_copy_goes_on_as_it_was() -> None:
    env = made(window=4)
    env.reset(seed=1)
    env.step(2)

    other = pickle.loads(pickle.dumps(env))  # noqa: S301 (our own)

    assert len(pickle.dumps(env)) < 2 * WALK.nbytes
    assert_same(other.step(0), env.step(0))
    assert_same(other.reset(), env.reset())


def test_what_many_cannot_be_asked_is_refused() -> None:
    many = CandleVectorEnv(WALK, 2)

    with pytest.raises(WrongQuestion, match="num_envs=0 environments are none"):
        CandleVectorEnv(WALK, 0)
    with pytest.raises(WrongQuestion, match="seed= has 3 of them, and there are 2"):
        many.reset(seed=[1, 2, 3])
    for env in (many, made()):
        with pytest.raises(WrongQuestion, match="options= says start, and there is nothing to choose"):
            env.reset(options={"start": 0})


@pytest.mark.parametrize("action", [-1, 3, 1.0])
def test_an_action_that_there_is_not_is_refused(action: SupportsIndex) -> None:
    env, many = made(), CandleVectorEnv(WALK, 2)
    env.reset()
    many.reset()

    with pytest.raises((error.InvalidAction, TypeError)):
        env.step(action)
    with pytest.raises((error.InvalidAction, IndexError)):
        many.step(np.array([0, action]))


@pytest.mark.parametrize("action", [1.01, math.nan])
def test_a_share_beyond_the_box_is_refused(action: float) -> None:
    env, many = made(positions="box"), CandleVectorEnv(WALK, 2, positions="box")
    env.reset()
    many.reset()

    with pytest.raises(error.InvalidAction, match="no share from -1 to 1"):
        env.step(np.array([action]))
    with pytest.raises(error.InvalidAction, match="no shares from -1 to 1"):
        many.step(np.array([[0.0], [action]]))


def test_a_step_before_a_reset_is_refused() -> None:
    with pytest.raises(error.ResetNeeded):
        made().step(0)
    with pytest.raises(error.ResetNeeded):
        CandleVectorEnv(WALK, 2).step(np.array([0, 0]))


@pytest.mark.parametrize(
    ("module", "missing", "extra"), [("gymnasium", "gymnasium", "rl"), ("sb3", "stable_baselines3", "rl-train")]
)
def test_without_the_library_a_sentence_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, module: str, missing: str, extra: str
) -> None:
    name = f"data_collector.client.adapters.{module}"
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, name, raising=False)

    with pytest.raises(NotInstalled, match=rf"pip install 'btc-data-collector\[{extra}\]'"):
        importlib.import_module(name)


def made(rows: Rows = WALK, /, **words: object) -> CandleEnv:
    return MAKE(rows, **words)


def run(env: CandleEnv, seed: int | None) -> Iterator[Step]:
    """One episode of actions that are drawn by the seed."""
    draws = np.random.default_rng(1 if seed is None else seed)
    seen, told = env.reset(seed=seed)
    yield seen, told
    while True:
        stepped = env.step(int(draws.integers(3)))
        yield stepped
        if stepped[2] or stepped[3]:
            return


def time_of(step: Step) -> int:
    told = step[-1]
    assert isinstance(told, dict)
    return int(told["timestamp_ms"])


def near(value: object, expected: float) -> bool:
    assert isinstance(value, float)
    return abs(value - expected) < 1e-12 * max(1.0, abs(expected))


def assert_same(ours: object, theirs: object) -> None:
    """Of one type, and equal to the last bit."""
    assert type(ours) is type(theirs), (ours, theirs)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for name in ours:
            assert_same(ours[name], theirs[name])
    elif isinstance(ours, tuple | list) and isinstance(theirs, tuple | list):
        for mine, other in zip(ours, theirs, strict=True):
            assert_same(mine, other)
    elif isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray):
        if ours.dtype == object:
            assert_same(ours.tolist(), theirs.tolist())
            return
        assert (ours.dtype, ours.shape, ours.tobytes()) == (theirs.dtype, theirs.shape, theirs.tobytes())
    else:
        assert ours == theirs
