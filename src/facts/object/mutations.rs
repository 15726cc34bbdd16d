//! Ten thousand broken objects: each is read or refused, none stops the reader.

use super::samples;
use super::*;
use crate::checks::object::{findings, requirements};

/// Marsaglia's xorshift64: the same broken objects every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length);
        let longest = (length - start).min(256);
        start..start + self.below(longest + 1)
    }
}

const EXTREMES: [u64; 10] = [
    0,
    1,
    7,
    8,
    0x7f,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    u64::MAX / 2,
    u64::MAX,
];

fn overwrite(bytes: &mut [u8], at: usize, width: usize, value: u64) {
    let end = bytes.len().min(at + width);
    let start = at.min(end);
    bytes[start..end].copy_from_slice(&value.to_le_bytes()[..end - start]);
}

/// A field of the ELF header, of the section table, of a symbol or of the BTF header.
fn extreme_field(random: &mut Random, bytes: &mut [u8]) {
    const HEADER: [(usize, usize); 9] = [
        (4, 1),
        (5, 1),
        (16, 2),
        (18, 2),
        (40, 8),
        (52, 2),
        (58, 2),
        (60, 2),
        (62, 2),
    ];
    const SECTION: [(usize, usize); 8] = [
        (0, 4),
        (4, 4),
        (8, 8),
        (24, 8),
        (32, 8),
        (40, 4),
        (48, 8),
        (56, 8),
    ];
    let value = EXTREMES[random.below(EXTREMES.len())];
    if random.below(3) == 0 {
        let (at, width) = HEADER[random.below(HEADER.len())];
        overwrite(bytes, at, width, value);
    } else {
        let count = bytes.len().saturating_sub(64) / 64;
        let table = bytes.len() - 64 * (1 + random.below(count.min(18)));
        let (at, width) = SECTION[random.below(SECTION.len())];
        overwrite(bytes, table + at, width, value);
    }
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    match random.below(7) {
        0 => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        1 => {
            let at = random.below(bytes.len());
            bytes[at] = random.next() as u8;
        }
        2 => {
            let range = random.range(bytes.len());
            bytes[range].fill(0);
        }
        3 => {
            let range = random.range(bytes.len());
            let copy = bytes[range].to_vec();
            let at = random.below(bytes.len() - copy.len() + 1);
            bytes[at..at + copy.len()].copy_from_slice(&copy);
        }
        4 => extreme_field(random, bytes),
        5 => {
            let at = random.below(bytes.len()) & !3;
            let value = EXTREMES[random.below(EXTREMES.len())];
            overwrite(bytes, at, 4, value);
        }
        _ => {
            // Shorter, or longer by what it ends with.
            let range = random.range(bytes.len());
            if random.below(2) == 0 {
                bytes.drain(range);
            } else {
                let copy = bytes[range].to_vec();
                bytes.extend(copy);
            }
        }
    }
}

#[test]
fn ten_thousand_broken_objects_are_read_or_refused() {
    let originals = [
        samples::calibrate(),
        samples::lifecycle(),
        samples::syscalls(),
    ];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut read, mut refused) = (0, 0);
    for round in 0..10_000 {
        let mut bytes = originals[round % 3].to_vec();
        for _ in 0..=random.below(4) {
            mutate(&mut random, &mut bytes);
        }
        match inspect(&bytes) {
            Ok(object) => {
                read += 1;
                let _ = (requirements(&object), findings(&object));
                // A header cannot claim more entries than the file can contain: reading is bounded work.
                let named = object.sections.len() + object.programs.len();
                let named = named + object.functions.len() + object.maps.len();
                assert!(named <= bytes.len() / 8, "{named} in {}", bytes.len());
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
            }
        }
    }
    assert!(
        read > 1000 && refused > 1000,
        "{read} read, {refused} refused"
    );
}
