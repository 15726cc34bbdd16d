//! Whatever a call says, it is told: no panic, and nothing that a terminal would obey.

use super::*;
use crate::decode::call::{Piece, PieceData};
use crate::decode::syscalls::Abi;
use crate::monitor::trace::{line, records};

/// xorshift64*: the same numbers each time, which a failure needs to be found again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Numbers that matter: small ones, single bits, the ends, anything.
    fn register(&mut self) -> u64 {
        match self.below(6) {
            0 => self.below(16),
            1 => 1 << self.below(64),
            2 => self.next() as u32 as u64,
            3 => -(self.below(300) as i64) as u64,
            4 => [
                0,
                u64::MAX,
                i64::MAX as u64,
                i64::MIN as u64,
                u64::from(u32::MAX),
            ][self.below(5) as usize],
            _ => self.next(),
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length =
            [0, 1, 2, 4, 8, 12, 16, 24, 28, 32, 60, 110, 144, 256, 400][self.below(15) as usize];
        let plain = self.below(2) == 0;
        (0..length)
            .map(|_| {
                if plain {
                    self.below(4) as u8
                } else {
                    self.next() as u8
                }
            })
            .collect()
    }
}

struct Given {
    arg: u8,
    when: When,
    kind: u64,
    data: Vec<u8>,
}

fn given(random: &mut Random) -> Vec<Given> {
    let count = random.below(8);
    let one = |random: &mut Random| Given {
        arg: random.below(7) as u8,
        when: if random.below(2) == 0 {
            When::Enter
        } else {
            When::Exit
        },
        kind: random.below(8),
        data: random.bytes(),
    };
    (0..count).map(|_| one(random)).collect()
}

fn piece(given: &Given) -> Piece<'_> {
    let data = match given.kind {
        0 => PieceData::Fault,
        1 => PieceData::Strings {
            list: given.data.chunks(5).collect(),
            more: given.data.len() > 50,
        },
        kind => PieceData::Bytes {
            data: &given.data,
            whole: kind % 2 == 0,
        },
    };
    Piece {
        arg: given.arg,
        when: given.when,
        data,
    }
}

fn tell(random: &mut Random, abi: Abi, nr: i32, followed: &mut Descriptors) {
    let given = given(random);
    let pieces: Vec<_> = given.iter().map(piece).collect();
    let result = match random.below(5) {
        0 => None,
        1 => Some(-(random.below(5000) as i64)),
        2 => Some(random.below(100) as i64),
        _ => Some(random.register() as i64),
    };
    let args = std::array::from_fn(|_| random.register());
    let call = Call {
        abi,
        nr,
        args,
        result,
        pieces: &pieces,
    };
    let detail =
        [Detail::None, Detail::Names, Detail::Full, Detail::Private][random.below(4) as usize];
    let shown = random.below(64) as usize;
    let view = View {
        detail,
        shown,
        pid: random.below(3) as u32,
        descriptors: None,
    };
    let decoded = decode_and_follow(&call, &view, followed);
    let prefix = line::Prefix {
        tid: Some(1),
        time: None,
    };
    let at = records::At {
        unix_ns: random.next(),
        pid: 1,
        tid: 1,
    };
    let texts = [
        line::call(&prefix, &decoded, Some(line::Took::Ns(random.next()))),
        line::unfinished(&prefix, &decoded),
        line::resumed(&prefix, &decoded, None),
        serde_json::to_string(&records::call(at, &decoded, Some(random.next()), None)).unwrap(),
    ];
    for text in texts {
        assert!(
            text.chars().all(|letter| !letter.is_control()),
            "{call:?}: {text:?}"
        );
    }
    // The text is ASCII, so that no direction marks or other strange characters get through.
    assert!(line::call(&prefix, &decoded, None).is_ascii());
}

#[test]
fn any_call_at_all_is_told_without_harm() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut followed = Descriptors::default();
    for round in 0..60 {
        for nr in -1..475 {
            for abi in [Abi::Native, Abi::Compat] {
                tell(&mut random, abi, nr, &mut followed);
            }
        }
        if round % 20 == 0 {
            followed = Descriptors::default();
        }
    }
}

#[test]
fn what_happens_besides_is_told_without_harm() {
    let hostile = b"\x1b]0;x\x07\n\xff)\"".to_vec();
    let prefix = line::Prefix::default();
    let all = [
        line::Happening::Started {
            pid: 1,
            comm: hostile.clone(),
        },
        line::Happening::Executed {
            path: Some(hostile),
            former: None,
        },
        line::Happening::Exited { code: -1 },
        line::Happening::Killed {
            signal: i32::MIN,
            core: true,
        },
        line::Happening::Signal(line::Signal {
            signal: 11,
            code: Some(1),
            address: Some(0),
            ..Default::default()
        }),
    ];
    let told = all.map(|what| line::happening(&prefix, &what));
    assert!(
        told.iter()
            .all(|text| text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_control())),
        "{told:?}"
    );
    assert_eq!(
        told[4],
        "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=NULL} ---"
    );
    let by_timer = line::Signal {
        signal: libc::SIGALRM,
        code: Some(libc::SI_TIMER),
        pid: Some(7),
        uid: Some(0),
        ..Default::default()
    };
    assert_eq!(
        line::happening(&prefix, &line::Happening::Signal(by_timer)),
        "--- SIGALRM {si_signo=SIGALRM, si_code=SI_TIMER} ---"
    );
    let unnamed = line::Happening::Started {
        pid: 1,
        comm: Vec::new(),
    };
    assert_eq!(line::happening(&prefix, &unnamed), "+++ started, pid 1 +++");
    assert_eq!(told[0], r#"+++ started, pid 1 (\33]0;x\7\n\377\51\") +++"#);
}
