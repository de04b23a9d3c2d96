"""A second interpreter of PTX, slow and plain: one thread at a time, on Python's integers.

It knows the instructions that `random_ptx` writes, reads the text line by line, and shares nothing
with the simulator. Threads run until they must wait for others, at a barrier or in their warp; in
which order is drawn.
"""

from __future__ import annotations

import contextlib
import re

M32, M64 = 2**32 - 1, 2**64 - 1


def signed(x):
    return x - 2**32 if x >> 31 else x


ARITHMETIC = {
    "add.u32": lambda a, b: a + b & M32,
    "sub.u32": lambda a, b: a - b & M32,
    "mul.lo.u32": lambda a, b: a * b & M32,
    "mul.hi.u32": lambda a, b: a * b >> 32,
    "mul.wide.u32": lambda a, b: a * b,
    "mad.lo.u32": lambda a, b, c: a * b + c & M32,
    "add.u64": lambda a, b: a + b & M64,
    "xor.b64": lambda a, b: a ^ b,
    "and.b32": lambda a, b: a & b,
    "or.b32": lambda a, b: a | b,
    "xor.b32": lambda a, b: a ^ b,
    "not.b32": lambda a: ~a & M32,
    "shl.b32": lambda a, b: a << min(b, 32) & M32,
    "shr.u32": lambda a, b: a >> min(b, 32),
    "min.s32": lambda a, b: min(a, b, key=signed),
    "max.u32": max,
    "popc.b32": lambda a: a.bit_count(),
    "selp.b32": lambda a, b, p: a if p else b,
    "setp.lt.u32": lambda a, b: a < b,
    "setp.gt.s32": lambda a, b: signed(a) > signed(b),
    "setp.ne.u32": lambda a, b: a != b,
    "mov.u32": lambda a: a,
    "mov.u64": lambda a: a,
    "cvt.u32.u64": lambda a: a & M32,
    "cvt.u64.u32": lambda a: a,
}
ATOMIC = {
    "add": lambda old, v: old + v & M32,
    "max": max,
    "xor": lambda old, v: old ^ v,
    "or": lambda old, v: old | v,
    "exch": lambda old, v: v,
}


class Text:
    """The functions of a module: a list of (guard, opcode, operands), and where the labels are."""

    def __init__(self, ptx):
        self.functions, body = {}, None
        for line in map(str.strip, ptx.splitlines()):
            if head := re.match(r"(?:\.visible \.entry|\.func \(.*?\)) (\w+)\((.*)\)", line):
                names = re.findall(r"\.param \.\w+ (\w+)", head[2])
                body, labels, tables = [], {}, {}
                self.functions[head[1]] = body, labels, tables, names
            elif label := re.match(r"(\w+):( \.branchtargets (.*);)?$", line):
                labels[label[1]] = len(body)
                tables[label[1]] = (label[3] or "").split(", ")
            elif said := re.match(r"(?:@(!?)(%\w+) )?([a-z][\w.]*) ?(.*);$", line):
                operands = [x.strip(" []{}()") for x in re.split(r"[,|]", said[4])]
                body.append((said[2] and (said[2], said[1] == ""), said[3], operands))


def launched(ptx, words, parameters, grid, block, rng):
    """Run the kernel `k` of a module; `words` are those of global memory, by address."""
    text = Text(ptx)
    for number in range(grid):
        memory = {"global": words, "shared": {}}
        _Block(text, memory, parameters, number, block).run(rng)


class _Block:
    def __init__(self, text, memory, parameters, number, block):
        self.text, self.memory, self.block = text, memory, block
        self.threads = [self.thread(number, t, parameters) for t in range(block)]

    def run(self, rng):
        told = [None] * self.block
        at = {}  # where each thread waits, ("bar", pc) or ("warp", mask, pc), and what it brought
        ready = list(range(self.block))
        while ready:
            rng.shuffle(ready)
            for t in ready:
                with contextlib.suppress(StopIteration):
                    at[t] = self.threads[t].send(told[t])
            ready = self.released(at, told)
        assert not at, at

    def released(self, at, told):
        """The threads that need wait no longer; `told` is what they get."""
        places = {place for place, _ in at.values()}
        if len(at) == self.block and len(places) == 1 and min(places)[0] == "bar":
            told[:] = [sum(bool(brought) for _, brought in at.values())] * self.block
            at.clear()
            return list(range(self.block))
        free = []
        for t, ((what, *named), _) in at.items():
            if what == "warp":
                mates = [32 * (t // 32) + k for k in range(32) if named[0] >> k & 1]
                mates = [u for u in mates if u < self.block]
                if all(u in at and at[u][0] == at[t][0] for u in mates):
                    told[t] = {u % 32: at[u][1] for u in mates}
                    free.append(t)
        for t in free:
            del at[t]
        return free

    def thread(self, number, t, parameters):
        special = {"%tid.x": t, "%ctaid.x": number, "%ntid.x": self.block, "%laneid": t % 32}
        yield from self.function("k", parameters, special, {})

    def function(self, name, given, special, local):
        """Its result; on the way, where the thread waits. What it is sent is what it gets there."""
        body, labels, tables, names = self.text.functions[name]
        r, passed, carry, pc = dict(special), dict(zip(names, given, strict=True)), 0, 0

        def value(x):
            if x == "loc":
                return 0
            return r[x] if x[0] == "%" else int(x, 0) & M64

        def address(x):
            base, _, offset = x.partition("+")
            return value(base) + int(offset or 0)

        while pc < len(body):
            guard, opcode, o = body[pc]
            pc += 1
            if guard and r[guard[0]] != guard[1]:
                continue
            head, *words = opcode.split(".")
            if opcode in ARITHMETIC:
                r[o[0]] = ARITHMETIC[opcode](*[value(x) for x in o[1:]])
            elif head in ("add", "addc", "sub", "subc"):
                a, b = value(o[1]), value(o[2])
                c = carry if head[-1] == "c" else 0
                total = a + b + c if head[0] == "a" else a - b - c
                r[o[0]] = total & M32
                if "cc" in words:
                    carry = int(not 0 <= total <= M32)
            elif opcode == "mov.b64":
                if len(o) == 3 and o[0].startswith("%d"):
                    r[o[0]] = value(o[1]) | value(o[2]) << 32
                else:
                    r[o[0]], r[o[1]] = value(o[2]) & M32, value(o[2]) >> 32
            elif head == "bra":
                pc = labels[o[0]]
            elif head == "brx":
                pc = labels[tables[o[1]][value(o[0])]]
            elif head == "ret":
                break
            elif head in ("ld", "st") and words[0] == "param":
                if head == "ld":
                    r[o[0]] = passed[o[1]]
                else:
                    passed[o[0]] = value(o[1])
            elif head == "ld":
                space = self.memory.get(words[0], local)
                for k, x in enumerate(o[:-1]):
                    r[x] = space[address(o[-1]) + 4 * k]
            elif head == "st":
                space = self.memory.get(words[0], local)
                for k, x in enumerate(o[1:]):
                    space[address(o[0]) + 4 * k] = value(x) & M32
            elif head in ("atom", "red"):
                space, where = self.memory[words[0]], address(o[-2])
                old = space[where]
                space[where] = ATOMIC[words[1]](old, value(o[-1]))
                if head == "atom":
                    r[o[0]] = old
            elif head == "call":
                result = yield from self.function(o[1], [passed[x] for x in o[2:]], special, local)
                passed[o[0]] = result
            elif opcode == "bar.sync":
                yield ("bar", pc), 0
            elif opcode == "bar.red.popc.u32":
                r[o[0]] = yield ("bar", pc), value(o[2])
            elif opcode == "bar.warp.sync":
                yield ("warp", value(o[0]), pc), 0
            elif opcode == "vote.sync.ballot.b32":
                lanes = yield ("warp", value(o[2]), pc), value(o[1])
                r[o[0]] = sum(1 << lane for lane, p in lanes.items() if p)
            elif opcode == "redux.sync.add.u32":
                lanes = yield ("warp", value(o[2]), pc), value(o[1])
                r[o[0]] = sum(lanes.values()) & M32
            elif opcode == "shfl.sync.bfly.b32":
                lanes = yield ("warp", value(o[5]), pc), value(o[2])
                asked = special["%laneid"] ^ value(o[3])
                r[o[0]], r[o[1]] = lanes.get(asked), True  # None: of a lane that is not there
            else:
                raise NotImplementedError(opcode)
        return passed.get("result")
