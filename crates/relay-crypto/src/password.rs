//! Passwords of administrators: hashed with argon2id, verified in every form ever stored.
//!
//! Hashing and verifying take tens of milliseconds and 19 MiB by design.

mod legacy;

use argon2::password_hash::{Error as HashError, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, PasswordHash, Version};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::error::CryptoError;
use crate::random::random_bytes;

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;

/// Letters and digits without those that are taken for each other: 0 and O, 1, l and I.
const ALPHABET: &[u8; 57] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const GENERATED_CHARS: usize = 20;

/// What a password turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verified {
    /// The right one.
    Yes,
    /// The right one, but stored in an old form: store what [`hash`] makes of it instead.
    YesButRehash,
    /// A wrong one.
    No,
}

/// Hashes `password` with argon2id under a fresh salt, into a PHC string.
///
/// # Errors
///
/// [`CryptoError::Argon2`] or [`CryptoError::PasswordHash`] if the password is longer than 4 GiB or
/// memory runs out.
///
/// # Panics
///
/// If the operating system has no randomness to give.
pub fn hash(password: &SecretString) -> Result<String, CryptoError> {
    let salt = random_bytes::<SALT_BYTES>();
    let hash = argon2()?.hash_password_with_salt(password.expose_secret().as_bytes(), &salt)?;
    Ok(hash.to_string())
}

/// Verifies `password` against `stored`: an argon2 PHC string, v1's bcrypt or v2's `salt.hash`
/// scrypt, told apart by how they look.
///
/// # Errors
///
/// [`CryptoError::UnknownPasswordHash`] if `stored` is none of these, and the error of its kind if
/// it is malformed. A wrong password is not an error.
pub fn verify(password: &SecretString, stored: &str) -> Result<Verified, CryptoError> {
    if stored.starts_with("$argon2") {
        return verify_argon2(password, stored);
    }
    let right = if stored.starts_with("$2") {
        legacy::verify_bcrypt(password, stored)?
    } else {
        legacy::verify_scrypt(password, stored)?
    };
    Ok(if right { Verified::YesButRehash } else { Verified::No })
}

/// Makes a password of 20 letters and digits (116 bits) that can be read out and typed.
///
/// # Panics
///
/// If the operating system has no randomness to give.
#[must_use]
pub fn generate() -> SecretString {
    let mut password = String::with_capacity(GENERATED_CHARS);
    while password.len() < GENERATED_CHARS {
        let draws = Zeroizing::new(random_bytes::<GENERATED_CHARS>());
        let missing = GENERATED_CHARS - password.len();
        password.extend(draws.iter().filter_map(|draw| character(*draw)).take(missing));
    }
    SecretString::from(password)
}

/// The character for a random byte. `None` for the last bytes, of which there are too few to go
/// round the alphabet evenly.
fn character(draw: u8) -> Option<char> {
    let draw = usize::from(draw);
    let even = 256 - 256 % ALPHABET.len();
    (draw < even).then(|| char::from(ALPHABET[draw % ALPHABET.len()]))
}

fn verify_argon2(password: &SecretString, stored: &str) -> Result<Verified, CryptoError> {
    let stored = PasswordHash::new(stored)?;
    if stored.salt.is_none() || stored.hash.is_none() {
        return Err(CryptoError::UnknownPasswordHash);
    }
    let ours = argon2()?;
    match ours.verify_password(password.expose_secret().as_bytes(), &stored) {
        Ok(()) if is_current(&stored, ours.params()) => Ok(Verified::Yes),
        Ok(()) => Ok(Verified::YesButRehash),
        Err(HashError::PasswordInvalid) => Ok(Verified::No),
        Err(error) => Err(error.into()),
    }
}

/// Whether `stored` was made the way [`hash`] makes them today.
fn is_current(stored: &PasswordHash, ours: &Params) -> bool {
    stored.algorithm == argon2::ARGON2ID_IDENT
        && stored.version == Some(Version::V0x13.into())
        && Params::try_from(stored).is_ok_and(|theirs| {
            (theirs.m_cost(), theirs.t_cost(), theirs.p_cost())
                == (ours.m_cost(), ours.t_cost(), ours.p_cost())
        })
}

fn argon2() -> Result<Argon2<'static>, CryptoError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;
    use crate::vectors::Vectors;

    #[test]
    fn what_is_hashed_verifies_and_nothing_else_does() {
        let stored = hash(&"pässwörd🔒".into()).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_eq!(verify(&"pässwörd🔒".into(), &stored).unwrap(), Verified::Yes);
        assert_eq!(verify(&"passw0rd".into(), &stored).unwrap(), Verified::No);
        assert_eq!(verify(&"".into(), &stored).unwrap(), Verified::No);
        assert_ne!(hash(&"pässwörd🔒".into()).unwrap(), stored, "the salt is fresh");
    }

    #[test]
    fn hashes_of_the_predecessors_verify_and_ask_to_be_replaced() {
        let vectors = Vectors::load();
        let scrypt = vectors.scrypt_pw.into_iter().map(|case| (case.password, case.stored));
        let bcrypt = vectors.bcrypt.into_iter().map(|case| (case.password, case.hash));
        let cases: Vec<_> = scrypt.chain(bcrypt).collect();
        assert_eq!(cases.len(), 3);
        for (password, stored) in cases {
            assert_eq!(verify(&password, &stored).unwrap(), Verified::YesButRehash, "{stored}");
            assert_eq!(verify(&"wrong".into(), &stored).unwrap(), Verified::No, "{stored}");
        }
    }

    #[test]
    fn argon2_of_another_make_asks_to_be_replaced() {
        let password = SecretString::from("adminpass123");
        let cheaper = Params::new(8, 1, 1, None).unwrap();
        let makes = [
            ("cheaper", Algorithm::Argon2id, Version::V0x13, cheaper.clone()),
            ("argon2i", Algorithm::Argon2i, Version::V0x13, argon2().unwrap().params().clone()),
            ("version 16", Algorithm::Argon2id, Version::V0x10, argon2().unwrap().params().clone()),
        ];
        for (name, algorithm, version, params) in makes {
            let stored = Argon2::new(algorithm, version, params)
                .hash_password_with_salt(password.expose_secret().as_bytes(), &[7; 16])
                .unwrap()
                .to_string();
            assert_eq!(verify(&password, &stored).unwrap(), Verified::YesButRehash, "{name}");
            assert_eq!(verify(&"wrong".into(), &stored).unwrap(), Verified::No, "{name}");
        }
    }

    #[test]
    fn what_is_no_password_hash_is_an_error_and_not_a_wrong_password() {
        let cases = [
            ("nothing", ""),
            ("a plain password", "adminpass123"),
            ("a plain password with a dot", "admin.pass"),
            ("a short scrypt hash", "000102030405060708090a0b0c0d0e0f.7729"),
            ("a scrypt hash without salt", &format!(".{}", "00".repeat(64))),
            ("bcrypt cut short", "$2a$10$abcdefghijklmnopqrstuu"),
            ("argon2 without a hash", "$argon2id$v=19$m=19456,t=2,p=1"),
            (
                "argon2 of no such kind",
                "$argon2x$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
            ),
            ("an unknown scheme", "$5$rounds=5000$salt$hash"),
        ];
        for (name, stored) in cases {
            assert!(verify(&"adminpass123".into(), stored).is_err(), "{name}");
        }
    }

    #[test]
    fn every_character_is_as_likely_as_any_other() {
        let mut bytes_of = BTreeMap::<char, usize>::new();
        for draw in 0..=u8::MAX {
            if let Some(character) = character(draw) {
                *bytes_of.entry(character).or_default() += 1;
            }
        }
        assert_eq!(bytes_of.len(), ALPHABET.len());
        assert!(bytes_of.values().all(|bytes| *bytes == 4), "{bytes_of:?}");
        assert!("0O1lI".chars().all(|ambiguous| !bytes_of.contains_key(&ambiguous)));
    }

    #[test]
    fn generated_passwords_are_twenty_characters_and_differ() {
        let made: HashSet<String> =
            (0..500).map(|_| generate().expose_secret().to_owned()).collect();
        assert_eq!(made.len(), 500);
        assert!(made.iter().all(|password| password.chars().count() == 20));
    }
}
