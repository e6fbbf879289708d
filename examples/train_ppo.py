"""An agent learns to trade candles by PPO, and a picture shows what it is worth on later ones.

The curve is the logarithm of its equity after fees at the end of candles that it has never seen, beside buying and
holding, and beside an agent that acts at random. What the simulator of `make demo` makes up holds nothing that could
be foreseen, so a curve that ends at zero or below is the right answer there. `--planted` takes candles in which each
move is partly undone by the next one: that can be learned, and is.

Usage: train_ppo.py [options] [symbol] [interval], and --help for the options

Needs `pip install 'btc-data-collector[rl-train]' matplotlib`, and before it a torch for CPUs (docs/rl.md). A demo has
the candles of a week half a minute after its start.
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np
import torch
from stable_baselines3 import PPO

from data_collector.client import Client
from data_collector.client.adapters.gymnasium import CandleEnv, CandleVectorEnv, split
from data_collector.client.adapters.sb3 import as_vec_env

MANY, STEPS_EACH = 64, 64
"""Environments beside each other, and what each does between two updates of the policy."""
OUT, LONG = 1, 2


def main():
    asked = parsed()
    candles = planted() if asked.planted else read(asked)
    at = candles["timestamp"][len(candles) * 3 // 4]
    train, test = split(candles, at=f"{at}+00:00", embargo=asked.embargo)
    volatility = np.diff(np.log(train["close"])).std()
    print(f"{len(train):,} candles to learn from, {len(test):,} later ones to be judged by.")
    print(f"A change of position costs {asked.fee / volatility:.2f} of a candle's usual move.")

    torch.set_num_threads(1)
    env = as_vec_env(CandleVectorEnv(train, MANY, fee=asked.fee, episode=128))
    model = PPO(
        "MlpPolicy", env, n_steps=STEPS_EACH, batch_size=512, learning_rate=1e-3, gamma=0.9, n_epochs=5, ent_coef=0.001,
        policy_kwargs={"net_arch": [32, 32]}, seed=asked.seed, device="cpu",
    )  # fmt: skip
    curve = [(0, rewards(chosen_by(model), test, asked.fee))]
    while curve[-1][0] < asked.steps:
        model.learn(MANY * STEPS_EACH, reset_num_timesteps=False)
        curve.append((model.num_timesteps, rewards(chosen_by(model), test, asked.fee)))
        print(f"{curve[-1][0]:9,} steps: {curve[-1][1].sum():+.3f}", flush=True)
    draw(asked, curve, test)


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("symbol", nargs="?", default="BTCUSDT")
    parser.add_argument("interval", nargs="?", default="1m")
    parser.add_argument("--start", default="-7d", help="of the history that is read (-7d)")
    parser.add_argument("--planted", action="store_true", help="candles made up, with something to be learned in them")
    parser.add_argument("--fee", type=float, default=0.0001, help="of what is traded (0.0001)")
    parser.add_argument("--embargo", default="1h", help="left out between learning and judging (1h)")
    parser.add_argument("--steps", type=int, default=40_000, help="of learning (40,000: a minute)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", default="train_ppo.png")
    return parser.parse_args()


def read(asked):
    with Client() as client:
        return client.klines(asked.symbol, asked.interval, start=asked.start).to_numpy()


def planted(count=16_000, undone=0.4, size=0.002):
    """Minutes of a price of which each move is partly undone by the next one."""
    random = np.random.default_rng(0)
    moves = random.standard_t(4, count) * size
    for row in range(1, count):
        moves[row] -= undone * moves[row - 1]
    names = ("open", "high", "low", "close", "volume")
    rows = np.ones(count, [("timestamp", "datetime64[ms]"), *((name, float) for name in names)])
    rows["timestamp"] = np.datetime64("2024-01-01", "ms") + 60_000 * np.arange(count)
    rows["close"] = 45_000 * np.exp(np.cumsum(moves))
    rows["open"] = np.concatenate([[45_000], rows["close"][:-1]])
    rows["high"], rows["low"] = np.maximum(rows["open"], rows["close"]), np.minimum(rows["open"], rows["close"])
    rows["volume"] = np.exp(random.standard_normal(count))
    return rows


def chosen_by(model):
    return lambda seen: model.predict(seen, deterministic=True)[0]


def rewards(choose, candles, fee):
    """Of every candle, over all spans without a gap."""
    env = CandleEnv(candles, fee=fee, episode=None, random_start=False, reward_scale=1.0)
    found = []
    for _ in range(env.episodes):
        seen, _ = env.reset()
        is_over = False
        while not is_over:
            seen, reward, is_ruined, is_last, _ = env.step(choose(seen))
            found.append(reward)
            is_over = is_ruined or is_last
    return np.array(found)


def draw(asked, curve, test):
    random = np.random.default_rng(asked.seed)
    holding = rewards(lambda _: LONG, test, asked.fee)
    by_chance = [rewards(lambda _: random.integers(3), test, asked.fee).sum() for _ in range(10)]
    last = curve[-1][1]
    t = last.mean() / last.std() * np.sqrt(len(last)) if last.std() else 0.0
    worth = "earns" if t > 3 else "loses" if t < -3 else "neither earns nor loses beyond chance"

    figure, (learning, later) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    source = "planted signal" if asked.planted else f"{asked.symbol} {asked.interval} of the collector"
    figure.suptitle(
        f"PPO on {source}: after {curve[-1][0]:,} steps it {worth} on {len(last):,} later candles "
        f"(t = {t:.1f}, fee {asked.fee:.2%})", fontsize=11,
    )  # fmt: skip
    learning.plot([steps for steps, _ in curve], [found.sum() for _, found in curve], "o-", label="PPO")
    learning.axhline(holding.sum(), color="tab:green", label="buy and hold")
    learning.axhspan(min(by_chance), max(by_chance), color="tab:red", alpha=0.3, label="at random, ten times")
    learning.set(xlabel="steps of learning", ylabel="log of equity on later candles, after fees")
    later.plot(np.cumsum(last), label="PPO")
    later.plot(np.cumsum(holding), color="tab:green", label="buy and hold")
    later.set(xlabel="later candles", ylabel="log of equity, after fees")
    for axes in (learning, later):
        axes.axhline(0, color="black", linewidth=0.7)
        axes.legend()
    figure.savefig(asked.picture, dpi=80)
    print(f"It {worth} (t = {t:.1f}); buying and holding: {holding.sum():+.3f}. The picture is {asked.picture}.")


if __name__ == "__main__":
    main()
