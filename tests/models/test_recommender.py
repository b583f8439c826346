from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from stream.models.base.vocabulary import Vocabulary
from stream.models.recommend.recommender import LADDER, Recommender, TimedStep
from stream.models.recommend.sessions import SessionIndex


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


def drawn_steps(seed: int, sessions: int, items: int = 60) -> list[TimedStep]:
    """Sessions that walk along a ring of items, now and then going back."""
    draw = random.Random(seed)
    steps = []
    for session in range(sessions):
        place, walked = draw.randrange(items), []
        for _ in range(draw.randint(1, 6)):
            name = f"i{place % items}"
            steps.append(TimedStep(session, tuple(walked), name, session * 1000, session % 3))
            walked.append(name)
            place += draw.choice((1, 1, 1, 2, -1, 0, 7))
    return steps


def learn(model: Recommender, steps: list[TimedStep], batch: int = 40) -> None:
    for start in range(0, len(steps), batch):
        model.learn_many(steps[start : start + batch])


def small(**options: Any) -> Recommender:
    return Recommender(**{"items": 128, "sessions": 256, "neighbours": 16, **options})


def test_what_usually_follows_is_recommended_first(seed: int) -> None:
    model = small()
    learn(model, drawn_steps(seed, 1_500))
    hits = sum(
        f"i{(n + 1) % 60}" in [r.item for r in model.recommend([f"i{n}"], 3)] for n in range(60)
    )
    assert hits >= 55


def test_blend_beats_what_it_began_with(seed: int) -> None:
    steps = drawn_steps(seed, 6_000)
    half = len(steps) // 2
    learned, prior = small(), small(eager=0, thin=10**9)
    for model in (learned, prior):
        learn(model, steps[:half])

    def reciprocal(model: Recommender) -> float:
        total = 0.0
        for step in steps[half:]:
            if step.previous:
                items = [r.item for r in model.recommend(step.previous, 20)]
                total += 1.0 / (items.index(step.item) + 1) if step.item in items else 0.0
        return total

    assert reciprocal(learned) > 1.02 * reciprocal(prior)


def test_every_answer_names_its_source_and_its_rung() -> None:
    model = small()
    learn(model, drawn_steps(1, 300))
    ranked = model.recommend(["i1", "i2"], 30, segment=1, newest=["fresh"])
    rungs = [LADDER.index(one.rung) for one in ranked]
    assert rungs == sorted(rungs)
    assert {one.source for one in ranked if one.rung == "personal"} <= {
        "similar",
        "next",
        "together",
        "two_step",
        "taste",
        "own",
    }
    assert next(one for one in ranked if one.item == "i1").source == "own"
    assert len({one.item for one in ranked}) == len(ranked)


def test_a_stranger_climbs_down_the_ladder() -> None:
    model = small()
    assert model.recommend(["never seen"], 5) == []
    assert [(r.item, r.rung) for r in model.recommend([], 5, newest=["n"])] == [("n", "new")]
    learn(model, drawn_steps(2, 30))
    assert {r.rung for r in model.recommend([], 5)} == {"trending"}
    assert model.recommend([], 5, segment=0)[0].rung == "segment"


def test_what_is_excluded_stays_out_on_every_rung() -> None:
    model = small()
    learn(model, drawn_steps(3, 300))
    exclude = {f"i{n}" for n in range(0, 60, 2)}
    items = [r.item for r in model.recommend(["i1"], 60, exclude=exclude, segment=0)]
    assert items
    assert not exclude & set(items)


def test_scores_fall_and_are_probabilities() -> None:
    model = small()
    learn(model, drawn_steps(4, 300))
    scores = [r.score for r in model.recommend(["i5", "i6"], 200) if r.rung == "personal"]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1.0)


def test_reading_changes_nothing() -> None:
    model = small()
    learn(model, drawn_steps(5, 200))
    before = model.state()
    for n in range(60):
        model.recommend([f"i{n}", "unknown", f"i{n + 1}"], 20, session=3, segment=1)
    assert same(before, model.state())


@pytest.mark.parametrize("items", [128, 32], ids=["all-held", "some-evicted"])
def test_what_is_kept_for_reading_is_what_would_be_read(items: int, seed: int) -> None:
    model, steps = small(items=items), drawn_steps(seed, 300)
    learn(model, steps)
    asked = [step for step in drawn_steps(seed + 1, 60) if step.previous]
    for step in [*asked, *asked]:
        fresh = Recommender.from_state(model.state())
        for session in (-1, steps[-1].session, step.session):
            told = model.recommend(step.previous, 20, (), session)
            assert told == fresh.recommend(step.previous, 20, (), session)
    learn(model, asked)
    fresh = Recommender.from_state(model.state())
    for step in asked:
        assert model.recommend(step.previous, 20) == fresh.recommend(step.previous, 20)


def test_a_session_that_nobody_is_like_is_still_answered() -> None:
    model = small()
    model.learn_many([TimedStep(7, [], "tea", 0), TimedStep(7, ["tea"], "milk", 1)])
    for session, similar in ((7, False), (8, True)):
        pool = model.gather(["tea"], session)
        assert pool is not None
        assert bool(pool.features[:, 0].any()) == similar


def test_state_goes_on_to_the_bit_with_everything_full() -> None:
    steps = drawn_steps(6, 1_200, items=300)
    half = len(steps) // 2
    straight = small(items=100, sessions=64, neighbours=4, half_life=60.0)
    learn(straight, steps[:half])
    resumed = Recommender.from_state(straight.state())
    for model in (straight, resumed):
        learn(model, steps[half:])
    assert all(straight.evicted.values()), straight.evicted
    assert same(straight.state(), resumed.state())
    assert straight.recommend(["i7"], 20) == resumed.recommend(["i7"], 20)


def test_memory_is_flat_while_strangers_pass_through() -> None:
    model = small(items=512, sessions=512, neighbours=8, half_life=600.0, eager=100, thin=50)

    def size() -> int:
        arrays = [a.nbytes for a in model.state().values() if isinstance(a, np.ndarray)]
        return sum(arrays) + len(model.index._rows) + len(model.pairs.vocabulary.index)

    def flood(first: int, last: int) -> None:
        for start in range(first, last, 50):
            model.learn_many([
                step
                for n in range(start, start + 50)
                for step in (TimedStep(n, [], f"x{n}", n), TimedStep(n, [f"x{n}"], f"y{n}", n))
            ])  # fmt: skip

    flood(0, 5_000)
    before = size()
    flood(5_000, 30_000)
    assert size() <= before * 1.01
    assert model.evicted["items"] > 50_000
    assert model.evicted["sessions"] == 30_000 - 512
    items = [r.item for r in model.recommend(["x29999"], 5)]
    assert "y29999" in items


def test_a_session_is_no_neighbour_of_its_own() -> None:
    vocabulary = Vocabulary(8)
    index = SessionIndex(vocabulary, sessions=4, length=4, postings=4)
    a, b, c = (vocabulary.admit(name, 1.0) for name in "abc")
    index.learn(1, a)
    index.learn(1, b)
    index.learn(2, a)
    index.learn(2, c)
    assert set(index.similar([a], [1.0], -1)[0].tolist()) == {a, b, c}
    assert set(index.similar([a], [1.0], 1)[0].tolist()) == {a, c}


def test_a_long_session_goes_on_in_a_new_row_and_old_rows_give_way() -> None:
    vocabulary = Vocabulary(64)
    index = SessionIndex(vocabulary, sessions=2, length=4, postings=4)
    numbers = [vocabulary.admit(f"i{n}", 1.0) for n in range(12)]
    for number in numbers:
        index.learn(7, number)
    assert index.begun == 3
    assert index.evicted == 1
    assert len(index.similar([numbers[0]], [1.0], -1)[0]) == 0
    assert set(index.similar([numbers[5]], [1.0], -1)[0].tolist()) == set(numbers[4:8])


@pytest.mark.parametrize(("sessions", "length"), [(2, 1), (2, 4), (64, 4)])
def test_visits_learned_together_are_what_each_would_be(
    sessions: int, length: int, seed: int
) -> None:
    draw = random.Random(seed)
    vocabulary = Vocabulary(32)
    numbers = [vocabulary.admit(f"i{n}", 1.0) for n in range(20)]
    together, each = (SessionIndex(vocabulary, sessions, length, postings=3) for _ in range(2))
    for batch in range(20):
        keys = [batch // 4 + draw.randrange(6) for _ in range(15)]
        items = draw.choices(numbers, k=15)
        together.learn_many(keys, items)
        for key, item in zip(keys, items, strict=True):
            each.learn(key, item)
        assert same(together.state(), each.state())
        assert [together.row(key) for key in range(12)] == [each.row(key) for key in range(12)]


def test_similarity_equals_a_plain_computation(seed: int) -> None:
    draw = random.Random(seed)
    vocabulary = Vocabulary(32)
    index = SessionIndex(vocabulary, sessions=64, length=8, postings=64)
    sessions = [draw.sample(range(20), draw.randint(1, 8)) for _ in range(40)]
    for key, session in enumerate(sessions):
        for item in session:
            index.learn(key, vocabulary.admit(f"i{item}", 1.0))
    current = draw.sample(range(20), 3)
    rarity = [1.0, 2.0, 0.5]
    known = [(i, vocabulary.find(f"i{i}"), r) for i, r in zip(current, rarity, strict=True)]
    known = [entry for entry in known if entry[1]]
    numbers, scores = index.similar([n for _, n, _ in known], [r for _, _, r in known], -1)
    got = np.bincount(numbers & vocabulary.mask, scores, 32)
    weights = index.weights
    expected = np.zeros(32)
    for session in sessions:
        common = [(back, i, r) for back, (i, _, r) in enumerate(known) if i in session]
        if not common:
            continue
        similarity = sum(weights.position**back * r for back, _, r in common)
        similarity /= len(session) ** weights.size
        match = session.index(common[0][1])
        for place, item in enumerate(session):
            away = place - match
            near = np.exp(-(abs(away) - 1) / weights.reach) * (weights.before if away < 0 else 1.0)
            near *= {0: 0.0, 1: weights.next}.get(away, 1.0)
            slot = vocabulary.find(f"i{item}") & vocabulary.mask
            expected[slot] += similarity * near
    assert got == pytest.approx(expected)
