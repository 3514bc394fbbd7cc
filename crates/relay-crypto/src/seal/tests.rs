//! Tests of sealing, with known answers of the predecessors.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::vectors::{OTHER_ENCRYPTION_KEY, Vectors};

const SALTS: [LegacySalt; 2] = [LegacySalt::Console, LegacySalt::Responses];

/// One keyring a format, so that each key is derived once for all tests of a process.
static KEYRINGS: LazyLock<[Keyring; 2]> =
    LazyLock::new(|| [SealFormat::Aead, SealFormat::Legacy].map(keyring));

fn keyring(format: SealFormat) -> Keyring {
    Keyring::new(&Vectors::load().encryption_key, format)
}

fn opened(keyring: &Keyring, stored: &str, salt: LegacySalt) -> String {
    keyring.open(stored, salt).unwrap().expose_secret().to_owned()
}

#[test]
fn keys_are_derived_as_the_predecessors_derive_them() {
    let vectors = Vectors::load();
    let short = (vectors.encryption_key.expose_secret(), &vectors.derived);
    let long = (vectors.derived64["key"].as_str(), &vectors.derived64);
    let mut checked = 0;
    for (password, derived) in [short, long] {
        for (salt, expected) in derived.iter().filter(|(salt, _)| *salt != "key") {
            let mut key = [0; 32];
            stretch(password, salt.as_bytes(), &mut key).unwrap();
            assert_eq!(hex::encode(key), *expected, "{salt}");
            checked += 1;
        }
    }
    assert_eq!(checked, 5);
}

#[test]
fn legacy_seals_are_those_of_the_predecessors_in_both_directions() {
    let cases = Vectors::load().aes;
    assert_eq!(cases.len(), 5);
    for case in cases {
        let keyring = &KEYRINGS[1];
        let salt = match case.salt.as_str() {
            "claude-console-salt" => LegacySalt::Console,
            "openai-responses-salt" => LegacySalt::Responses,
            other => panic!("unknown salt {other}"),
        };
        assert_eq!(opened(keyring, &case.stored, salt), case.plaintext);

        let key = keyring.legacy(salt).get().unwrap();
        let iv = hex::decode(&case.iv).unwrap().try_into().unwrap();
        assert_eq!(legacy::seal_with(key, &iv, &case.plaintext), case.stored);
    }
}

#[test]
fn a_keyring_opens_every_form_whatever_it_seals_in() {
    for keyring in &*KEYRINGS {
        for (sealer, salt) in KEYRINGS.iter().flat_map(|sealer| SALTS.map(|salt| (sealer, salt))) {
            let stored = sealer.seal(&"sk-upstream-1".into(), salt).unwrap();
            assert_eq!(opened(keyring, &stored, salt), "sk-upstream-1");
        }
    }
}

#[test]
fn a_legacy_seal_is_made_with_the_key_of_its_salt() {
    for (salt, other) in [(SALTS[0], SALTS[1]), (SALTS[1], SALTS[0])] {
        let stored = KEYRINGS[1].seal(&"sk-upstream-1".into(), salt).unwrap();
        let with =
            |salt| KEYRINGS[1].open(&stored, salt).ok().map(|s| s.expose_secret().to_owned());
        assert_eq!(with(salt).as_deref(), Some("sk-upstream-1"));
        assert_ne!(with(other).as_deref(), Some("sk-upstream-1"));
    }
}

#[test]
fn seals_say_their_form_and_never_repeat() {
    let secret = SecretString::from("sk-upstream-1");
    for keyring in &*KEYRINGS {
        let stored = keyring.seal(&secret, LegacySalt::Console).unwrap();
        assert_ne!(stored, keyring.seal(&secret, LegacySalt::Console).unwrap());
        assert_eq!(stored.starts_with("v1.aead:"), keyring.format == SealFormat::Aead);
        assert!(!stored.contains("sk-upstream-1"));
        let (_, digits) = stored.split_once(':').unwrap();
        assert!(digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{stored}");
    }
}

#[test]
fn nothing_stays_nothing_and_old_plain_text_is_accepted() {
    for keyring in &*KEYRINGS {
        assert_eq!(keyring.seal(&"".into(), LegacySalt::Console).unwrap(), "");
        for stored in ["", "sk-ant-api03-never-sealed", "deadbeef"] {
            assert_eq!(opened(keyring, stored, LegacySalt::Console), stored);
        }
    }
}

#[test]
fn what_is_no_seal_is_an_error_and_never_a_secret() {
    let iv = "000102030405060708090a0b0c0d0e0f";
    let block = "d65c46a322eed1766f5a3125b17ba67a";
    let cases = [
        ("plain text with a colon", "user:password".to_owned(), "not hex"),
        ("three parts", format!("{iv}:{block}:{block}"), "not hex"),
        ("a vector that is not hex", format!("{}zz:{block}", &iv[2..]), "not hex"),
        ("a ciphertext that is not hex", format!("{iv}:{}zz", &block[2..]), "not hex"),
        ("an odd number of digits", format!("{iv}:{}", &block[1..]), "not hex"),
        ("a short vector", format!("{}:{block}", &iv[2..]), "unknown"),
        ("no vector", format!(":{block}"), "unknown"),
        ("no ciphertext", format!("{iv}:"), "wrong key"),
        ("half a block", format!("{iv}:{}", &block[16..]), "wrong key"),
        ("bad padding", format!("{iv}:{}00", &block[..30]), "wrong key"),
        ("ours, not hex", "v1.aead:xyz".to_owned(), "not hex"),
        ("ours, too short for a nonce", "v1.aead:00ff".to_owned(), "unknown"),
        ("ours, with nothing sealed", format!("v1.aead:{iv}"), "wrong key"),
        ("ours, of a later version", "v2.aead:00ff".to_owned(), "not hex"),
    ];
    for (name, stored, expected) in cases {
        assert_eq!(refusal(&KEYRINGS[0], &stored, LegacySalt::Console), expected, "{name}");
    }
}

#[test]
fn another_key_opens_nothing() {
    let stranger = Keyring::new(&OTHER_ENCRYPTION_KEY.into(), SealFormat::Aead);
    for case in Vectors::load().aes {
        let wrong_salt = match case.salt.as_str() {
            "claude-console-salt" => LegacySalt::Responses,
            _ => LegacySalt::Console,
        };
        assert_eq!(refusal(&KEYRINGS[0], &case.stored, wrong_salt), "wrong key");
        assert_eq!(refusal(&stranger, &case.stored, LegacySalt::Console), "wrong key");
    }
    let stored = KEYRINGS[0].seal(&"sk-upstream-1".into(), LegacySalt::Console).unwrap();
    assert_eq!(refusal(&stranger, &stored, LegacySalt::Console), "wrong key");
}

#[test]
fn an_authenticated_seal_shows_every_altered_digit() {
    let stored = KEYRINGS[0].seal(&"sk-upstream-1".into(), LegacySalt::Console).unwrap();
    for at in AEAD_PREFIX.len()..stored.len() {
        let mut altered = stored.clone();
        let digit = if stored.as_bytes()[at] == b'0' { "1" } else { "0" };
        altered.replace_range(at..=at, digit);
        assert_eq!(refusal(&KEYRINGS[0], &altered, LegacySalt::Console), "wrong key", "digit {at}");
    }
}

#[test]
fn an_error_does_not_repeat_what_was_stored() {
    let stored = "0001:sk-ant-in-the-clear";
    let error = KEYRINGS[0].open(stored, LegacySalt::Console).unwrap_err();
    let printed = format!("{error} {error:?}");
    assert!(!printed.contains("sk-ant"), "{printed}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_text_comes_back(secret in any::<String>()) {
        for (keyring, salt) in KEYRINGS.iter().flat_map(|keyring| SALTS.map(|salt| (keyring, salt))) {
            let stored = keyring.seal(&secret.as_str().into(), salt).unwrap();
            prop_assert_eq!(opened(keyring, &stored, salt), secret.as_str());
        }
    }

    #[test]
    fn no_stored_text_with_a_colon_opens_as_itself(stored in ".*:.*") {
        if let Ok(secret) = KEYRINGS[0].open(&stored, LegacySalt::Console) {
            prop_assert_ne!(secret.expose_secret(), stored.as_str());
        }
    }
}

fn refusal(keyring: &Keyring, stored: &str, salt: LegacySalt) -> &'static str {
    match keyring.open(stored, salt) {
        Ok(_) => "opened",
        Err(CryptoError::SealNotHex(_)) => "not hex",
        Err(CryptoError::UnknownSeal) => "unknown",
        Err(CryptoError::WrongKeyOrDamaged) => "wrong key",
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn of_two_salts_the_one_that_fits_opens() {
    for (own, other) in [(SALTS[0], SALTS[1]), (SALTS[1], SALTS[0])] {
        let stored = KEYRINGS[1].seal(&"sk-upstream-1".into(), own).unwrap();
        for salts in [[own, other], [other, own]] {
            let (secret, salt) = KEYRINGS[0].open_first(&stored, salts).unwrap();
            assert_eq!((secret.expose_secret(), salt), ("sk-upstream-1", own));
        }
    }
    let wrong = Keyring::new(&OTHER_ENCRYPTION_KEY.into(), SealFormat::Legacy);
    for sealer in &*KEYRINGS {
        let stored = sealer.seal(&"sk-upstream-1".into(), SALTS[0]).unwrap();
        assert!(matches!(wrong.open_first(&stored, SALTS), Err(CryptoError::WrongKeyOrDamaged)));
    }
}

#[test]
fn a_password_that_was_kept_in_clear_is_taken_as_it_is() {
    let [aead, _] = &*KEYRINGS;
    for plain in ["", "secret", "with:colon", "00:11", "a:b:c"] {
        let opened = aead.open_unless_plain(plain, SALTS[0]).unwrap();
        assert_eq!(opened.expose_secret(), plain);
    }
    for sealer in &*KEYRINGS {
        let stored = sealer.seal(&"with:colon".into(), SALTS[0]).unwrap();
        let opened = aead.open_unless_plain(&stored, SALTS[0]).unwrap();
        assert_eq!(opened.expose_secret(), "with:colon");
        let wrong = Keyring::new(&OTHER_ENCRYPTION_KEY.into(), SealFormat::Legacy);
        assert!(wrong.open_unless_plain(&stored, SALTS[0]).is_err(), "never sent as it is");
    }
}

#[test]
fn each_form_is_outdated_where_the_other_is_wanted() {
    let [aead, legacy] = &*KEYRINGS;
    let sealed = KEYRINGS.each_ref().map(|sealer| sealer.seal(&"s".into(), SALTS[0]).unwrap());
    let outdated = |keyring: &Keyring| sealed.each_ref().map(|stored| keyring.is_outdated(stored));
    assert_eq!(outdated(aead), [false, true]);
    assert_eq!(outdated(legacy), [true, false]);
    assert!(aead.is_outdated("in clear") && !aead.is_outdated(""));
    assert!(!legacy.is_outdated("in clear"), "as v1 left it");
}
