//! Zip files and deflate streams, byte by byte: also those that no honest program writes.

/// One member of a zip file, and what it says of itself.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) data: Vec<u8>,
    pub(super) method: u16,
    pub(super) flags: u16,
    pub(super) mode: u32,
    pub(super) crc: Option<u32>,
    /// What it says that it unpacks to.
    pub(super) size: u32,
}

/// A member as it is.
pub(super) fn stored(name: &str, data: impl AsRef<[u8]>) -> Entry {
    let data = data.as_ref().to_vec();
    Entry {
        name: name.into(),
        size: data.len() as u32,
        crc: Some(crc(&data)),
        data,
        method: 0,
        flags: 0x800,
        mode: 0o100_644,
    }
}

/// A member that unpacks to `start`, then `pattern` this many times, then `end`.
pub(super) fn bomb(name: &str, start: &str, pattern: &str, times: usize, end: &str) -> Entry {
    let size = start.len() + pattern.len() * times + end.len();
    Entry {
        size: size as u32,
        method: 8,
        crc: None,
        ..stored(name, deflate(start.as_bytes(), pattern.as_bytes(), times, end.as_bytes()))
    }
}

/// A zip file of these.
pub(super) fn zip(entries: &[Entry]) -> Vec<u8> {
    let mut file = Vec::new();
    let offsets: Vec<u32> = entries
        .iter()
        .map(|entry| {
            let offset = file.len() as u32;
            file.extend(b"PK\x03\x04\x14\0");
            file.extend(common(entry));
            file.extend(0u16.to_le_bytes());
            file.extend(&entry.name);
            file.extend(&entry.data);
            offset
        })
        .collect();
    directory(&mut file, entries, &offsets);
    file
}

/// A zip file whose members are all the first one's bytes, under other names.
pub(super) fn overlapping(entry: &Entry, copies: usize) -> Vec<u8> {
    let mut file = zip(std::slice::from_ref(entry));
    let end = file.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    file.truncate(end);
    let named = |number| Entry { name: format!("{number:04}.txt").into(), ..entry.clone() };
    let entries: Vec<Entry> = (0..copies).map(named).collect();
    directory(&mut file, &entries, &vec![0; copies]);
    file
}

fn directory(file: &mut Vec<u8>, entries: &[Entry], offsets: &[u32]) {
    let start = file.len() as u32;
    for (entry, offset) in entries.iter().zip(offsets) {
        file.extend(b"PK\x01\x02\x14\x03\x14\0");
        file.extend(common(entry));
        // Lengths of an extra field and a comment, the disk's number, internal attributes.
        file.extend([0; 8]);
        file.extend((entry.mode << 16).to_le_bytes());
        file.extend(offset.to_le_bytes());
        file.extend(&entry.name);
    }
    let length = file.len() as u32 - start;
    let count = (entries.len() as u16).to_le_bytes();
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend(count);
    file.extend(count);
    file.extend(length.to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0, 0]);
}

/// What local and central headers share: flags to the length of the name.
fn common(entry: &Entry) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(entry.flags.to_le_bytes());
    header.extend(entry.method.to_le_bytes());
    header.extend([0, 0, 0x21, 0x58]);
    header.extend(entry.crc.unwrap_or_default().to_le_bytes());
    header.extend((entry.data.len() as u32).to_le_bytes());
    header.extend(entry.size.to_le_bytes());
    header.extend((entry.name.len() as u16).to_le_bytes());
    header
}

fn crc(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
        crc
    })
}

/// One block of fixed codes: words as they are, repetitions as 258 bytes from `pattern` before.
/// The pattern is of one to four bytes, whose distances need no further bits.
pub(super) fn deflate(start: &[u8], pattern: &[u8], times: usize, end: &[u8]) -> Vec<u8> {
    assert!((1..=4).contains(&pattern.len()));
    let mut bits = Bits::default();
    bits.push(0b011, 3);
    start.iter().for_each(|byte| bits.literal(*byte));
    if times > 0 {
        pattern.iter().for_each(|byte| bits.literal(*byte));
        let left = pattern.len() * (times - 1);
        for _ in 0..left / 258 {
            bits.code(0b1100_0101, 8);
            bits.code(pattern.len() as u32 - 1, 5);
        }
        let offset = left - left % 258;
        (offset..left).for_each(|at| bits.literal(pattern[at % pattern.len()]));
    }
    end.iter().for_each(|byte| bits.literal(*byte));
    bits.code(0, 7);
    bits.finish()
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        self.held |= value << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// Codes are written from their first bit.
    fn code(&mut self, code: u32, count: u32) {
        self.push(code.reverse_bits() >> (32 - count), count);
    }

    fn literal(&mut self, byte: u8) {
        match byte {
            0..=143 => self.code(0x30 + u32::from(byte), 8),
            144.. => self.code(0x190 + u32::from(byte - 144), 9),
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.push(0, 7);
        self.bytes
    }
}
