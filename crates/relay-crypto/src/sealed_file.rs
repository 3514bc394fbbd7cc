//! A file that only a passphrase opens: what is exported from a store, on its way to another one.
//!
//! The passphrase is stretched with argon2id, whose parameters and salt stand in the header. What follows
//! is AES-256-GCM in chunks, so that a file of any size is written and read in little memory. A chunk's
//! nonce holds its number and whether it is the last, and the header is authenticated with every chunk:
//! nothing can be altered, moved, added or cut off without being noticed.
//!
//! ```text
//! header  "RELAYEXP", version (1 byte), argon2id memory in KiB, passes, lanes (4 bytes each, little
//!         endian), salt (16 bytes), nonce prefix (7 bytes)
//! chunk   length (4 bytes, little endian), ciphertext and tag
//! nonce   prefix, number of the chunk (4 bytes, big endian), 1 for the last chunk, otherwise 0
//! ```

use std::io::{self, ErrorKind, Read, Write};

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::error::CryptoError;
use crate::random::random_bytes;

const MAGIC: &[u8; 8] = b"RELAYEXP";
const VERSION: u8 = 1;
const SALT_BYTES: usize = 16;
const PREFIX_BYTES: usize = 7;
const HEADER_BYTES: usize = MAGIC.len() + 1 + 3 * 4 + SALT_BYTES + PREFIX_BYTES;
/// Plain bytes in every chunk but the last.
const CHUNK_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;

/// A passphrase is chosen by a person and the file may lie anywhere: more work than for a login.
const COST: Cost = Cost { memory_kib: 65_536, passes: 3, lanes: 1 };
/// What a file may ask of whoever opens it.
const DEAREST: Cost = Cost { memory_kib: 1_048_576, passes: 16, lanes: 8 };

#[derive(Clone, Copy)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// Seals what is written to it. Without [`finish`](Self::finish) the file is cut short.
pub struct SealedWriter<W> {
    inner: W,
    cipher: Chunks,
    plain: Zeroizing<Vec<u8>>,
}

impl<W: Write> SealedWriter<W> {
    /// Writes the header. Takes some tenths of a second of CPU and 64 MiB.
    ///
    /// # Errors
    ///
    /// [`CryptoError::FileIo`], and the argon2 errors if memory runs out.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    pub fn create(inner: W, passphrase: &SecretString) -> Result<Self, CryptoError> {
        Self::create_at(COST, inner, passphrase)
    }

    fn create_at(cost: Cost, mut inner: W, passphrase: &SecretString) -> Result<Self, CryptoError> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(MAGIC);
        header.push(VERSION);
        for number in [cost.memory_kib, cost.passes, cost.lanes] {
            header.extend_from_slice(&number.to_le_bytes());
        }
        header.extend_from_slice(&random_bytes::<SALT_BYTES>());
        header.extend_from_slice(&random_bytes::<PREFIX_BYTES>());
        let cipher = Chunks::of(header, passphrase)?;
        inner.write_all(&cipher.header).map_err(CryptoError::FileIo)?;
        Ok(Self { inner, cipher, plain: Zeroizing::new(Vec::with_capacity(CHUNK_BYTES)) })
    }

    /// Seals `bytes`.
    ///
    /// # Errors
    ///
    /// [`CryptoError::FileIo`] and [`CryptoError::FileTooLong`].
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), CryptoError> {
        while !bytes.is_empty() {
            if self.plain.len() == CHUNK_BYTES {
                self.flush_chunk(false)?;
            }
            let room = CHUNK_BYTES - self.plain.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.plain.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Writes the end, and returns what the file was written to.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn finish(mut self) -> Result<W, CryptoError> {
        self.flush_chunk(true)?;
        self.inner.flush().map_err(CryptoError::FileIo)?;
        Ok(self.inner)
    }

    fn flush_chunk(&mut self, is_last: bool) -> Result<(), CryptoError> {
        let sealed = self.cipher.seal(&self.plain, is_last)?;
        let length = u32::try_from(sealed.len()).map_err(|_| CryptoError::FileTooLong)?;
        self.inner.write_all(&length.to_le_bytes()).map_err(CryptoError::FileIo)?;
        self.inner.write_all(&sealed).map_err(CryptoError::FileIo)?;
        self.plain.clear();
        Ok(())
    }
}

/// Opens what a [`SealedWriter`] has written. Every byte that it gives is authentic; that the whole file
/// is, is known when it has given all.
pub struct SealedReader<R> {
    inner: R,
    cipher: Chunks,
    plain: Zeroizing<Vec<u8>>,
    given: usize,
    ended: bool,
}

impl<R: Read> SealedReader<R> {
    /// Reads the header and the first chunk. Takes as long as [`SealedWriter::create`].
    ///
    /// # Errors
    ///
    /// [`CryptoError::NotASealedFile`], [`CryptoError::UnknownFileVersion`],
    /// [`CryptoError::WrongPassphrase`], [`CryptoError::FileTruncated`], [`CryptoError::FileIo`].
    pub fn open(mut inner: R, passphrase: &SecretString) -> Result<Self, CryptoError> {
        let mut header = vec![0; HEADER_BYTES];
        read_exactly(&mut inner, &mut header).map_err(|error| {
            let is_short = matches!(error, CryptoError::FileTruncated);
            if is_short { CryptoError::NotASealedFile } else { error }
        })?;
        let cipher = Chunks::of(header, passphrase)?;
        let plain = Zeroizing::default();
        let mut reader = Self { inner, cipher, plain, given: 0, ended: false };
        reader.next_chunk().map_err(|error| {
            let does_not_open = matches!(error, CryptoError::FileDamaged);
            if does_not_open { CryptoError::WrongPassphrase } else { error }
        })?;
        Ok(reader)
    }

    /// Reads some bytes; none at the end of an unharmed file.
    ///
    /// # Errors
    ///
    /// [`CryptoError::FileDamaged`], [`CryptoError::FileTruncated`], [`CryptoError::FileIo`].
    pub fn read_some(&mut self) -> Result<&[u8], CryptoError> {
        while self.given == self.plain.len() && !self.ended {
            self.next_chunk()?;
        }
        let start = std::mem::replace(&mut self.given, self.plain.len());
        Ok(self.plain.get(start..).unwrap_or_default())
    }

    fn next_chunk(&mut self) -> Result<(), CryptoError> {
        let mut length = [0; 4];
        read_exactly(&mut self.inner, &mut length)?;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if !(TAG_BYTES..=CHUNK_BYTES + TAG_BYTES).contains(&length) {
            return Err(CryptoError::FileDamaged);
        }
        let mut sealed = vec![0; length];
        read_exactly(&mut self.inner, &mut sealed)?;
        (self.plain, self.ended) = self.cipher.open(&sealed)?;
        self.given = 0;
        if self.ended && self.inner.read(&mut [0]).map_err(CryptoError::FileIo)? > 0 {
            return Err(CryptoError::FileDamaged);
        }
        Ok(())
    }
}

impl<R: Read> Read for SealedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let some = self.read_some().map_err(io::Error::other)?;
        let (count, all) = (some.len().min(buffer.len()), some.len());
        buffer[..count].copy_from_slice(&some[..count]);
        self.given -= all - count;
        Ok(count)
    }
}

/// The cipher, and the number of the chunk that is next.
struct Chunks {
    cipher: Aes256Gcm,
    header: Vec<u8>,
    number: u32,
}

impl Chunks {
    fn of(header: Vec<u8>, passphrase: &SecretString) -> Result<Self, CryptoError> {
        let rest = header.strip_prefix(MAGIC).ok_or(CryptoError::NotASealedFile)?;
        let (&version, rest) = rest.split_first().ok_or(CryptoError::NotASealedFile)?;
        if version != VERSION {
            return Err(CryptoError::UnknownFileVersion { found: version, known: VERSION });
        }
        let (numbers, rest) = rest.split_first_chunk::<12>().ok_or(CryptoError::NotASealedFile)?;
        let number =
            |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| numbers[4 * at + byte]));
        let cost = Cost { memory_kib: number(0), passes: number(1), lanes: number(2) };
        let salt = rest.first_chunk::<SALT_BYTES>().ok_or(CryptoError::NotASealedFile)?;
        let key = cost.stretch(passphrase, salt)?;
        let cipher = Aes256Gcm::new((&*key).into());
        Ok(Self { cipher, header, number: 0 })
    }

    fn seal(&mut self, plain: &[u8], is_last: bool) -> Result<Vec<u8>, CryptoError> {
        let nonce = self.nonce(is_last);
        let payload = Payload { msg: plain, aad: &self.header };
        let sealed = self.cipher.encrypt((&nonce).into(), payload);
        self.number = self.number.checked_add(1).ok_or(CryptoError::FileTooLong)?;
        sealed.map_err(|_| CryptoError::FileTooLong)
    }

    /// Opens a chunk, and says whether it is the last.
    fn open(&mut self, sealed: &[u8]) -> Result<(Zeroizing<Vec<u8>>, bool), CryptoError> {
        let opened = [false, true].into_iter().find_map(|is_last| {
            let payload = Payload { msg: sealed, aad: &self.header };
            let plain = self.cipher.decrypt((&self.nonce(is_last)).into(), payload).ok()?;
            Some((Zeroizing::new(plain), is_last))
        });
        self.number = self.number.checked_add(1).ok_or(CryptoError::FileDamaged)?;
        opened.ok_or(CryptoError::FileDamaged)
    }

    fn nonce(&self, is_last: bool) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[..PREFIX_BYTES].copy_from_slice(&self.header[HEADER_BYTES - PREFIX_BYTES..]);
        nonce[PREFIX_BYTES..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = u8::from(is_last);
        nonce
    }
}

impl Cost {
    fn stretch(
        self,
        passphrase: &SecretString,
        salt: &[u8],
    ) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
        let Self { memory_kib, passes, lanes } = self;
        let is_dear =
            memory_kib > DEAREST.memory_kib || passes > DEAREST.passes || lanes > DEAREST.lanes;
        if is_dear {
            return Err(CryptoError::NotASealedFile);
        }
        let params = Params::new(memory_kib, passes, lanes, Some(32))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut key = Zeroizing::new([0; 32]);
        argon2.hash_password_into(passphrase.expose_secret().as_bytes(), salt, &mut *key)?;
        Ok(key)
    }
}

fn read_exactly(source: &mut impl Read, buffer: &mut [u8]) -> Result<(), CryptoError> {
    source.read_exact(buffer).map_err(|error| {
        let is_short = error.kind() == ErrorKind::UnexpectedEof;
        if is_short { CryptoError::FileTruncated } else { CryptoError::FileIo(error) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase() -> SecretString {
        "correct horse".into()
    }

    /// The chunks are what these tests are about.
    const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

    fn sealed(content: &[u8]) -> Vec<u8> {
        let mut writer = SealedWriter::create_at(CHEAP, Vec::new(), &passphrase()).unwrap();
        for piece in content.chunks(50_000) {
            writer.write(piece).unwrap();
        }
        writer.finish().unwrap()
    }

    fn opened(file: &[u8], passphrase: &SecretString) -> Result<Vec<u8>, CryptoError> {
        let mut reader = SealedReader::open(file, passphrase)?;
        let mut content = Vec::new();
        loop {
            match reader.read_some()? {
                [] => return Ok(content),
                some => content.extend_from_slice(some),
            }
        }
    }

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
    }

    #[test]
    fn what_is_sealed_opens_in_any_length() {
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let content = content(length);
            let file = sealed(&content);
            assert_eq!(opened(&file, &passphrase()).unwrap(), content, "{length}");
            let mut read = Vec::new();
            let mut reader = SealedReader::open(&file[..], &passphrase()).unwrap();
            reader.read_to_end(&mut read).unwrap();
            assert_eq!(read, content, "{length}, as a stream");
        }
    }

    #[test]
    fn a_passphrase_costs_what_the_header_says() {
        let file = SealedWriter::create(Vec::new(), &passphrase()).unwrap().finish().unwrap();
        let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        assert_eq!([number(9), number(13), number(17)], [65_536, 3, 1]);
        assert_eq!(opened(&file, &passphrase()).unwrap(), b"");
    }

    #[test]
    fn two_files_of_the_same_content_share_nothing() {
        let (first, second) = (sealed(b"the same"), sealed(b"the same"));
        assert_ne!(first[21..], second[21..]);
    }

    #[test]
    fn a_wrong_passphrase_is_told_from_a_harmed_file() {
        let file = sealed(&content(2 * CHUNK_BYTES + 9));
        let wrong = opened(&file, &"incorrect horse".into());
        assert!(matches!(wrong, Err(CryptoError::WrongPassphrase)), "{wrong:?}");
        let second = HEADER_BYTES + 4 + CHUNK_BYTES + TAG_BYTES;
        let mut altered = file.clone();
        altered[second + 100] ^= 1;
        let harmed = opened(&altered, &passphrase());
        assert!(matches!(harmed, Err(CryptoError::FileDamaged)), "{harmed:?}");
    }

    #[test]
    fn nothing_can_be_altered_moved_added_or_cut_off() {
        let file = sealed(&content(2 * CHUNK_BYTES + 9));
        let chunk = 4 + CHUNK_BYTES + TAG_BYTES;
        let refused = |file: &[u8], what: &str| {
            assert!(opened(file, &passphrase()).is_err(), "{what}");
        };
        for at in [0, 8, 9, 20, 30, 40, HEADER_BYTES, HEADER_BYTES + 4, file.len() - 1] {
            let mut altered = file.clone();
            altered[at] ^= 1;
            refused(&altered, &format!("altered at {at}"));
        }
        let ends = [0, 5, HEADER_BYTES, HEADER_BYTES + 9, HEADER_BYTES + chunk];
        for end in ends.into_iter().chain([HEADER_BYTES + 2 * chunk, file.len() - 1]) {
            refused(&file[..end], &format!("cut off at {end}"));
        }
        let (head, body) = file.split_at(HEADER_BYTES);
        let (first, rest) = body.split_at(chunk);
        let (second, last) = rest.split_at(chunk);
        refused(&[head, second, first, last].concat(), "moved");
        refused(&[head, first, last].concat(), "left out");
        refused(&[head, first, first, second, last].concat(), "repeated");
        refused(&[&file[..], b"more"].concat(), "added");
        refused(&[&file[..], last].concat(), "its end repeated");
    }

    #[test]
    fn other_files_and_versions_are_told_apart() {
        let other = opened(&[b'x'; 200], &passphrase());
        assert!(matches!(other, Err(CryptoError::NotASealedFile)), "{other:?}");
        let mut later = sealed(b"");
        later[8] = 2;
        let later = opened(&later, &passphrase());
        assert!(matches!(later, Err(CryptoError::UnknownFileVersion { found: 2, .. })));
        let mut dear = sealed(b"");
        dear[9..13].copy_from_slice(&u32::MAX.to_le_bytes());
        let dear = opened(&dear, &passphrase());
        assert!(matches!(dear, Err(CryptoError::NotASealedFile)), "{dear:?}");
    }
}
