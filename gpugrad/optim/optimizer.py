"""Optimizer: parameter groups, their options and state, and the step over flat buffers.

An optimizer is a subclass in a file of its own: its options, `check` for the impossible ones,
`slots` for the state it keeps, and `update`, the published equation on one array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from gpugrad.device import CPU
from gpugrad.errors import GraphError, OptionError
from gpugrad.mode import enable_grad
from gpugrad.optim.checks import demand, is_within
from gpugrad.optim.flat import FlatBuffer, Gradients, Saved
from gpugrad.optim.state import pack, unpack
from gpugrad.tensor import Tensor, describe

Params = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[dict[str, Any]]


class Optimizer:
    """Base class of the optimizers.

    Args:
        params: tensors, (name, tensor) pairs, or one dict for each group: `params` and the options
            in which it differs. A tensor given twice in a group counts once. Tensors that require
            no gradient (frozen ones) are left alone as long as they have none.
        defaults: the options of groups that do not give their own.
    Raises:
        OptionError: no parameters, a tensor in two groups, or an impossible option.
        GraphError: a tensor that is no leaf, or none that requires a gradient.

    >>> import gpugrad as gg
    >>> class SignDescent(gg.optim.Optimizer):
    ...     @staticmethod
    ...     def update(xp, parameter, grad, state, options):
    ...         parameter -= options["lr"] * xp.sign(grad)
    >>> w = gg.tensor([3.0, -2.0], requires_grad=True)
    >>> optimizer = SignDescent([w], {"lr": 0.5})
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [2.5, -1.5]
    """

    counts: ClassVar[bool] = True
    """Whether `update` needs the number of updates (`state["step"]`), not just which is first."""

    cuda: ClassVar[str | None] = None
    """The rule of `kernels/optimizer_step.py` that equals this class's own `update`, if any."""

    @classmethod
    def kernel(cls) -> str | None:
        """The rule for a GPU; a subclass with an `update` of its own has not its parent's."""
        owner = next(c for c in cls.__mro__ if "update" in vars(c))
        rule: str | None = vars(owner).get("cuda")
        return rule

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self._laid: list[list[FlatBuffer]] = []
        self._ids: list[list[int]] = []
        self._opt_called = False
        if isinstance(params, Tensor | dict | str) or not isinstance(params, Iterable):
            raise OptionError(
                f"{self._name}(params): expected an iterable of tensors, of (name, tensor) pairs "
                f"or of group dicts, not {describe(params)}\n"
                "  help: write model.parameters(), or [tensor] for a single one"
            )
        given: list[Any] = list(params)
        if not given:
            raise OptionError(
                f"{self._name}(params): the list of parameters is empty\n"
                "  help: a generator such as model.parameters() can be used only once"
            )
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)
        everything = [tensor for group in self.param_groups for tensor in group["params"]]
        if not any(tensor.requires_grad for tensor in everything):
            raise GraphError(
                f"{self._name}(params): none of the {len(everything)} tensors requires a gradient\n"
                "  help: make them with requires_grad=True, or nn.Parameter"
            )

    # What a subclass defines

    @staticmethod
    def update(
        xp: Any, parameter: Any, grad: Any, state: dict[str, Any], options: Mapping[str, Any]
    ) -> None:
        """Write the new values into `parameter`, in place.

        Args:
            xp: the array namespace (NumPy's functions).
            parameter, grad: (n,) arrays of one dtype; `grad` is read-only.
            state: the (n,) arrays that `slots` names, to be updated in place, and `step`, the
                number of this update (from 1).
            options: the group's options.
        """
        raise NotImplementedError("an optimizer must define update()")

    @staticmethod
    def slots(options: Mapping[str, Any]) -> dict[str, float]:
        """The names of the state arrays that `update` keeps, and what fills a new one."""
        return {}

    def check(self, options: Mapping[str, Any]) -> None:
        """Raise OptionError where an option is impossible."""
        demand(is_within(options["lr"], 0), self, "lr", options["lr"], "must be a number >= 0")

    # Groups

    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group: a dict of `params` and the options in which it differs from the defaults.

        Raises:
            OptionError: no parameters, one that is in another group, or an impossible option.
            GraphError: a tensor that is no leaf.
        """
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise OptionError(
                f"{self._name}: a parameter group must be a dict with 'params', not "
                f"{describe(param_group)}"
            )
        group = {**self.defaults, **param_group}
        given = group["params"]
        if isinstance(given, set):
            raise OptionError(f"{self._name}: a set of parameters has no order\n  help: use a list")
        entries: list[Any] = [given] if isinstance(given, Tensor) else list(given)
        if entries and all(isinstance(entry, tuple) for entry in entries):
            group["param_names"] = [name for name, _ in entries]
            entries = [tensor for _, tensor in entries]
        if not entries:
            raise OptionError(f"{self._name}: a parameter group with no parameters")
        for position, tensor in enumerate(entries):
            self._check_parameter(position, tensor)
        unique = {id(tensor): i for i, tensor in reversed(list(enumerate(entries)))}
        kept = sorted(unique.values())
        group["params"] = [entries[i] for i in kept]
        if "param_names" in group:
            group["param_names"] = [group["param_names"][i] for i in kept]
        self.check(group)
        self.param_groups.append(group)
        self._lay_out(len(self.param_groups) - 1, {})

    def _check_parameter(self, position: int, tensor: Any) -> None:
        if not isinstance(tensor, Tensor):
            raise OptionError(
                f"{self._name}(params): expected tensors, but number {position} is "
                f"{type(tensor).__name__}"
            )
        if not tensor.is_leaf:
            raise GraphError(
                f"{self._name}(params): number {position} is no leaf: a recorded operation made it"
                f"\n  tensor: {describe(tensor)}\n  help: t.detach().requires_grad_() is one"
            )
        if tensor.dtype.kind != "f":
            raise OptionError(
                f"{self._name}(params): number {position} is not floating\n"
                f"  tensor: {describe(tensor)}"
            )
        for index, group in enumerate(self.param_groups):
            if any(tensor is other for other in group["params"]):
                raise OptionError(
                    f"{self._name}(params): a tensor is in two groups, {index} and "
                    f"{len(self.param_groups)}\n  tensor: {describe(tensor)}"
                )

    def _lay_out(self, index: int, saved: Mapping[int, Saved]) -> None:
        """Put the parameters of a group into flat buffers, one for each dtype and device."""
        group = self.param_groups[index]
        tensors, slots = group["params"], self.slots(group)
        kinds: dict[Any, list[int]] = {}
        for position, tensor in enumerate(tensors):
            kinds.setdefault((tensor.dtype, str(tensor.device)), []).append(position)
        buffers = []
        for positions in kinds.values():
            part = {new: saved[old] for new, old in enumerate(positions) if old in saved}
            with tensors[positions[0]].device.use(f"{self._name}(params)"):
                buffers.append(FlatBuffer([tensors[i] for i in positions], slots, part))
        self._laid[index : index + 1] = [buffers]
        self._ids[index : index + 1] = [list(map(id, tensors))]

    def _saved(self) -> dict[int, Saved]:
        """Updates seen and state arrays of each tensor, by its id."""
        return {
            id(tensor): buffer.saved(position)
            for buffers in self._laid
            for buffer in buffers
            for position, tensor in enumerate(buffer.tensors)
        }

    def _saved_by_group(self) -> list[dict[int, Saved]]:
        """The same for each group, by position."""
        saved = self._saved()
        return [
            {i: saved[id(t)] for i, t in enumerate(group["params"]) if id(t) in saved}
            for group in self.param_groups
        ]

    def _lay_out_all(self, saved: list[dict[int, Saved]]) -> None:
        self._laid, self._ids = [], []
        for index in range(len(self.param_groups)):
            self._lay_out(index, saved[index])

    def _collect(self) -> list[tuple[dict[str, Any], FlatBuffer, Gradients]] | None:
        """Each buffer with its group and gradients; None where not all is as it was laid out."""
        groups, collected = self.param_groups, []
        if len(groups) != len(self._laid):
            return None
        for index, group in enumerate(groups):
            if [*map(id, group["params"])] != self._ids[index]:
                return None
            for buffer in self._laid[index]:
                gradients = buffer.collect()
                if gradients is None:
                    return None
                collected.append((group, buffer, gradients))
        return collected

    def _catch_up(self) -> None:
        """Take the parameters back from where another optimizer or `model.to` has put them."""
        same = self._ids == [[*map(id, group["params"])] for group in self.param_groups]
        buffers = [buffer for buffers in self._laid for buffer in buffers]
        if same and all(buffer.fits() for buffer in buffers):
            for buffer in buffers:
                buffer.adopt()
        else:
            self._lay_out_all(self._saved_by_group())

    def __getstate__(self) -> dict[str, Any]:
        # A copy lays out its own tensors: flat memory and what views it stay here.
        return {**vars(self), "_laid": self._saved_by_group(), "_ids": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lay_out_all(state["_laid"])

    # Steps

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters that have a gradient; the others are left as they are.

        Args:
            closure: computes the loss and its gradients again; called first if given.
        Returns: what `closure` returned, else None.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self._opt_called = True
        collected = self._collect()
        if collected is None:
            self._catch_up()
            collected = self._collect() or []
        for group, buffer, gradients in collected:
            if buffer.device is CPU:
                buffer.step(self, group, gradients)
            else:
                with buffer.device.use(f"{self._name}.step"):
                    buffer.step(self, group, gradients)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set those there are to zeros."""
        for group in self.param_groups:
            for tensor in group["params"]:
                node = tensor._node
                if set_to_none:
                    if node is not None:
                        node.grad = None
                elif tensor.grad is not None:
                    tensor.grad = Tensor._wrap(tensor.device.xp.zeros_like(tensor._data))

    # State

    @property
    def state(self) -> dict[Tensor, dict[str, Tensor]]:
        """For each parameter that has been updated, copies of its state by name."""
        packed = self.state_dict()["state"]
        everything = [tensor for group in self.param_groups for tensor in group["params"]]
        return {everything[index]: entry for index, entry in packed.items()}

    def state_dict(self) -> dict[str, Any]:
        """The options of every group and the state of every parameter that has been updated.

        Returns: {"state": {index: {name: tensor}}, "param_groups": [{..., "params": [index]}]},
            parameters numbered through all groups. The tensors are copies.
        """
        return pack(self, self._saved())

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict()` returned; nothing is changed where it does not fit.

        What `state_dict()` of the same optimizer in PyTorch gives is taken, too.

        Raises:
            StateError: naming every missing, extra or wrong-shaped key.
        """
        groups, saved = unpack(self, state_dict)
        for group, options in zip(self.param_groups, groups, strict=True):
            group.update(options)
        self._lay_out_all(saved)

    def __repr__(self) -> str:
        lines = [f"{self._name} ("]
        for index, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {index}")
            hidden = ("params", "param_names")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key not in hidden]
        return "\n".join([*lines, ")"])


def descent(parameter: Any, grad: Any, options: Mapping[str, Any]) -> Any:
    """The gradient to descend: turned round under `maximize`, plus `weight_decay` * parameter."""
    if options["maximize"]:
        grad = -grad
    if options["weight_decay"]:
        grad = grad + float(options["weight_decay"]) * parameter
    return grad
