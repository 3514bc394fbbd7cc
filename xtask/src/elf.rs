//! The head of an ELF file: for which machine it is, and whether it needs a loader. No more of the format
//! is read.

use anyhow::{Context as _, Result, bail, ensure};

/// The machines that Relay is built for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Machine {
    /// x86-64.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Machine {
    /// Every machine.
    pub(crate) const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// Its platform, as container images name it.
    pub(crate) fn platform(self) -> &'static str {
        match self {
            Self::Amd64 => "linux/amd64",
            Self::Arm64 => "linux/arm64",
        }
    }

    /// Its name among container images' architectures.
    pub(crate) fn image_architecture(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The target of Rust that makes static binaries for it.
    pub(crate) fn static_target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-musl",
            Self::Arm64 => "aarch64-unknown-linux-musl",
        }
    }

    /// The command that runs its binaries on any machine, on the plainest processor of its kind: one
    /// without AVX and SSE 4, and one without ARMv8.1's atomics.
    pub(crate) fn emulator(self) -> &'static str {
        match self {
            Self::Amd64 => "qemu-x86_64-static -cpu Opteron_G1",
            Self::Arm64 => "qemu-aarch64-static -cpu cortex-a53",
        }
    }

    /// Its name in Rust's targets.
    pub(crate) fn architecture(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    fn of_number(number: u16) -> Option<Self> {
        match number {
            62 => Some(Self::Amd64),
            183 => Some(Self::Arm64),
            _ => None,
        }
    }
}

/// What the head of an executable says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Executable {
    /// Which machine it is for.
    pub(crate) machine: Machine,
    /// Whether it names no loader, so that it needs no library of the system that it runs on.
    pub(crate) is_static: bool,
}

const EXECUTABLE: u16 = 2;
/// Shared libraries are such, and executables that may lie anywhere.
const POSITION_INDEPENDENT: u16 = 3;
const LOADER: u32 = 3;

impl Executable {
    /// Reads the head of the file that `bytes` are, or its beginning.
    ///
    /// # Errors
    ///
    /// Fails if it is no 64-bit little-endian executable for a machine that Relay is built for.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        ensure!(bytes.starts_with(b"\x7fELF"), "it is no ELF file");
        ensure!(bytes.get(4..6) == Some(&[2, 1]), "it is not 64-bit and little-endian");
        let kind = u16::from_le_bytes(at(bytes, 16)?);
        ensure!(
            matches!(kind, EXECUTABLE | POSITION_INDEPENDENT),
            "it is no executable (type {kind})"
        );
        let number = u16::from_le_bytes(at(bytes, 18)?);
        let Some(machine) = Machine::of_number(number) else {
            bail!("it is for a machine that Relay is not built for ({number})")
        };
        let first = usize::try_from(u64::from_le_bytes(at(bytes, 32)?))?;
        let size = usize::from(u16::from_le_bytes(at(bytes, 54)?));
        let count = usize::from(u16::from_le_bytes(at(bytes, 56)?));
        let mut is_static = true;
        for segment in 0..count {
            let offset = segment.checked_mul(size).and_then(|offset| offset.checked_add(first));
            let offset = offset.context("its program headers lie nowhere")?;
            is_static &= u32::from_le_bytes(at(bytes, offset)?) != LOADER;
        }
        Ok(Self { machine, is_static })
    }
}

fn at<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N]> {
    let end = offset.checked_add(N).context("it is cut short")?;
    let found = bytes.get(offset..end).context("it is cut short")?;
    Ok(found.try_into()?)
}

/// The head of a file for this machine, with segments of these types.
#[cfg(test)]
pub(crate) fn head(machine: u16, segments: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[16] = 3;
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes[32] = 64;
    bytes[54] = 56;
    bytes[56] = u8::try_from(segments.len()).unwrap();
    for segment in segments {
        bytes.extend(segment.to_le_bytes());
        bytes.extend([0; 52]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_and_the_loader_are_read() {
        for (number, machine) in [(62, Machine::Amd64), (183, Machine::Arm64)] {
            for (segments, is_static) in [(&[1, 2][..], true), (&[6, 3, 1], false), (&[], true)] {
                let found = Executable::parse(&head(number, segments)).unwrap();
                assert_eq!(found, Executable { machine, is_static });
            }
        }
    }

    #[test]
    fn what_is_no_executable_of_ours_is_refused() {
        let good = head(62, &[1]);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        let cases = [
            ("no ELF", b"#!/bin/sh\n".to_vec()),
            ("32 bits", with(4, 1)),
            ("big-endian", with(5, 2)),
            ("an object file", with(16, 1)),
            ("another machine", with(18, 40)),
            ("cut short", good[..60].to_vec()),
            ("segments elsewhere", with(39, 255)),
            ("fewer segments", with(56, 9)),
        ];
        for (what, bytes) in cases {
            assert!(Executable::parse(&bytes).is_err(), "{what}");
        }
    }

    #[test]
    fn this_very_program_is_one() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let found = Executable::parse(&bytes).unwrap();
        assert_eq!(found.machine.architecture(), std::env::consts::ARCH);
    }
}
