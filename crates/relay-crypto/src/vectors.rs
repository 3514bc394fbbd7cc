//! Known answers, made by the predecessors.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::Deserialize;

/// An encryption key that no vector was made with.
pub(crate) const OTHER_ENCRYPTION_KEY: &str = "another-encryption-key-32-chars!";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Vectors {
    #[serde(deserialize_with = "secret")]
    pub(crate) encryption_key: SecretString,
    /// Salt to hex of the key derived with it.
    pub(crate) derived: BTreeMap<String, String>,
    pub(crate) derived64: BTreeMap<String, String>,
    pub(crate) aes: Vec<AesCase>,
    pub(crate) hash: Vec<HashCase>,
    pub(crate) scrypt_pw: Vec<ScryptCase>,
    pub(crate) bcrypt: Vec<BcryptCase>,
    pub(crate) jwt: JwtCase,
}

#[derive(Deserialize)]
pub(crate) struct AesCase {
    pub(crate) salt: String,
    pub(crate) plaintext: String,
    pub(crate) iv: String,
    pub(crate) stored: String,
}

#[derive(Deserialize)]
pub(crate) struct HashCase {
    pub(crate) raw: String,
    pub(crate) v1: String,
    pub(crate) v2: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct ScryptCase {
    #[serde(deserialize_with = "secret")]
    pub(crate) password: SecretString,
    pub(crate) stored: String,
}

#[derive(Deserialize)]
pub(crate) struct BcryptCase {
    #[serde(deserialize_with = "secret")]
    pub(crate) password: SecretString,
    pub(crate) hash: String,
}

#[derive(Deserialize)]
pub(crate) struct JwtCase {
    #[serde(deserialize_with = "secret")]
    pub(crate) secret: SecretString,
    pub(crate) token: String,
}

impl Vectors {
    pub(crate) fn load() -> Self {
        serde_json::from_str(include_str!("../tests/fixtures/vectors.json")).unwrap()
    }
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}
