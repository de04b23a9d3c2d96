"""The table of operations: every opcode that computes values from registers.

A row is one shape of opcode with its operands and the function that computes it; `Row` says how
they are written. Looking an opcode up tries the rows of its first word, once for each text.
"""

from __future__ import annotations

import functools

import numpy as np

from gpugrad.simulate.arithmetic import (
    approximate,
    bits,
    comparison,
    conversion,
    float8,
    floating,
    integers,
)
from gpugrad.simulate.arithmetic.floating import modified
from gpugrad.simulate.arithmetic.half import lifted
from gpugrad.simulate.arithmetic.opcodes import Form, Function, Operation, Row, the

__all__ = ["ROWS", "Operation", "operation"]


def _pairs(function: Function) -> Function:
    """A maker for integers that may be packed pairs."""
    return lambda form: lifted(function, form.kind)


def _carry(name: str, sources: str) -> tuple[Row, Row]:
    """The rows of an instruction that writes the carry flag, and of its twin that reads it."""
    modes, operands = ("lo|hi ", f"{sources} t") if name == "mad" else ("", sources)
    return (
        Row(f"{name} {modes}cc int32or64", operands, "t", integers.with_carry),
        Row(f"{name}c {modes}[cc] int32or64", operands, "t", integers.with_carry),
    )


_EXTREMES = {"min": np.minimum, "max": np.maximum}


def _integer_extreme(form: Form) -> Function:
    function = lifted(_EXTREMES[form.name], form.kind)
    return integers.relu(function) if "relu" in form else function


_LOGIC = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}

ROWS: tuple[Row, ...] = (
    # Integer arithmetic
    Row("add int|u16x2|s16x2", "t t", "t", _pairs(np.add)),
    Row("add sat s32", "t t", "t", the(integers.add_saturating)),
    Row("sub int", "t t", "t", the(np.subtract)),
    Row("sub sat s32", "t t", "t", the(integers.subtract_saturating)),
    *_carry("add", "t t"),
    *_carry("sub", "t t"),
    *_carry("mad", "t t"),
    Row("mul lo int", "t t", "t", the(np.multiply)),
    Row("mul hi int", "t t", "t", the(integers.multiply_high)),
    Row("mul wide s16|u16|s32|u32", "t t", "w", the(integers.multiply_wide)),
    Row("mad lo int", "t t t", "t", the(integers.multiply_add)),
    Row("mad hi int", "t t t", "t", the(integers.multiply_add_high)),
    Row("mad hi sat s32", "t t t", "t", the(integers.multiply_add_high_saturating)),
    Row("mad wide s16|u16|s32|u32", "t t w", "w", the(integers.multiply_add_wide)),
    Row("mul24 lo|hi s32|u32", "t t", "t", integers.multiply_24),
    Row("mad24 lo|hi s32|u32", "t t t", "t", integers.multiply_24),
    Row("mad24 hi sat s32", "t t t", "t", integers.multiply_24),
    Row("sad int", "t t t", "t", the(integers.sum_of_difference)),
    Row("div int", "t t", "t", the(integers.divide)),
    Row("rem int", "t t", "t", the(integers.remainder)),
    Row("abs s16|s32|s64", "t", "t", the(np.abs)),
    Row("neg s16|s32|s64", "t", "t", the(np.negative)),
    Row("min|max int|u16x2|s16x2", "t t", "t", _integer_extreme),
    Row("min|max relu s32|s16x2", "t t", "t", _integer_extreme),
    Row("dp4a s32|u32 s32|u32", "u32 u32 u32", "u32", integers.dot_product),
    Row("dp2a lo|hi s32|u32 s32|u32", "u32 u32 u32", "u32", integers.dot_product),
    # Bits
    Row("and|or|xor bits|pred", "t t", "t", lambda form: _LOGIC[form.name]),
    Row("not bits|pred", "t", "t", the(np.invert)),
    Row("cnot bits", "t", "t", the(bits.logical_not_bits)),
    Row("lop3 b32", "t t t u32", "t", bits.logic_of_three),
    Row("lop3 and|or b32", "t t t u32 pred", "t pred", bits.logic_of_three),
    Row("shl bits", "t u32", "t", bits.shift),
    Row("shr bits|int", "t u32", "t", bits.shift),
    Row("shf l|r clamp|wrap b32", "t t u32", "t", bits.funnel_shift),
    Row("prmt b32 [f4e|b4e|rc8|ecl|ecr|rc16]", "b32 b32 b32", "b32", bits.permute),
    Row("bfe int32or64", "t u32 u32", "t", bits.extract_field),
    Row("bfi b32|b64", "t t u32 u32", "t", the(bits.insert_field)),
    Row("bfind [shiftamt] int32or64", "t", "u32", bits.find_leading),
    Row("clz b32|b64", "t", "u32", the(bits.leading_zeros)),
    Row("popc b32|b64", "t", "u32", the(bits.count_ones)),
    Row("brev b32|b64", "t", "t", the(bits.reverse)),
    Row("fns b32", "u32 u32 s32", "u32", the(bits.find_set)),
    Row("bmsk clamp|wrap b32", "u32 u32", "u32", bits.bit_mask),
    Row("szext clamp|wrap s32|u32", "t u32", "t", bits.extend),
    # Floating point, rounded as asked
    Row("add [rnd] [ftz] [sat] f32|f64", "t t", "t", modified(floating.add)),
    Row("add [rn] [ftz] [sat] half", "t t", "t", modified(floating.add)),
    Row("sub [rnd] [ftz] [sat] f32|f64", "t t", "t", modified(floating.subtract)),
    Row("sub [rn] [ftz] [sat] half", "t t", "t", modified(floating.subtract)),
    Row("mul [rnd] [ftz] [sat] f32|f64", "t t", "t", modified(floating.multiply)),
    Row("mul [rn] [ftz] [sat] half", "t t", "t", modified(floating.multiply)),
    Row("fma rnd [ftz] [sat] f32|f64", "t t t", "t", modified(floating.fma)),
    Row("fma rn [ftz] [sat] [relu] half", "t t t", "t", modified(floating.fma)),
    Row("mad rnd [ftz] [sat] f32|f64", "t t t", "t", modified(floating.fma)),
    Row("div rnd [ftz] f32|f64", "t t", "t", modified(floating.divide)),
    Row("rcp rnd [ftz] f32|f64", "t", "t", modified(floating.reciprocal)),
    Row("sqrt rnd [ftz] f32|f64", "t", "t", modified(floating.square_root)),
    Row("abs [ftz] f32|f64|half", "t", "t", modified(floating.absolute)),
    Row("neg [ftz] f32|f64|half", "t", "t", modified(floating.negative)),
    Row("min|max [ftz] [NaN] [xorsign.abs] f32|f64|half", "t t", "t", floating.extremum),
    Row("copysign f32|f64", "t t", "t", the(floating.copy_sign)),
    # Floating point, approximate
    Row("div full [ftz] f32", "t t", "t", modified(lambda kind, rounding: np.divide)),
    Row("div approx [ftz] f32", "t t", "t", modified(lambda kind, rounding: approximate.divide)),
    *(
        Row(f"{name} approx [ftz] f32", "t", "t", modified(approximate.core(name)))
        for name in approximate.FUNCTIONS
    ),
    Row("ex2 approx [ftz] half", "t", "t", modified(approximate.core("ex2"))),
    Row("tanh approx half", "t", "t", modified(approximate.core("tanh"))),
    Row("rsqrt approx f64", "t", "t", modified(approximate.core("rsqrt"))),
    Row("rcp|rsqrt approx ftz f64", "t", "t", approximate.coarse),
    # Comparison and selection
    Row("setp compare [ftz] bits|int|f32|f64|f16|bf16", "t t", "pred", comparison.setp, pair=True),
    Row("setp compare bool [ftz] bits|int|f32|f64|f16|bf16", "t t pred", "pred", comparison.setp,
        pair=True),
    Row("setp compare [ftz] f16x2|bf16x2", "t t", "pred pred", comparison.setp),
    Row("setp compare bool [ftz] f16x2|bf16x2", "t t pred", "pred pred", comparison.setp),
    Row("set compare [ftz] s32|u32|f32|s16|u16|half bits|int|f32|f64|half", "t t", "d",
        comparison.set_number),
    Row("set compare bool [ftz] s32|u32|f32|s16|u16|half bits|int|f32|f64|half", "t t pred", "d",
        comparison.set_number),
    Row("selp bits|int|f32|f64|f16|bf16", "t t pred", "t", the(comparison.select)),
    Row("slct [ftz] bits|int|f32|f64 s32|f32", "d d t", "d", comparison.select_by_sign),
    Row("testp finite|infinite|number|notanumber|normal|subnormal f32|f64", "t", "pred",
        comparison.has_property),
    # Conversion
    Row("cvt [sat] int|byte int|byte", "t", "d", conversion.convert),
    Row("cvt irnd [ftz] [sat] int|byte f16|bf16|f32|f64", "t", "d", conversion.convert),
    Row("cvt rnd [ftz] [sat] f16|bf16|f32|f64 int|byte", "t", "d", conversion.convert),
    Row("cvt [rnd|irnd] [ftz] [relu] [satfinite] [sat] f16|bf16|f32|f64 f16|bf16|f32|f64", "t",
        "d", conversion.convert),
    Row("cvt rn|rz [relu] [satfinite] f16x2|bf16x2 f32", "t t", "d", conversion.convert_pair),
    Row("cvt rn satfinite [relu] e4m3x2|e5m2x2 f32", "t t", "d", float8.narrow_pair),
    Row("cvt rn satfinite [relu] e4m3x2|e5m2x2 f16x2", "t", "d", float8.narrow_pair),
    Row("cvt rn [relu] f16x2 e4m3x2|e5m2x2", "t", "d", float8.widen_pair),
    Row("cvt rna|rn|rz [relu] tf32 f32", "t", "d", conversion.to_tensor_float),
)  # fmt: skip

_BY_NAME: dict[str, list[Row]] = {}
for _row in ROWS:
    for _name in _row.names:
        _BY_NAME.setdefault(_name, []).append(_row)


@functools.cache
def operation(opcode: str, count: int = 0) -> Operation | None:
    """The operation of an opcode such as "fma.rn.ftz.f32"; None if it is not in the table.

    Args:
        count: how many operands the instruction's text has, where `p|q` counts as two.
    """
    words = tuple(opcode.split("."))
    found = (row.operation(words, count) for row in _BY_NAME.get(words[0], ()))
    return next((operation for operation in found if operation is not None), None)
