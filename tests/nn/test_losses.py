"""Losses: their numbers by formula, their gradients, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import gpugrad as gg
import gpugrad.nn.functional as F
from gpugrad import nn
from gpugrad.errors import DtypeError, LabelError, OptionError, ShapeError


def real(*shape: int, seed: int = 1) -> gg.Tensor:
    return gg.randn(*shape, generator=gg.Generator(seed), dtype="float64")


LABELS = np.array([2, 0, 1, 2])
SIGNS = np.array([[1.0, -1.0, 1.0]] * 4)
NUMBERS = gg.Generator(2).normal((4, 3), dtype="float64")
SHARES = np.exp(NUMBERS) / np.exp(NUMBERS).sum(1, keepdims=True)

LOSSES = [
    (nn.MSELoss, {}, NUMBERS),
    (nn.L1Loss, {}, NUMBERS),
    (nn.HuberLoss, {"delta": 0.5}, NUMBERS),
    (nn.SmoothL1Loss, {"beta": 0.5}, NUMBERS),
    (nn.SmoothL1Loss, {"beta": 0.0}, NUMBERS),
    (nn.CrossEntropyLoss, {}, LABELS),
    (nn.CrossEntropyLoss, {"ignore_index": 0, "label_smoothing": 0.2}, LABELS),
    (nn.CrossEntropyLoss, {"weight": [0.5, 2.0, 1.0], "ignore_index": 0}, LABELS),
    (nn.CrossEntropyLoss, {"weight": [0.5, 2.0, 1.0], "label_smoothing": 0.2}, SHARES),
    (nn.NLLLoss, {"weight": [0.5, 2.0, 1.0], "ignore_index": 0}, LABELS),
    (nn.BCEWithLogitsLoss, {"weight": [0.5, 2.0, 1.0], "pos_weight": [3.0]}, SHARES),
    (nn.HingeLoss, {"margin": 0.7}, SIGNS),
    (nn.HingeLoss, {"margin": 0.7}, LABELS),
    (nn.MultiMarginLoss, {"p": 2, "weight": [0.5, 2.0, 1.0]}, LABELS),
]


@pytest.mark.parametrize(("loss", "options", "target"), LOSSES)
def test_gradients_in_both_modes_to_second_order(loss, options, target):
    for reduction in ("mean", "sum", "none"):
        f = loss(reduction=reduction, **options)
        gg.check_grad(lambda x, f=f: f(x, gg.asarray(target)), real(4, 3), order=2, rtol=1e-4)


@pytest.mark.parametrize(
    ("loss", "options", "target"),
    [row for row in LOSSES if row[2].dtype.kind == "f" and row[0] is not nn.HingeLoss],
)
def test_gradients_of_the_target(loss, options, target):
    f = loss(**options)
    gg.check_grad(lambda x, y: f(x, y), real(4, 3), target, order=2, rtol=1e-4)


@pytest.mark.parametrize(("loss", "options", "target"), LOSSES)
def test_reductions_agree(loss, options, target):
    x = real(4, 3)
    each = loss(reduction="none", **options)(x, target).numpy()
    assert loss(reduction="sum", **options)(x, target).item() == pytest.approx(each.sum())
    mean = loss(reduction="mean", **options)(x, target).item()
    if "ignore_index" in options:  # the mean is over the labels that count, by weight
        weight = np.array(options.get("weight", [1.0] * 3))
        assert mean == pytest.approx(each.sum() / weight[[2, 1, 2]].sum())
    else:
        assert mean == pytest.approx(each.mean())


@pytest.mark.parametrize(("loss", "options", "target"), LOSSES)
def test_loss_keeps_the_dtype(loss, options, target):
    x = real(4, 3).astype(gg.float32)
    target = target.astype(gg.float32) if target.dtype.kind == "f" else target
    assert loss(**options)(x, target).dtype == gg.float32


# By formula


def test_regression_losses_by_formula():
    x, y = real(50).numpy(), 2 * real(50, seed=2).numpy()
    d = abs(x - y)
    assert F.mse_loss(x, y).item() == pytest.approx((d**2).mean())
    assert F.l1_loss(x, y).item() == pytest.approx(d.mean())
    huber = np.where(d < 0.5, d**2 / 2, 0.5 * (d - 0.25))
    assert (d < 0.5).any()
    np.testing.assert_allclose(F.huber_loss(x, y, "none", 0.5).numpy(), huber)
    np.testing.assert_allclose(F.smooth_l1_loss(x, y, "none", 0.5).numpy(), huber / 0.5)


def test_cross_entropy_by_formula():
    x = real(4, 3).numpy()
    log_p = x - np.log(np.exp(x).sum(1, keepdims=True))
    each = -log_p[np.arange(4), LABELS]
    assert F.cross_entropy(x, LABELS).item() == pytest.approx(each.mean())
    assert F.nll_loss(log_p, LABELS).item() == pytest.approx(each.mean())
    onehot = np.eye(3)[LABELS]
    assert F.cross_entropy(x, onehot).item() == pytest.approx(each.mean())
    smooth = F.cross_entropy(x, LABELS, label_smoothing=0.3).item()
    assert smooth == pytest.approx(0.7 * each.mean() + 0.3 * -log_p.mean())
    assert F.cross_entropy(x[0], gg.tensor(2)).item() == pytest.approx(each[0])


def test_cross_entropy_with_axes_after_the_classes():
    x, labels = real(2, 3, 4), gg.tensor([[0, 1, 2, 0], [2, 2, 1, 0]])
    each = F.cross_entropy(x, labels, reduction="none")
    assert each.shape == (2, 4)
    one = F.cross_entropy(x[1, :, 2], gg.tensor(1))
    assert each[1, 2].item() == pytest.approx(one.item())
    assert F.cross_entropy(x, labels).item() == pytest.approx(each.mean().item())
    gg.check_grad(lambda x: F.cross_entropy(x, labels), x)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "uint64"])
def test_labels_of_any_integer_dtype(dtype):
    """Labels of few bits must not overflow in a batch larger than they can count."""
    x = real(300, 100)
    labels = np.arange(300) % 100
    x32 = gg.tensor(x, requires_grad=True)
    loss = F.cross_entropy(x32, gg.tensor(labels.astype(dtype)))
    loss.backward()
    wanted = gg.tensor(x, requires_grad=True)
    exact = F.cross_entropy(wanted, gg.tensor(labels))
    exact.backward()
    assert loss.item() == exact.item()
    assert x32.grad.tolist() == wanted.grad.tolist()
    for other in (F.nll_loss, F.multi_margin_loss):
        assert other(x, gg.tensor(labels.astype(dtype))).item() == pytest.approx(
            other(x, gg.tensor(labels)).item()
        )


def test_large_logits_do_not_overflow():
    x = gg.tensor([[1000.0, -1000.0]], requires_grad=True)
    loss = F.cross_entropy(x, gg.tensor([1]))
    loss.backward()
    assert loss.item() == 2000.0
    assert x.grad.tolist() == [[1.0, -1.0]]
    logit = gg.tensor([1000.0, -1000.0], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(logit, gg.tensor([0.0, 1.0]), reduction="sum")
    loss.backward()
    assert loss.item() == 2000.0
    assert logit.grad.tolist() == [1.0, -1.0]


def test_all_labels_ignored_is_nan_as_in_pytorch():
    x = gg.tensor([[1.0, 2.0]], requires_grad=True)
    assert np.isnan(F.cross_entropy(x, gg.tensor([-100])).item())
    assert np.isnan(F.nll_loss(x, gg.tensor([-100])).item())
    assert F.cross_entropy(x, gg.tensor([-100]), reduction="sum").item() == 0.0
    assert F.nll_loss(x, gg.tensor([-100]), reduction="sum").item() == 0.0


def test_binary_cross_entropy_by_formula():
    x, z = real(5).numpy(), np.array([0.0, 1.0, 0.5, 1.0, 0.25])
    p = 1 / (1 + np.exp(-x))
    each = -(3 * z * np.log(p) + (1 - z) * np.log(1 - p))
    loss = F.binary_cross_entropy_with_logits(x, z, pos_weight=gg.tensor(3.0), reduction="none")
    np.testing.assert_allclose(loss.numpy(), each)


def test_hinge_losses_by_formula():
    x, signs = np.array([0.5, -2.0, 3.0]), np.array([1, 1, -1])
    assert F.hinge_loss(x, signs, reduction="none").tolist() == [0.5, 3.0, 4.0]
    assert nn.HingeLoss(2.0, "none")(x, signs).tolist() == [1.5, 4.0, 5.0]
    scores = np.array([[1.0, 1.5, -1.0]])
    # the wrong classes fall short by 1 - 1 + 1.5 and by 1 - 1 - 1 (not at all)
    assert F.multi_margin_loss(scores, gg.tensor([0])).item() == 1.5 / 3
    assert F.multi_margin_loss(scores, gg.tensor([0]), p=2).item() == 1.5**2 / 3
    assert nn.HingeLoss()(scores, gg.tensor([0])).item() == 1.5 / 3
    assert F.multi_margin_loss(scores[0], gg.tensor(0)).item() == 1.5 / 3


# What is refused

ELEMENTWISE = [
    F.mse_loss,
    F.l1_loss,
    F.huber_loss,
    F.smooth_l1_loss,
    F.binary_cross_entropy_with_logits,
    F.hinge_loss,
]
OF_CLASSES = [F.cross_entropy, F.nll_loss, F.multi_margin_loss]


@pytest.mark.parametrize("loss", ELEMENTWISE)
def test_shapes_are_never_broadcast(loss, device):
    message = (
        rf"{loss.__name__}: input and target differ in shape\n  input: float32 \(4, 1\) on {device}"
        rf"\n  target: float32 \(4,\) on {device}\n  help: target.reshape\(\(4, 1\)\)"
    )
    with pytest.raises(ShapeError, match=message):
        loss(gg.ones((4, 1)), gg.ones(4))
    with pytest.raises(ShapeError, match=r"help: input.reshape\(\(4, 1\)\)"):
        loss(gg.ones(4), gg.ones((4, 1)))
    with pytest.raises(ShapeError, match=r"help: a target has its prediction's shape"):
        loss(gg.ones((4, 1)), gg.ones(1))


@pytest.mark.parametrize("loss", ELEMENTWISE + OF_CLASSES)
def test_an_empty_batch_has_no_mean(loss):
    x = gg.zeros((0, 3))
    target = gg.zeros(0, dtype="int64") if loss in OF_CLASSES else x
    with pytest.raises(ShapeError, match=f"{loss.__name__}: the batch is empty"):
        loss(x, target)
    assert loss(x, target, reduction="sum").item() == 0.0
    assert loss(x, target, reduction="none").size == 0


@pytest.mark.parametrize("loss", ELEMENTWISE + OF_CLASSES)
def test_unknown_reductions(loss):
    x = gg.ones((2, 3))
    target = gg.tensor([0, 1]) if loss in OF_CLASSES else x
    with pytest.raises(OptionError, match="reduction='average' is none of 'mean', 'sum', 'none'"):
        loss(x, target, reduction="average")


@pytest.mark.parametrize("loss", OF_CLASSES)
def test_labels_out_of_range_or_of_the_wrong_kind(loss, looking):
    x = gg.ones((3, 4))
    message = "is out of range: there are 4 classes, so labels run from 0 to 3"
    with pytest.raises(LabelError, match=message), looking():
        loss(x, gg.tensor([0, 4, 1]))
    with pytest.raises(LabelError, match=message), looking():
        loss(x, gg.tensor([0, 1, -1]))
    with pytest.raises(LabelError, match="labels are class numbers, so integers, not float32"):
        loss(x, gg.tensor([0.0, 1.0, 2.0]))
    with pytest.raises(LabelError, match="labels are class numbers, so integers, not bool"):
        loss(x, gg.tensor([True, False, True]))


@pytest.mark.parametrize("loss", OF_CLASSES)
def test_labels_of_the_wrong_shape(loss):
    with pytest.raises(ShapeError, match=r"do not fit"):
        loss(gg.ones((3, 4)), gg.tensor([0, 1]))
    with pytest.raises(ShapeError, match=r"do not fit"):
        loss(gg.ones((3, 4)), gg.tensor([[0], [1], [2]]))


@pytest.mark.parametrize("loss", OF_CLASSES)
def test_a_weight_for_each_class(loss):
    with pytest.raises(ShapeError, match=r"weight is \(3,\), but there are 4 classes"):
        loss(gg.ones((2, 4)), gg.tensor([0, 1]), weight=gg.ones(3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: F.cross_entropy(x, gg.tensor([[0, 1], [1, 0]])), LabelError,
         "a target of the input's shape holds probabilities, so floats"),
        (lambda x: F.cross_entropy(x, gg.tensor([0, 1]), label_smoothing=2.0), OptionError,
         r"label_smoothing=2.0 must lie in \[0, 1\]"),
        (lambda x: F.cross_entropy(x, x, label_smoothing=2.0), OptionError,
         r"label_smoothing=2.0 must lie in \[0, 1\]"),
        (lambda x: F.cross_entropy(x, x, gg.ones(3)), ShapeError,
         r"weight is \(3,\), but there are 2 classes"),
        (lambda x: F.cross_entropy(gg.tensor(1.0), gg.tensor(0)), ShapeError,
         "the input needs an axis of classes"),
        (lambda x: F.nll_loss(gg.tensor(1.0), gg.tensor(0)), ShapeError,
         "the input needs an axis of classes"),
        (lambda x: F.huber_loss(x, x, delta=0.0), OptionError, "delta=0.0 must be positive"),
        (lambda x: F.smooth_l1_loss(x, x, beta=-1.0), OptionError,
         "beta=-1.0 must not be negative"),
        (lambda x: F.multi_margin_loss(x, gg.tensor([0, 1]), p=3), OptionError, "p=3 is neither"),
        (lambda x: F.binary_cross_entropy_with_logits(x, x, pos_weight=gg.ones(3)), ShapeError,
         r"pos_weight cannot be broadcast to the input"),
        (lambda x: nn.HingeLoss()(x, gg.tensor([0.0, 1.0])), DtypeError,
         "class numbers are integers, not floats"),
        (lambda x: nn.MSELoss("average"), OptionError, "MSELoss: reduction='average' is none of"),
    ],
)  # fmt: skip
def test_other_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call(gg.ones((2, 2)))


def test_targets_of_the_hinge_loss_are_signs(looking):
    message = r"the targets must be -1 or 1\n  help: of labels 0 and 1 make them by 2 \* labels - 1"
    with pytest.raises(LabelError, match=message), looking():
        F.hinge_loss(gg.ones(2), gg.zeros(2))


@pytest.mark.once
@pytest.mark.parametrize("loss", OF_CLASSES)
def test_a_label_out_of_range_is_named(loss):
    """On the CPU; a GPU is asked only whether there is one."""
    with pytest.raises(LabelError, match="label 4 in row 1 is out of range"):
        loss(gg.ones((3, 4)), gg.tensor([0, 4, 1]))
    with pytest.raises(LabelError, match="label -1 in row 2 is out of range"):
        loss(gg.ones((3, 4)), gg.tensor([0, 1, -1]))


def test_class_weights_are_buffers():
    loss = nn.CrossEntropyLoss(weight=[1.0, 2.0])
    assert list(loss.state_dict()) == ["weight"]
    assert list(loss.parameters()) == []
    assert loss.double().weight.dtype == gg.float64


def test_class_weights_are_the_modules_own_and_keep_the_dtype():
    given = np.array([1.0, 2.0, 3.0])
    loss = nn.BCEWithLogitsLoss(weight=given, pos_weight=given)
    x = gg.ones((2, 3))
    before = loss(x, x)
    given[:] = 0.0
    assert loss(x, x).item() == before.item()
    assert before.dtype == gg.float32
    for of_classes in (nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss):
        assert of_classes(weight=np.ones(3))(x, gg.tensor([0, 1])).dtype == gg.float32


@pytest.mark.parametrize("dtype", ["bool", "int64", "uint8"])
def test_targets_of_0_and_1_may_be_no_floats(dtype):
    x = real(4)
    target = np.array([0, 1, 1, 0])
    for loss in (F.binary_cross_entropy_with_logits, F.mse_loss, F.l1_loss, F.huber_loss):
        exact = loss(x, gg.tensor(target.astype(float)))
        assert loss(x, gg.tensor(target.astype(dtype))).item() == exact.item()


def test_a_column_of_scores_is_not_one_class():
    with pytest.raises(ShapeError, match=r"help: target.reshape\(\(4, 1\)\)"):
        nn.HingeLoss()(gg.ones((4, 1)), gg.tensor([1, -1, 1, 1]))
