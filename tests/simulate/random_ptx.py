"""Random programs of PTX: threads part and meet, and whatever their order, one thing comes out.

They end, and hold no race: what threads share goes through barriers, or through atomics that may
come in any order.
"""

from __future__ import annotations

import functools

WORDS = 4  # of global memory, that each thread has for itself
CELLS = ("add", "max", "xor", "or")  # the operation of each cell that all threads share

HEAD = """
.version 8.0
.target sm_80
.address_size 64
.func (.param .b32 result) helper(.param .b32 x, .param .b32 y)
{
.reg .pred %p<99>; .reg .b32 %r<999>; .reg .b64 %d<99>;
ld.param.u32 %r0, [x];
ld.param.u32 %r1, [y];
HELPER
}
.visible .entry k(.param .u64 own, .param .u64 cells)
{
.reg .pred %p<999>; .reg .b32 %r<9999>; .reg .b64 %d<999>;
.local .align 4 .b8 loc[32];
.shared .align 4 .b8 sh[4096];
ld.param.u64 %d0, [own];
ld.param.u64 %d1, [cells];
mov.u32 %r7000, %tid.x;
mov.u32 %r7001, %ctaid.x;
mov.u32 %r7002, %ntid.x;
mad.lo.u32 %r7003, %r7001, %r7002, %r7000;
mul.wide.u32 %d2, %r7003, 16;
add.u64 %d2, %d0, %d2;
mov.u32 %r7004, %laneid;
shl.b32 %r7005, %r7000, 2;
"""
BINARY = (
    "add.u32", "sub.u32", "mul.lo.u32", "mul.hi.u32", "and.b32", "or.b32", "xor.b32", "min.s32",
    "max.u32", "shl.b32", "shr.u32",
)  # fmt: skip
COMPARE = ("setp.lt.u32", "setp.gt.s32", "setp.ne.u32")


class Writer:
    """A random program, written from the top down.

    Args:
        rng: a `random.Random`.
        meeting: whether threads meet at barriers; if not, some return early.
    """

    def __init__(self, rng, meeting):
        self.rng, self.meeting = rng, meeting
        self.lines, self.fresh = [], 0
        self.kernel = False
        self.variables = [0, 1]

    def say(self, *lines):
        self.lines += lines

    def name(self, kind):
        self.fresh += 1
        return f"%{kind}{self.fresh + 10}"

    def program(self):
        """The text of a module with one kernel, `k`."""
        self.statements(3, depth=1, mask=None)
        if self.rng.random() < 0.5:  # from two places
            p = self.condition()
            self.say("st.param.b32 [result], %r0;", f"@{p} ret;")
        self.say("st.param.b32 [result], %r1;", "ret;")
        helper, self.lines = "\n".join(self.lines), []
        self.kernel, self.fresh = True, 0
        self.variables = list(range(6))
        for k in range(4):
            self.say(f"ld.global.u32 %r{k}, [%d2+{4 * k}];")
        self.say("mov.u32 %r4, 5;", "mov.u32 %r5, %r7001;")
        self.say("setp.ne.u32 %p0, 1, 0;", "vote.sync.ballot.b32 %r8000, %p0, 0xffffffff;")
        self.statements(6, depth=3, mask="%r8000", whole=self.meeting)
        for k in range(4):
            self.say(f"st.global.u32 [%d2+{4 * k}], %r{self.variables[k]};")
        self.say("ret;")
        return HEAD.replace("HELPER", helper) + "\n".join(self.lines) + "\n}\n"

    def variable(self):
        return f"%r{self.rng.choice(self.variables)}"

    def value(self):
        kind = self.rng.random()
        if kind < 0.2:
            return str(self.rng.choice((0, 1, 2, 31, 255, 65535, self.rng.getrandbits(31))))
        if kind < 0.3 and self.kernel:
            return self.rng.choice(("%r7000", "%r7001", "%r7003", "%r7004"))
        return self.variable()

    def condition(self):
        p, r = self.name("p"), self.name("r")
        kind = self.rng.random()
        if kind < 0.5:
            self.say(f"and.b32 {r}, {self.value()}, {self.rng.choice((1, 3, 6))};")
            self.say(f"setp.ne.u32 {p}, {r}, {self.rng.choice((0, 1, 2))};")
        else:
            self.say(f"{self.rng.choice(COMPARE)} {p}, {self.value()}, {self.value()};")
        return p

    def statements(self, most, depth, mask, whole=False):
        """Some statements.

        Args:
            depth: how deep they may be nested.
            mask: the register of the lanes that are here; None in a function.
            whole: whether the whole block is here.
        """
        kinds = [*[self.arithmetic] * 4, self.guarded, self.carry, self.pair]
        if self.kernel:
            kinds += [self.own_memory, self.local, self.atomic, self.call]
        if mask:
            kinds += [functools.partial(self.shuffle, mask), functools.partial(self.reduce, mask)]
        if whole:
            kinds += [self.barrier, self.count, self.barrier]
        if depth:
            for nested in (self.branch, self.loop, self.switch, self.branch, self.loop):
                kinds.append(functools.partial(nested, depth - 1, mask, whole))
        for _ in range(self.rng.randint(1, most)):
            self.rng.choice(kinds)()
        if self.kernel and not self.meeting and mask == "%r8000" and self.rng.random() < 0.3:
            p = self.condition()
            r, left = self.name("r"), self.name("r")
            self.say(f"vote.sync.ballot.b32 {r}, {p}, {mask};", f"not.b32 {left}, {r};")
            self.say(f"and.b32 {mask}, {mask}, {left};")
            self.say(f"st.global.u32 [%d2+4], {self.variable()};", f"@{p} ret;")

    # Statements without branches

    def arithmetic(self):
        op = self.rng.choice((*BINARY, "mad.lo.u32", "selp.b32", "not.b32", "popc.b32", "mov.u32"))
        sources = [self.value() for _ in range(1 if op[:3] in ("not", "pop", "mov") else 2)]
        if op == "mad.lo.u32":
            sources.append(self.value())
        if op == "selp.b32":
            sources.append(self.condition())
        self.say(f"{op} {self.variable()}, {', '.join(sources)};")

    def guarded(self):
        p, sign = self.condition(), self.rng.choice(("", "!"))
        op = self.rng.choice(BINARY)
        self.say(f"@{sign}{p} {op} {self.variable()}, {self.value()}, {self.value()};")

    def carry(self):
        op = self.rng.choice(("add", "sub"))
        low, high = self.name("r"), self.name("r")
        self.say(f"{op}.cc.u32 {low}, {self.value()}, {self.value()};")
        self.say(f"{op}c.cc.u32 {high}, {self.value()}, {self.value()};")
        self.say(f"{op}c.u32 {self.variable()}, {low}, {high};")

    def pair(self):
        a, b, low, high = (self.name(kind) for kind in "ddrr")
        self.say(f"mov.b64 {a}, {{{self.variable()}, {self.variable()}}};")
        self.say(f"mul.wide.u32 {b}, {self.value()}, {self.value()};")
        self.say(f"{self.rng.choice(('add.u64', 'xor.b64'))} {a}, {a}, {b};")
        self.say(f"mov.b64 {{{low}, {high}}}, {a};")
        self.say(f"xor.b32 {self.variable()}, {low}, {high};")

    def offset(self, words):
        """A register with the offset of one of a thread's own words."""
        r = self.name("r")
        self.say(f"and.b32 {r}, {self.value()}, {words - 1};", f"shl.b32 {r}, {r}, 2;")
        return r

    def own_memory(self):
        if self.rng.random() < 0.3:
            a, b = self.rng.sample(self.variables, 2)
            self.say(f"ld.global.v2.u32 {{%r{a}, %r{b}}}, [%d2+8];")
            self.say(f"st.global.v2.u32 [%d2], {{%r{b}, %r{a}}};")
            return
        d = self.name("d")
        self.say(f"cvt.u64.u32 {d}, {self.offset(WORDS)};", f"add.u64 {d}, {d}, %d2;")
        self.say(f"st.global.u32 [{d}], {self.value()};")
        self.say(f"ld.global.u32 {self.variable()}, [%d2+{4 * self.rng.randrange(WORDS)}];")

    def local(self):
        r, d, base = self.offset(8), self.name("d"), self.name("d")
        self.say(f"cvt.u64.u32 {d}, {r};", f"mov.u64 {base}, loc;", f"add.u64 {d}, {d}, {base};")
        self.say(f"st.local.u32 [{d}], {self.value()};", f"ld.local.u32 {self.variable()}, [{d}];")

    def atomic(self):
        k = self.rng.randrange(4)
        self.say(f"red.global.{CELLS[k]}.{'u' if k < 2 else 'b'}32 [%d1+{4 * k}], {self.value()};")
        if self.rng.random() < 0.3:
            self.say(f"atom.global.exch.b32 {self.variable()}, [%d2+4], {self.value()};")

    def call(self):
        self.say("{", ".param .b32 x0;", f"st.param.b32 [x0], {self.variable()};")
        self.say(".param .b32 y0;", f"st.param.b32 [y0], {self.variable()};", ".param .b32 back;")
        self.say("call.uni (back), helper, (x0, y0);")
        self.say(f"ld.param.b32 {self.variable()}, [back];", "}")

    # Meetings

    def shuffle(self, mask):
        value, there, other, d = *(self.name("r") for _ in range(3)), self.rng.choice((1, 2, 7, 16))
        p, q = self.name("p"), self.name("p")
        self.say(f"shfl.sync.bfly.b32 {value}|{q}, {self.variable()}, {d}, 31, {mask};")
        self.say(f"xor.b32 {other}, %r7004, {d};", f"shr.u32 {there}, {mask}, {other};")
        self.say(f"and.b32 {there}, {there}, 1;", f"setp.ne.u32 {p}, {there}, 0;")
        self.say(f"selp.b32 {self.variable()}, {value}, 77, {p};")

    def reduce(self, mask):
        self.say(f"redux.sync.add.u32 {self.variable()}, {self.variable()}, {mask};")
        if self.rng.random() < 0.3:
            self.say(f"bar.warp.sync {mask};")

    def barrier(self):
        """Each thread's word of shared memory, read by another."""
        base, other = self.name("r"), self.name("r")
        self.say(f"st.shared.u32 [%r7005], {self.variable()};", "bar.sync 0;")
        self.say(f"add.u32 {other}, %r7000, {self.rng.choice((1, 5, 33))};")
        p = self.name("p")
        self.say(f"setp.lt.u32 {p}, {other}, %r7002;", f"selp.b32 {base}, {other}, 0, {p};")
        self.say(f"shl.b32 {base}, {base}, 2;", f"ld.shared.u32 {self.variable()}, [{base}];")
        self.say("bar.sync 0;")

    def count(self):
        self.say(f"bar.red.popc.u32 {self.variable()}, 0, {self.condition()};")

    # Statements with branches

    def label(self):
        self.fresh += 1
        return f"L{self.fresh}" if self.kernel else f"H{self.fresh}"

    def lanes(self, p, mask):
        """The registers of the lanes for which a predicate holds, and of the others."""
        if not mask:
            return None, None
        yes, no = self.name("r"), self.name("r")
        self.say(f"vote.sync.ballot.b32 {yes}, {p}, {mask};", f"xor.b32 {no}, {yes}, {mask};")
        return yes, no

    def branch(self, depth, mask, whole):
        p = self.condition()
        yes, no = self.lanes(p, mask)
        other, end = self.label(), self.label()
        self.say(f"@!{p} bra {other};")
        self.statements(3, depth, yes)
        if self.rng.random() < 0.6:
            self.say(f"bra {end};", f"{other}:")
            self.statements(3, depth, no)
            self.say(f"{end}:")
        else:
            self.say(f"{other}:")

    def loop(self, depth, mask, whole):
        """As often as each thread's own number says, or all of them the same number of times."""
        together = self.rng.random() < 0.5
        left, here, p = self.name("r"), self.name("r"), self.name("p")
        begin, end = self.label(), self.label()
        self.say(f"and.b32 {left}, {'6' if together else self.value()}, 3;", f"{begin}:")
        self.say(f"setp.ne.u32 {p}, {left}, 0;")
        apart = mask and not together
        if apart:  # those that go round again
            self.lines.insert(-2, f"mov.u32 {here}, {mask};")
            self.say(f"vote.sync.ballot.b32 {here}, {p}, {here};")
        self.say(f"@!{p} bra {end};", f"sub.u32 {left}, {left}, 1;")
        self.statements(3, depth, here if apart else mask, whole and together)
        if self.rng.random() < 0.3:  # a second way back
            again = self.condition()
            if not together and not mask:
                self.say(f"@{again} bra {begin};")
        self.say(f"bra {begin};", f"{end}:")

    def switch(self, depth, mask, whole):
        index, table, end = self.name("r"), self.label(), self.label()
        cases = [self.label() for _ in range(4)]
        self.say(f"and.b32 {index}, {self.value()}, 3;")
        targets = [*cases[:3], self.rng.choice((cases[0], cases[3]))]
        self.say(f"{table}: .branchtargets {', '.join(targets)};", f"brx.idx {index}, {table};")
        for label in cases:
            self.say(f"{label}:")
            self.statements(2, depth, None)
            self.say(f"bra {end};")
        self.say(f"{end}:")
