"""Schedulers beside their numbers (test_trajectories.py): composing, saving, refusing."""

from __future__ import annotations

import copy

import pytest

import gpugrad as gg
from gpugrad import optim
from gpugrad.errors import OptionError, StateError
from gpugrad.optim import lr_scheduler
from tests.reference.trajectories import SCHEDULES


def two_groups(kind: str = "SGD", **options) -> optim.Optimizer:
    a, b = (gg.tensor([1.0], requires_grad=True) for _ in range(2))
    options = options or {"momentum": 0.9}
    return getattr(optim, kind)([{"params": [a]}, {"params": [b], "lr": 0.03}], lr=0.1, **options)


def follow(schedule, optimizer, epochs: int) -> list[list[float]]:
    rates = []
    for epoch in range(epochs):
        optimizer.step()
        schedule.step(*[1 / (epoch + 1)] * isinstance(schedule, lr_scheduler.ReduceLROnPlateau))
        rates.append([group["lr"] for group in optimizer.param_groups])
        assert schedule.get_last_lr() == rates[-1]
    return rates


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_loaded_schedule_goes_on_with_the_same_bits(name):
    optimizer = two_groups()
    schedule = SCHEDULES[name](lr_scheduler, optimizer)
    follow(schedule, optimizer, 25)
    saved = copy.deepcopy((optimizer.state_dict(), schedule.state_dict()))
    expected = follow(schedule, optimizer, 40)
    other = two_groups()
    resumed = SCHEDULES[name](lr_scheduler, other)
    other.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    assert follow(resumed, other, 40) == expected


def test_warm_restarts_begin_at_epoch_0_wherever_they_are():
    """Alone, first or second in a sequence, and in a chain there."""
    s = lr_scheduler

    def rates(make) -> list[list[float]]:
        optimizer = two_groups()
        schedule = make(optimizer)
        return [[group["lr"] for group in optimizer.param_groups], *follow(schedule, optimizer, 9)]

    def restarts(optimizer):
        return s.CosineAnnealingWarmRestarts(optimizer, 2, 2)

    def same(optimizer):
        return s.ConstantLR(optimizer, 1.0, 1)

    alone = rates(restarts)
    assert rates(lambda o: s.SequentialLR(o, [restarts(o), same(o)], [20])) == alone
    late = rates(lambda o: s.SequentialLR(o, [same(o), restarts(o)], [3]))
    assert late[3:] == alone[:7]
    chained = rates(lambda o: s.SequentialLR(o, [same(o), s.ChainedScheduler([restarts(o)])], [3]))
    assert chained[3:] == alone[:7]


@pytest.mark.parametrize("name", SCHEDULES)
def test_saved_state_is_numbers_strings_lists_and_dicts(name):
    def plain(value) -> bool:
        if isinstance(value, dict):
            return all(isinstance(k, str) and plain(v) for k, v in value.items())
        if isinstance(value, list):
            return all(map(plain, value))
        return value is None or isinstance(value, int | float | str)

    optimizer = two_groups()
    schedule = SCHEDULES[name](lr_scheduler, optimizer)
    follow(schedule, optimizer, 3)
    assert plain(schedule.state_dict())


class Decay:
    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, epoch: int) -> float:
        return self.rate**epoch


def test_a_callable_object_is_saved_and_a_function_is_not():
    optimizer = two_groups()
    schedule = lr_scheduler.LambdaLR(optimizer, [Decay(0.5), lambda epoch: 1.0])
    assert schedule.state_dict()["lr_lambdas"] == [{"rate": 0.5}, None]
    other = lr_scheduler.LambdaLR(two_groups(), [Decay(0.1), lambda epoch: 1.0])
    other.load_state_dict(schedule.state_dict())
    assert other.lr_lambdas[0].rate == 0.5


def test_schedules_compose_with_each_other_and_with_a_hand_on_lr():
    optimizer = two_groups()
    halve, decay = (
        lr_scheduler.StepLR(optimizer, 2, 0.5),
        lr_scheduler.ExponentialLR(optimizer, 0.9),
    )
    for _ in range(2):
        optimizer.step()
        halve.step()
        decay.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.5 * 0.81)
    optimizer.param_groups[0]["lr"] = 1.0
    decay.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.9)


def test_last_epoch_goes_on_from_the_initial_rates():
    optimizer = two_groups()
    rates = follow(lr_scheduler.ExponentialLR(optimizer, 0.9), optimizer, 5)
    resumed = lr_scheduler.ExponentialLR(optimizer, 0.9, last_epoch=5)
    assert resumed.base_lrs == [0.1, 0.03]
    assert resumed.last_epoch == 6
    assert resumed.get_last_lr() == pytest.approx([0.9 * rate for rate in rates[-1]])
    with pytest.raises(OptionError, match=r"param_groups\[0\] has no 'initial_lr'"):
        lr_scheduler.ExponentialLR(two_groups(), 0.9, last_epoch=5)


def test_a_jump_to_an_epoch_uses_the_closed_form():
    optimizer = two_groups()
    schedule = lr_scheduler.CosineAnnealingLR(optimizer, 10, 0.01)
    optimizer.step()
    schedule.step(5)
    assert schedule.get_last_lr() == pytest.approx([0.055, 0.02])
    warm = lr_scheduler.CosineAnnealingWarmRestarts(two_groups(), 3, 2)
    warm.step(3.5)
    assert (warm.T_cur, warm.T_i, warm.last_epoch) == (0.5, 6, 3)


def test_nested_sequences_count_their_own_epochs():
    optimizer = two_groups()
    s = lr_scheduler
    inner = s.SequentialLR(
        optimizer, [s.LinearLR(optimizer, 0.1, 1.0, 3), s.ConstantLR(optimizer, 0.5, 9)], [3]
    )
    outer = s.SequentialLR(optimizer, [inner, s.StepLR(optimizer, 1, 0.1)], [5])
    first = [outer.get_last_lr()[0]] + [row[0] for row in follow(outer, optimizer, 6)]
    assert first == pytest.approx([0.01, 0.04, 0.07, 0.05, 0.05, 0.1, 0.01])


def test_a_chain_inside_a_sequence_starts_at_its_epoch_0():
    optimizer = two_groups()
    s = lr_scheduler
    chain = s.ChainedScheduler([s.ConstantLR(optimizer, 0.5, 9), s.ExponentialLR(optimizer, 0.9)])
    outer = s.SequentialLR(optimizer, [s.StepLR(optimizer, 9), chain], [2])
    assert [row[0] for row in follow(outer, optimizer, 3)] == pytest.approx([0.1, 0.05, 0.045])


def test_stepping_the_schedule_first_warns():
    optimizer = two_groups()
    schedule = lr_scheduler.StepLR(optimizer, 2)
    with pytest.warns(UserWarning, match=r"called before optimizer\.step\(\)"):
        schedule.step()


def test_betas_are_cycled_where_there_is_no_momentum():
    optimizer = two_groups("Adam", eps=1e-8)
    lr_scheduler.CyclicLR(optimizer, 0.01, 0.1, 4, max_momentum=0.85)
    assert optimizer.param_groups[0]["betas"] == (0.85, 0.999)


@pytest.mark.parametrize("name", SCHEDULES)
def test_loading_names_what_does_not_fit(name):
    schedule = SCHEDULES[name](lr_scheduler, two_groups())
    state = schedule.state_dict()
    state.pop("_last_lr")
    state["tempo"] = 3
    before = dict(vars(schedule))
    with pytest.raises(StateError, match=r"missing: _last_lr\n  extra: tempo"):
        schedule.load_state_dict(state)
    assert vars(schedule) == before


def test_loading_counts_the_groups():
    single = optim.SGD([gg.tensor(1.0, requires_grad=True)], lr=0.1)
    state = lr_scheduler.StepLR(single, 2).state_dict()
    with pytest.raises(StateError, match="base_lrs: 1 groups saved, the optimizer has 2"):
        lr_scheduler.StepLR(two_groups(), 2).load_state_dict(state)


@pytest.mark.parametrize(
    ("name", "arguments", "options", "message"),
    [
        ("LambdaLR", ["x"], {}, "lr_lambda must be a function"),
        ("LambdaLR", [[abs]], {}, "one for each of the 2 parameter groups"),
        ("MultiplicativeLR", [[abs] * 3], {}, "one for each of the 2 parameter groups"),
        ("StepLR", [0], {}, "step_size must be a positive integer"),
        ("StepLR", [2.5], {}, "step_size must be a positive integer"),
        ("StepLR", [2], {"gamma": -1}, "gamma must be at least 0"),
        ("StepLR", [2], {"last_epoch": -2}, "last_epoch must be at least -1"),
        ("MultiStepLR", [[1, -2]], {}, "milestones must be integers"),
        ("MultiStepLR", [[1]], {"gamma": "x"}, "gamma must be at least 0"),
        ("ConstantLR", [], {"factor": 1.5}, "factor must be between 0 and 1"),
        ("ConstantLR", [], {"total_iters": 0}, "total_iters must be a positive integer"),
        ("LinearLR", [], {"start_factor": 0}, "start_factor must be above 0"),
        ("LinearLR", [], {"end_factor": 1.5}, "end_factor must be from 0 to 1"),
        ("LinearLR", [], {"total_iters": -3}, "total_iters must be a positive integer"),
        ("ExponentialLR", [-0.5], {}, "gamma must be at least 0"),
        ("PolynomialLR", [0], {}, "total_iters must be a positive integer"),
        ("PolynomialLR", [5], {"power": -1}, "power must be at least 0"),
        ("CosineAnnealingLR", [0], {}, "T_max must be a positive integer"),
        ("CosineAnnealingLR", [5], {"eta_min": -1}, "eta_min must be at least 0"),
        ("CosineAnnealingWarmRestarts", [0], {}, "T_0 must be a positive integer"),
        ("CosineAnnealingWarmRestarts", [5], {"T_mult": 0}, "T_mult must be a positive integer"),
        ("CosineAnnealingWarmRestarts", [5], {"eta_min": -1}, "eta_min must be at least 0"),
        ("CyclicLR", [0.1, [0.2] * 3], {}, "max_lr must be a number, or one for each of the 2"),
        ("CyclicLR", ["x", 0.2], {}, "base_lr must be a number"),
        ("CyclicLR", [0.1, 0.2], {"step_size_up": 0}, "step_size_up must be a positive integer"),
        ("CyclicLR", [0.1, 0.2], {"step_size_down": 0}, "step_size_down must be a positive"),
        ("CyclicLR", [0.1, 0.2], {"mode": "square"}, "mode must be one of"),
        ("CyclicLR", [0.1, 0.2], {"scale_mode": "x"}, "scale_mode must be one of"),
        ("OneCycleLR", [0.1], {}, "length of the schedule is not known"),
        ("OneCycleLR", [0.1], {"epochs": 3}, "length of the schedule is not known"),
        ("OneCycleLR", [0.1], {"total_steps": 0}, "total_steps must be a positive integer"),
        ("OneCycleLR", [0.1], {"epochs": 0, "steps_per_epoch": 1}, "epochs must be a positive"),
        ("OneCycleLR", [0.1, 9], {"pct_start": 2}, "pct_start must be between 0 and 1"),
        ("OneCycleLR", [0.1, 9], {"anneal_strategy": "x"}, "anneal_strategy must be one of"),
        ("OneCycleLR", [0.1, 9], {"div_factor": 0}, "div_factor must be above 0"),
        ("OneCycleLR", [0.1, 9], {"base_momentum": [0.1]}, "base_momentum must be a number"),
        ("ReduceLROnPlateau", [], {"factor": 1.0}, "factor must be at least 0 and below 1"),
        ("ReduceLROnPlateau", [], {"mode": "best"}, "mode must be one of"),
        ("ReduceLROnPlateau", [], {"threshold_mode": "x"}, "threshold_mode must be one of"),
        ("ReduceLROnPlateau", [], {"patience": -1}, "patience must be an integer"),
        ("ReduceLROnPlateau", [], {"cooldown": 0.5}, "cooldown must be an integer"),
        ("ReduceLROnPlateau", [], {"threshold": -1}, "threshold must be at least 0"),
        ("ReduceLROnPlateau", [], {"eps": -1}, "eps must be at least 0"),
        ("ReduceLROnPlateau", [], {"min_lr": [0.1]}, "min_lr must be a number, or one for each"),
    ],
)
def test_impossible_settings_are_refused(name, arguments, options, message):
    with pytest.raises(OptionError, match=rf"^{name}.*{message}"):
        getattr(lr_scheduler, name)(two_groups(), *arguments, **options)


@pytest.mark.parametrize(
    "name", sorted(set(lr_scheduler.__all__) - {"ChainedScheduler", "SequentialLR", "LRScheduler"})
)
def test_something_else_than_an_optimizer_is_refused(name):
    arguments = {
        "StepLR": [1], "MultiStepLR": [[1]], "ExponentialLR": [1], "LambdaLR": [abs],
        "MultiplicativeLR": [abs], "CosineAnnealingLR": [1], "CyclicLR": [1, 2],
        "OneCycleLR": [1, 2], "CosineAnnealingWarmRestarts": [1],
    }.get(name, [])  # fmt: skip
    with pytest.raises(OptionError, match=rf"{name}\(optimizer=str\)"):
        getattr(lr_scheduler, name)("SGD", *arguments)


def test_bad_combinations_are_refused():
    s, optimizer = lr_scheduler, two_groups()
    a, b = s.StepLR(optimizer, 2), s.StepLR(optimizer, 3)
    plateau, foreign = s.ReduceLROnPlateau(optimizer), s.StepLR(two_groups(), 2)
    with pytest.raises(OptionError, match="at least one scheduler"):
        s.SequentialLR(optimizer, [], [])
    with pytest.raises(OptionError, match="2 schedulers need 1 milestones, not 2"):
        s.SequentialLR(optimizer, [a, b], [2, 4])
    with pytest.raises(OptionError, match="milestones must be increasing"):
        s.SequentialLR(optimizer, [a, b, s.StepLR(optimizer, 5)], [4, 2])
    with pytest.raises(OptionError, match=r"schedulers\[1\] is ReduceLROnPlateau"):
        s.SequentialLR(optimizer, [a, plateau], [2])
    with pytest.raises(OptionError, match=r"schedulers\[1\] belongs to another optimizer"):
        s.ChainedScheduler([a, foreign])
    with pytest.raises(OptionError, match="at least one scheduler"):
        s.ChainedScheduler([])


def test_momentum_cannot_be_cycled_where_there_is_none():
    (w,) = [gg.tensor(1.0, requires_grad=True)]
    with pytest.raises(OptionError, match="neither 'momentum' nor 'betas'"):
        lr_scheduler.CyclicLR(optim.Adagrad([w]), 0.1, 0.2)


def test_bad_steps_are_refused():
    optimizer = two_groups()
    cycle = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=3)
    rates = follow(cycle, optimizer, 3)
    assert rates[-1] == rates[-2] == pytest.approx([0.1 / 25 / 1e4] * 2)  # the batch after the last
    with pytest.raises(OptionError, match="step 4 of a schedule of 3 steps"):
        cycle.step()
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer)
    with pytest.raises(OptionError, match="metrics must be a number"):
        plateau.step("low")
    plateau.step(gg.tensor(0.5))
    warm = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3)
    with pytest.raises(OptionError, match="epoch must be at least 0"):
        warm.step(-1)
