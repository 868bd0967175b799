//! For which platform a library is made, from its first bytes.
//!
//! A store travels between machines, and libraries with it; the loader of another platform would only say that it is no
//! library.

use std::fmt;

/// What a library is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// The form of the file: that of Linux and others, of macOS, or of Windows.
    form: Form,
    /// The processor, as Rust calls it; empty of one that is not known here.
    processor: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Elf,
    MachO,
    Pe,
}

/// Numbers of processors in ELF files (System V ABI) that policies are likely to be made for.
const ELF_PROCESSORS: [(u16, &str); 7] = [
    (3, "x86"),
    (21, "powerpc64"),
    (22, "s390x"),
    (40, "arm"),
    (62, "x86_64"),
    (183, "aarch64"),
    (243, "riscv64"),
];

/// Likewise in Mach-O files.
const MACH_PROCESSORS: [(u32, &str); 2] = [(0x0100_0007, "x86_64"), (0x0100_000c, "aarch64")];

impl Platform {
    /// What a library is made for; `None` of bytes that are no library of a form known here.
    pub fn of(library: &[u8]) -> Option<Self> {
        let byte = |at: usize| library.get(at).copied();
        let two = |at: usize| Some([byte(at)?, byte(at + 1)?]);
        if library.starts_with(b"\x7fELF") {
            let read = if byte(5)? == 2 { u16::from_be_bytes } else { u16::from_le_bytes };
            let number = read(two(18)?);
            let known = ELF_PROCESSORS.iter().find(|(known, _)| *known == number);
            return Some(Self { form: Form::Elf, processor: known.map_or("", |(_, name)| name) });
        }
        if library.starts_with(&0xfeed_facf_u32.to_le_bytes()) {
            let number = u32::from_le_bytes([byte(4)?, byte(5)?, byte(6)?, byte(7)?]);
            let known = MACH_PROCESSORS.iter().find(|(known, _)| *known == number);
            return Some(Self { form: Form::MachO, processor: known.map_or("", |(_, name)| name) });
        }
        library.starts_with(b"MZ").then_some(Self { form: Form::Pe, processor: "" })
    }

    /// That of this program.
    pub fn here() -> Self {
        let form = match std::env::consts::OS {
            "macos" => Form::MachO,
            "windows" => Form::Pe,
            _ => Form::Elf,
        };
        Self { form, processor: std::env::consts::ARCH }
    }

    /// Whether a library for it may run here, as far as can be seen.
    pub fn runs_here(self) -> bool {
        let here = Self::here();
        self.form == here.form && (self.processor.is_empty() || self.processor == here.processor)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match self.form {
            Form::Elf => "ELF",
            Form::MachO => "Mach-O",
            Form::Pe => "PE",
        };
        let processor = if self.processor.is_empty() { "another processor" } else { self.processor };
        write!(f, "{form}, {processor}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_say_what_a_library_is_made_for() {
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(18, 0);
        let with = |number: u16| [elf.as_slice(), &number.to_le_bytes()].concat();
        assert_eq!(Platform::of(&with(183)).unwrap().to_string(), "ELF, aarch64");
        assert_eq!(Platform::of(&with(9999)).unwrap().to_string(), "ELF, another processor");
        let mach = [0xfeed_facf_u32.to_le_bytes(), 0x0100_000c_u32.to_le_bytes()].concat();
        assert_eq!(Platform::of(&mach).unwrap().to_string(), "Mach-O, aarch64");
        for nothing in [b"".as_slice(), b"\x7fELF", b"this is text", &elf] {
            assert_eq!(Platform::of(nothing), None);
        }
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(Platform::of(&program).unwrap().runs_here());
    }
}
