use std::sync::Arc;

use relay_crypto::{ApiKeyMinter, CryptoError, KeyHasher, Keyring, SealFormat};
use relay_domain::{Calendar, Period, SealedSecret};
use relay_store::contract::fixture::{
    account, at, key, key_id, model, rich_account, rich_key, rich_record, usage,
};
use relay_store::{
    AccountSecrets, AdminCredentials, Counted, PasswordHash, UsageScope, UsageTotals,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::Clock;
use crate::account_secrets::{OpenSecrets, salt_of};
use crate::operator::fixture::{Desk, keyring};
use crate::operator::{Operator, OperatorParts};

const SECRET: &str = "sk-an-upstream-secret";
const PROXY_PASSWORD: &str = "a proxy's password";

fn passphrase() -> SecretString {
    "correct horse".into()
}

fn options() -> ExportOptions {
    ExportOptions {
        passphrase: passphrase(),
        encryption_keys: vec!["an encryption key of the tests' own".into()],
        calendar: Calendar::UTC,
    }
}

/// Another machine: an empty store and another `ENCRYPTION_KEY`.
fn elsewhere() -> (Desk, Operator) {
    let desk = Desk::new();
    let operator = Operator::new(OperatorParts {
        stores: desk.stores.clone(),
        keyring: Keyring::new(&"another encryption key".into(), SealFormat::Aead),
        minter: ApiKeyMinter::default(),
        hasher: KeyHasher::new(&"another encryption key".into()),
        clock: Arc::clone(&desk.clock) as Arc<dyn Clock>,
    });
    (desk, operator)
}

/// A store with something of everything.
async fn furnished() -> Desk {
    let desk = Desk::new();
    let login = AdminCredentials {
        username: "root".to_owned(),
        password_hash: PasswordHash::new("$argon2id$...".to_owned()),
        session_epoch: 3,
        created_at: at(1),
        updated_at: at(2),
    };
    assert!(desk.stores.admin.initialise(&login).await.unwrap());
    for account in [account("plain"), rich_account("rich")] {
        let salt = salt_of(account.platform);
        let seal = |secret: &str| SealedSecret::new(keyring().seal(&secret.into(), salt).unwrap());
        let secrets =
            AccountSecrets { credential: seal(SECRET), proxy_password: Some(seal(PROXY_PASSWORD)) };
        desk.stores.accounts.create(&secrets.put_into(account)).await.unwrap();
    }
    for key in [key("k", 1), rich_key("rich", 2)] {
        desk.stores.keys.create(&key).await.unwrap();
    }
    let counters = [
        (UsageScope::Key(key_id("k")), Period::Total),
        (UsageScope::Model(model("vendor:m")), Period::Day { year: 2040, month: 1, day: 1 }),
    ];
    let totals = UsageTotals { requests: 3, tokens: usage(3), ..UsageTotals::default() };
    let counters = counters.map(|(scope, period)| Counted {
        scope,
        period,
        totals,
        claude: relay_domain::NanoUsd::from_nanos(5),
    });
    desk.stores.archive.add_counters(&counters).await.unwrap();
    let records: Vec<_> = (0..3).map(|number| rich_record(number, "k")).collect();
    desk.stores.archive.add_records(&records).await.unwrap();
    desk
}

async fn exported(desk: &Desk) -> (&'static [u8], Contents) {
    let (file, contents) = desk.operator.export(Vec::new(), &options()).await.unwrap();
    (file.leak(), contents)
}

fn checked(
    file: &'static [u8],
    passphrase: SecretString,
) -> Result<ImportFile<impl Fn() -> io::Result<&'static [u8]>>, TransferError> {
    ImportFile::check(move || Ok(file), passphrase)
}

#[tokio::test]
async fn everything_arrives_and_is_sealed_anew() {
    let here = furnished().await;
    let (file, contents) = exported(&here).await;
    assert_eq!((contents.logins, contents.keys, contents.accounts), (1, 2, 2));
    assert_eq!((contents.counters, contents.records), (2, 3));
    assert_eq!(contents.unopened, []);
    let text = String::from_utf8_lossy(file);
    for secret in [SECRET, PROXY_PASSWORD, "encryption key", "plain", "$argon2id"] {
        assert!(!text.contains(secret), "{secret} can be read in the file");
    }

    let (there, operator) = elsewhere();
    let checked = checked(file, passphrase()).unwrap();
    assert_eq!(*checked.contents(), contents);
    let keys: Vec<_> =
        checked.encryption_keys().map(|key| key.expose_secret().to_owned()).collect();
    assert_eq!(keys, ["an encryption key of the tests' own"]);
    let report = operator.import(&checked, false).await.unwrap();
    let added = |added| Tally { added, kept: 0 };
    let expected = ImportReport {
        logins: added(1),
        keys: added(2),
        accounts: added(2),
        counters: added(2),
        records: added(3),
    };
    assert_eq!(report, expected);
    assert_eq!(operator.contents(&options()).await.unwrap(), contents, "the same state");
    let theirs = Keyring::new(&"another encryption key".into(), SealFormat::Aead);
    for account in there.stores.accounts.list().await.unwrap() {
        assert!(account.secret.as_stored().starts_with("v1.aead:"));
        let opened = OpenSecrets::of(&account, &theirs).unwrap();
        assert_eq!(opened.credential.expose_secret(), SECRET);
    }
    let used = there.stores.usage.totals(&UsageScope::Key(key_id("k")), Period::Total).await;
    assert_eq!(used.unwrap().requests, 3);
}

#[tokio::test]
async fn a_store_that_holds_something_is_merged_with_only_if_told_and_stays_as_it_is() {
    let (file, _) = exported(&furnished().await).await;
    let (there, operator) = elsewhere();
    let own = relay_domain::ApiKey { name: "their own".to_owned(), ..key("k", 9) };
    there.stores.keys.create(&own).await.unwrap();
    let checked = checked(file, passphrase()).unwrap();
    let refused = operator.import(&checked, false).await;
    assert!(matches!(refused, Err(TransferError::NotEmpty)), "{refused:?}");
    assert_eq!(there.stores.accounts.list().await.unwrap(), [], "nothing was written");

    let first = operator.import(&checked, true).await.unwrap();
    assert_eq!(first.keys, Tally { added: 1, kept: 1 });
    assert_eq!(there.stores.keys.get(&own.id).await.unwrap(), Some(own));
    let state = operator.contents(&options()).await.unwrap();
    let again = operator.import(&checked, true).await.unwrap();
    let kept = |kept| Tally { added: 0, kept };
    assert_eq!((again.keys, again.accounts, again.logins), (kept(2), kept(2), kept(1)));
    assert_eq!((again.counters, again.records), (kept(2), kept(3)));
    assert_eq!(operator.contents(&options()).await.unwrap(), state, "repeated, it changes nothing");
}

#[tokio::test]
async fn what_is_not_whole_is_refused_before_anything_is_written() {
    let (file, _) = exported(&furnished().await).await;
    let wrong = checked(file, "incorrect horse".into()).err().unwrap();
    assert!(matches!(wrong, TransferError::File(CryptoError::WrongPassphrase)), "{wrong:?}");
    let short = checked(&file[..file.len() - 1], passphrase()).err().unwrap();
    assert!(matches!(short, TransferError::File(CryptoError::FileTruncated)), "{short:?}");
    let foreign = checked(b"PK something else that is long enough to be a header", passphrase());
    let foreign = foreign.err().unwrap();
    assert!(matches!(foreign, TransferError::File(CryptoError::NotASealedFile)), "{foreign:?}");

    let mut writer = relay_crypto::SealedWriter::create(Vec::new(), &passphrase()).unwrap();
    writer.write(b"{\"head\":{\"form\":2,\"relay\":\"9\",\"exported_at\":0,\"offset_minutes\":0,\"encryption_keys\":[]}}\n").unwrap();
    let later = writer.finish().unwrap();
    let later = checked(later.leak(), passphrase()).err().unwrap();
    assert!(matches!(later, TransferError::UnknownEntry { line: 1 }), "{later:?}");
}

#[tokio::test]
async fn an_account_that_does_not_open_travels_as_it_is_and_is_named() {
    let here = furnished().await;
    let sealed = account("foreign");
    here.stores
        .accounts
        .create(&relay_domain::Account {
            secret: SealedSecret::new("v1.aead:00".to_owned()),
            ..sealed
        })
        .await
        .unwrap();
    let (file, contents) = exported(&here).await;
    assert_eq!(contents.unopened, [relay_store::contract::fixture::account_id("foreign")]);
    let (there, operator) = elsewhere();
    operator.import(&checked(file, passphrase()).unwrap(), false).await.unwrap();
    let kept = there.stores.accounts.get(&contents.unopened[0]).await.unwrap().unwrap();
    assert_eq!(kept.secret.as_stored(), "v1.aead:00");
}
