//! Small programs, put together by hand: for asking what a kernel can, a compiler would be too much.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use aya_obj::generated::bpf_insn;

/// Instructions (`Documentation/bpf/standardization/instruction-set.rst`).
const MOV: u8 = 0xb7;
const MOV_REGISTER: u8 = 0xbf;
const ADD: u8 = 0x07;
const SHIFT_LEFT: u8 = 0x67;
const SHIFT_RIGHT: u8 = 0x77;
const LOAD_64: u8 = 0x79;
const LOAD_32: u8 = 0x61;
const LOAD_IMMEDIATE: u8 = 0x18;
const STORE_32: u8 = 0x62;
const STORE_64: u8 = 0x7a;
const ADD_ATOMICALLY: u8 = 0xdb;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const BPF_PSEUDO_MAP_FD: u8 = 1;

/// The register that points behind the program's stack.
pub(crate) const STACK: u8 = 10;

/// Helpers that the programs here call (`enum bpf_func_id`).
const MAP_LOOKUP_ELEM: i32 = 1;
const GET_CURRENT_PID_TGID: i32 = 14;
const GET_NS_CURRENT_PID_TGID: i32 = 120;

/// Whose calls are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Caller {
    /// This thread; its id.
    Thread(u32),
    /// Any of this process; its id.
    Process(u32),
}

/// The pid namespace in which that id is meant: device and inode of `/proc/self/ns/pid`; `None` for
/// the initial one.
pub(crate) type Namespace = Option<(u64, u64)>;

/// A program as it grows.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    instructions: Vec<bpf_insn>,
    /// Jumps to the end, which is not known yet.
    to_end: Vec<usize>,
}

impl Assembly {
    /// Puts a number into a register.
    pub(crate) fn set(self, register: u8, value: i32) -> Self {
        self.push(MOV, register, 0, 0, value)
    }

    /// Copies a register.
    pub(crate) fn copy(self, to: u8, from: u8) -> Self {
        self.push(MOV_REGISTER, to, from, 0, 0)
    }

    /// Lets a register point into the stack, so many bytes below its top.
    pub(crate) fn point_into_stack(self, register: u8, below: i32) -> Self {
        self.copy(register, STACK).push(ADD, register, 0, 0, -below)
    }

    /// Clears the eight bytes of the stack below which nothing is used.
    pub(crate) fn clear_stack(self) -> Self {
        self.push(STORE_64, STACK, 0, -8, 0)
    }

    /// Puts a map into a register.
    pub(crate) fn map(self, register: u8, map: BorrowedFd<'_>) -> Self {
        self.push(
            LOAD_IMMEDIATE,
            register,
            BPF_PSEUDO_MAP_FD,
            0,
            map.as_raw_fd(),
        )
        .push(0, 0, 0, 0, 0)
    }

    /// Calls a helper: arguments in 1 to 5, its answer in 0.
    pub(crate) fn call(self, helper: i32) -> Self {
        self.push(CALL, 0, 0, 0, helper)
    }

    /// Returns 0, also from every jump to the end.
    pub(crate) fn finish(self) -> Vec<bpf_insn> {
        self.finish_with(0)
    }

    /// Returns this.
    pub(crate) fn finish_with(mut self, result: i32) -> Vec<bpf_insn> {
        let end = self.instructions.len();
        for at in std::mem::take(&mut self.to_end) {
            self.instructions[at].off = (end - at - 1) as i16;
        }
        self.set(0, result).push(EXIT, 0, 0, 0, 0).instructions
    }

    /// The least of a program.
    pub(crate) fn nothing() -> Vec<bpf_insn> {
        Self::default().finish()
    }

    /// Adds one to a value of an array map for each event of this caller and, at `sys_enter` in any of
    /// its forms, of this system call; at `sys_exit`, with this result.
    pub(crate) fn counter(
        map: BorrowedFd<'_>,
        index: u32,
        caller: Caller,
        namespace: Namespace,
        syscall: Option<i32>,
    ) -> Vec<bpf_insn> {
        let mut program = Self::default();
        if let Some(number) = syscall {
            // The number is the second argument of a raw tracepoint, and stands at the same place in
            // a perf event's record.
            program = program.push(LOAD_64, 1, 1, 8, 0).end_unless(1, number);
        }
        let program = program.unless_caller(caller, namespace);
        program.add_one(map, index).finish()
    }

    /// Adds one to the first value of an array map whenever it runs, and returns this.
    pub(crate) fn tally(map: BorrowedFd<'_>, result: i32) -> Vec<bpf_insn> {
        Self::default().add_one(map, 0).finish_with(result)
    }

    fn add_one(self, map: BorrowedFd<'_>, index: u32) -> Self {
        self.push(STORE_32, STACK, 0, -4, index as i32)
            .point_into_stack(2, 4)
            .map(1, map)
            .call(MAP_LOOKUP_ELEM)
            .jump_to_end(JUMP_IF_EQUAL, 0, 0)
            .set(1, 1)
            .push(ADD_ATOMICALLY, 0, 1, 0, 0)
    }

    fn unless_caller(self, caller: Caller, namespace: Namespace) -> Self {
        let Some((device, inode)) = namespace else {
            let all = self.call(GET_CURRENT_PID_TGID);
            return match caller {
                Caller::Thread(tid) => all
                    .push(SHIFT_LEFT, 0, 0, 0, 32)
                    .push(SHIFT_RIGHT, 0, 0, 0, 32)
                    .end_unless(0, tid as i32),
                Caller::Process(tgid) => all
                    .push(SHIFT_RIGHT, 0, 0, 0, 32)
                    .end_unless(0, tgid as i32),
            };
        };
        // struct bpf_pidns_info: pid, which is a thread's, and tgid.
        let (offset, id) = match caller {
            Caller::Thread(tid) => (-8, tid),
            Caller::Process(tgid) => (-4, tgid),
        };
        self.clear_stack()
            .wide(1, device)
            .wide(2, inode)
            .point_into_stack(3, 8)
            .set(4, 8)
            .call(GET_NS_CURRENT_PID_TGID)
            .end_unless(0, 0)
            .push(LOAD_32, 0, STACK, offset, 0)
            .end_unless(0, id as i32)
    }

    fn wide(self, register: u8, value: u64) -> Self {
        self.push(LOAD_IMMEDIATE, register, 0, 0, value as i32)
            .push(0, 0, 0, 0, (value >> 32) as i32)
    }

    fn end_unless(self, register: u8, value: i32) -> Self {
        self.jump_to_end(JUMP_UNLESS_EQUAL, register, value)
    }

    fn jump_to_end(mut self, code: u8, register: u8, value: i32) -> Self {
        self.to_end.push(self.instructions.len());
        self.push(code, register, 0, 0, value)
    }

    fn push(mut self, code: u8, to: u8, from: u8, off: i16, imm: i32) -> Self {
        self.instructions.push(bpf_insn {
            code,
            _bitfield_align_1: [],
            _bitfield_1: bpf_insn::new_bitfield_1(to, from),
            off,
            imm,
        });
        self
    }
}

/// One integer of four bytes, type 1: what a map's key and value can be said to be.
pub(crate) const INTEGER_TYPES: &[u8] = b"\x9f\xeb\x01\x00\x18\0\0\0\
    \0\0\0\0\x10\0\0\0\x10\0\0\0\x05\0\0\0\
    \x01\0\0\0\0\0\0\x01\x04\0\0\0\x20\0\0\x01\
    \0int\0";

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;
    use crate::decode::btf::{Btf, Kind};

    #[test]
    fn every_jump_ends_at_the_end() {
        let file = std::fs::File::open("/dev/null").unwrap();
        for namespace in [None, Some((4, 1 << 33))] {
            for caller in [Caller::Thread(7), Caller::Process(7)] {
                let program = Assembly::counter(file.as_fd(), 3, caller, namespace, Some(110));
                let end = program.len() - 2;
                let jumps = program
                    .iter()
                    .enumerate()
                    .filter(|(_, i)| i.off != 0 && i.code & 7 == 5);
                let targets: Vec<_> = jumps.map(|(at, i)| at + 1 + i.off as usize).collect();
                assert!(
                    targets.len() >= 3 && targets.iter().all(|to| *to == end),
                    "{targets:?}"
                );
            }
        }
        assert_eq!(Assembly::nothing().len(), 2);
        let tally = Assembly::tally(file.as_fd(), 2);
        let [.., result, _] = tally.as_slice() else {
            panic!("too short")
        };
        assert_eq!((result.code, result.imm), (MOV, 2));
    }

    #[test]
    fn the_types_are_types() {
        let types = Btf::parse(INTEGER_TYPES).unwrap();
        assert_eq!(types.find(Kind::Integer, "int").map(|id| id.0), Some(1));
    }
}
