use std::sync::Arc;

use relay_crypto::{ApiKeyMinter, CryptoError, KeyHasher, Keyring, SealFormat};
use relay_domain::{
    AccountBinding, AccountId, AdminToken, AdminTokenId, Calendar, Event, EventId, EventKind,
    KeyDigest, LimitKind, LimitScope, Limits, NanoUsd, Period, RateWindow, RecordedEvent,
    SealedSecret, TokenScope,
};
use relay_store::contract::fixture::{
    account, account_group, account_id, admit_request, affinity, at, group, key, key_id, model,
    rebind, record, rich_account, rich_key, rich_record, settlement, usage,
};
use relay_store::{
    AccountSecrets, AdminCredentials, AdmitRequest, AuditQuery, Counted, PasswordHash,
    SettingsChange, SettingsName, Settlement, UsageScope, UsageTotals,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

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

/// What is in a furnished store.
const EVERYTHING: [(Section, usize); 14] = [
    (Section::Login, 1),
    (Section::Account, 2),
    (Section::AccountGroup, 1),
    (Section::Group, 1),
    (Section::Key, 2),
    (Section::Token, 1),
    (Section::Settings, 2),
    // Of a key, an account and a model in four periods, and two more.
    (Section::Counter, 15),
    (Section::Record, 4),
    (Section::Limit, 1),
    (Section::Binding, 1),
    (Section::Statistics, 1),
    (Section::Audit, 2),
    (Section::Event, 1),
];

/// Limits under which a request was let in.
fn limits() -> Limits {
    let length = std::time::Duration::from_hours(1);
    let window = RateWindow { length, requests: Some(2), tokens: None, cost: None };
    Limits {
        window: Some(window),
        total_cost: Some(NanoUsd::from_nanos(13_000_000)),
        ..Limits::default()
    }
}

/// A store with something of everything.
async fn furnished() -> Desk {
    let desk = Desk::new();
    furnish(&desk).await;
    desk
}

/// Entries of the audit trail, and an event.
async fn note_what_happened(desk: &Desk) {
    let now = desk.clock.now();
    for target in ["a", "b"] {
        let entry = relay_domain::AuditEntry {
            seq: 0,
            at: now,
            actor: crate::operator::fixture::root(),
            action: "key.create".to_owned(),
            target_kind: "key".to_owned(),
            target_id: target.to_owned(),
            before: None,
            after: Some("{}".to_owned()),
        };
        desk.stores.audit.append(&entry).await.unwrap();
    }
    let event = RecordedEvent {
        id: EventId::new(now, 1, 2),
        event: Event {
            at: now,
            kind: EventKind::BudgetThreshold {
                scope: LimitScope::Key(key_id("k")),
                percent: 80,
                state: relay_domain::LimitState {
                    limit: LimitKind::TotalCost,
                    used: 8,
                    held: 0,
                    allowed: 10,
                    resets_at: None,
                },
            },
        },
    };
    desk.stores.events.append(&[event]).await.unwrap();
}

async fn furnish(desk: &Desk) {
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
    let group_of_accounts = account_group("pool-one", &["plain", "of-v1-alone"]);
    desk.stores.account_groups.import(&group_of_accounts).await.unwrap();
    let claude_binding = AccountBinding::Group(group_of_accounts.id);
    let limited = relay_domain::ApiKey { limits: limits(), claude_binding, ..key("k", 1) };
    desk.stores.groups.create(&group("team-one")).await.unwrap();
    for key in [limited, rich_key("rich", 2)] {
        desk.stores.keys.create(&key).await.unwrap();
    }
    let now = desk.clock.now();
    let token = AdminToken {
        id: AdminTokenId::try_from("tok-1").unwrap(),
        name: "deploy".to_owned(),
        digest: KeyDigest::new([7; 32]),
        scopes: vec![TokenScope::Read, TokenScope::KeysWrite],
        created_by: "root".to_owned(),
        created_at: now,
        expires_at: None,
        last_used_at: Some(now),
        revoked_at: None,
    };
    desk.stores.admin_tokens.create(&token).await.unwrap();
    for name in SettingsName::ALL {
        let next = "{\"rates\":{}}".to_owned();
        let change = SettingsChange { name, expected: None, next };
        assert!(desk.stores.settings.replace(&change).await.unwrap());
    }
    note_what_happened(desk).await;
    // A request of the conversation that is bound.
    let asked = AdmitRequest { limits: limits(), ..admit_request(50, "k", now) };
    assert!(desk.stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
    let bind = rebind("a1", "plain", now.plus(std::time::Duration::from_hours(1)));
    let end = Settlement { bind: Some(bind), ..settlement(record(50, "k"), now) };
    assert!(desk.stores.ledger.settle(&end).await.unwrap().is_first());
    let counters = [
        (UsageScope::Key(key_id("other")), Period::Total),
        (UsageScope::Account(account_id("other")), Period::Total),
        (UsageScope::Model(model("vendor:m")), Period::Day { year: 2040, month: 1, day: 1 }),
    ];
    let totals = UsageTotals { requests: 3, tokens: usage(3), ..UsageTotals::default() };
    let counters = counters.map(|(scope, period)| Counted {
        presumed: NanoUsd::from_nanos(if let UsageScope::Account(_) = scope { 7 } else { 0 }),
        scope,
        period,
        totals,
        claude: NanoUsd::from_nanos(5),
    });
    desk.stores.archive.add_counters(&counters).await.unwrap();
    let records: Vec<_> = (0..3).map(|number| rich_record(number, "k")).collect();
    desk.stores.archive.add_records(&records).await.unwrap();
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
    let sections = Section::ALL.map(|section| (section, contents.count(section)));
    assert_eq!(sections, EVERYTHING);
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
    for (section, added) in EVERYTHING {
        assert_eq!(report.tally(section), Tally { added, kept: 0 }, "{section:?}");
    }
    assert_eq!(operator.contents(&options()).await.unwrap(), contents, "the same state");
    let theirs = Keyring::new(&"another encryption key".into(), SealFormat::Aead);
    for account in there.stores.accounts.list().await.unwrap() {
        assert!(account.secret.as_stored().starts_with("v1.aead:"));
        let opened = OpenSecrets::of(&account, &theirs).unwrap();
        assert_eq!(opened.credential.expose_secret(), SECRET);
    }
    let groups = there.stores.account_groups.list().await.unwrap();
    assert_eq!(groups, here.stores.account_groups.list().await.unwrap());
    assert_eq!(groups.len(), 1);
    let bound = there.stores.keys.get(&key_id("k")).await.unwrap().unwrap();
    assert_eq!(bound.claude_binding, AccountBinding::Group(groups[0].id.clone()));
    let used = there.stores.usage.totals(&UsageScope::Key(key_id("other")), Period::Total).await;
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
    assert_eq!(first.tally(Section::Key), Tally { added: 1, kept: 1 });
    assert_eq!(there.stores.keys.get(&own.id).await.unwrap(), Some(own));
    let state = operator.contents(&options()).await.unwrap();
    let again = operator.import(&checked, true).await.unwrap();
    for (section, kept) in EVERYTHING {
        assert_eq!(again.tally(section), Tally { added: 0, kept }, "{section:?}");
    }
    let after = operator.contents(&options()).await.unwrap();
    for section in Section::ALL.into_iter().filter(|section| *section != Section::Audit) {
        assert_eq!(after.count(section), state.count(section), "repeated, it changes nothing");
    }
    let [noted, first] = &imports_noted(&operator).await[..] else { panic!("each leaves a note") };
    assert_eq!(noted["state"], first["state"]);
    assert_eq!((&noted["added"], &noted["kept"]["API keys"]), (&json!({}), &json!(2)));
    assert_eq!(first["added"]["API keys"], 1);
}

/// What the trail tells of imports, the newest first.
async fn imports_noted(operator: &Operator) -> Vec<serde_json::Value> {
    let query = AuditQuery { limit: 100, ..AuditQuery::default() };
    let trail = operator.audit(&query).await.unwrap().entries.into_iter();
    let imports = trail.filter(|entry| entry.action == "store.import");
    imports.map(|entry| serde_json::from_str(&entry.after.unwrap()).unwrap()).collect()
}

#[tokio::test]
async fn an_import_that_fails_on_its_way_leaves_a_note() {
    let (file, _) = exported(&furnished().await).await;
    let (there, _) = elsewhere();
    let checked = checked(file, passphrase()).unwrap();
    let mut stores = there.stores.clone();
    let mut keys = relay_store::MockKeyRepository::new();
    keys.expect_list().returning(|| Ok(Vec::new()));
    keys.expect_import().returning(|_| Err(StoreError::Unavailable("gone".into())));
    stores.keys = Arc::new(keys);
    let failed = Desk::on(stores).operator.import(&checked, false).await;
    assert!(matches!(failed, Err(TransferError::Operator(_))), "{failed:?}");
    let [noted] = &imports_noted(&there.operator).await[..] else { panic!("one note") };
    assert_eq!(noted["failed"], "the store cannot be reached");
    assert_eq!(noted["added"]["accounts"], 2, "what was added until then stays: {noted}");
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
    writer.write(b"{\"head\":{\"form\":5,\"relay\":\"9\",\"exported_at\":0,\"offset_minutes\":0,\"encryption_keys\":[]}}\n").unwrap();
    let later = writer.finish().unwrap();
    let later = checked(later.leak(), passphrase()).err().unwrap();
    assert!(matches!(later, TransferError::UnknownEntry { line: 1 }), "{later:?}");
}

/// A limit that is nearly used up here is nearly used up there.
#[tokio::test]
async fn limits_stand_there_as_they_stood_here() {
    let here = furnished().await;
    let (file, _) = exported(&here).await;
    let (there, operator) = elsewhere();
    operator.import(&checked(file, passphrase()).unwrap(), false).await.unwrap();
    let scope = LimitScope::Key(key_id("k"));
    let now = here.clock.now();
    let stood = here.stores.ledger.standing(&scope, &limits(), now).await.unwrap();
    assert!(stood.iter().all(|state| 0 < state.used), "{stood:?}");
    assert_eq!(there.stores.ledger.standing(&scope, &limits(), now).await.unwrap(), stood);
    for (number, is_in) in [(60, true), (61, false)] {
        let asked = AdmitRequest {
            limits: limits(),
            affinity: Some(affinity("a1")),
            ..admit_request(number, "k", now)
        };
        let decision = there.stores.ledger.admit(&asked).await.unwrap().decision;
        assert_eq!(decision.is_ok(), is_in, "{decision:?}");
        if let Ok(grant) = decision {
            assert_eq!(grant.binding.unwrap().account, AccountId::try_from("plain").unwrap());
        }
    }
}

/// What was merged with keeps its own trail, and gets what is new to it once.
#[tokio::test]
async fn a_trail_is_appended_to_a_trail() {
    let (file, _) = exported(&furnished().await).await;
    let (there, operator) = elsewhere();
    let own = relay_domain::AuditEntry {
        seq: 0,
        at: at(9),
        actor: crate::operator::fixture::root(),
        action: "key.delete".to_owned(),
        target_kind: "key".to_owned(),
        target_id: "own".to_owned(),
        before: None,
        after: None,
    };
    there.stores.audit.append(&own).await.unwrap();
    let file = checked(file, passphrase()).unwrap();
    let before = ["b", "a", "own"];
    for (imports, expected) in [(1, Tally { added: 2, kept: 0 }), (2, Tally { added: 0, kept: 2 })]
    {
        let report = operator.import(&file, true).await.unwrap();
        assert_eq!(report.tally(Section::Audit), expected);
        let all = AuditQuery { limit: 9, ..AuditQuery::default() };
        let page = there.stores.audit.page(&all).await.unwrap();
        let targets: Vec<_> = page.entries.iter().map(|entry| entry.target_id.as_str()).collect();
        // Every import is noted itself, one that added nothing too.
        assert_eq!(targets, [&["store"].repeat(imports)[..], &before].concat());
        let noted: serde_json::Value =
            serde_json::from_str(page.entries[0].after.as_deref().unwrap()).unwrap();
        assert_eq!(page.entries[0].actor, relay_domain::Actor::shell());
        assert_eq!(noted["state"], file.contents().state.to_hex());
        let (added, kept) = (&noted["added"], &noted["kept"]);
        let name = Section::Audit.name();
        let told = |counts: &serde_json::Value| {
            counts.get(name).map_or(0, |count| usize::try_from(count.as_u64().unwrap()).unwrap())
        };
        assert_eq!((told(added), told(kept)), (expected.added, expected.kept));
    }
}

/// A file of the first form has fewer sections, and no more is asked of it.
#[tokio::test]
async fn a_file_of_the_first_form_is_read() {
    let (file, _) = exported(&furnished().await).await;
    let mut lines = String::new();
    let mut reader = relay_crypto::SealedReader::open(file, &passphrase()).unwrap();
    io::Read::read_to_string(&mut reader, &mut lines).unwrap();
    let first = ["head", "login", "key", "account", "counter", "record"];
    let mut writer = relay_crypto::SealedWriter::create(Vec::new(), &passphrase()).unwrap();
    for line in lines.lines() {
        if first.iter().any(|section| line.starts_with(&format!("{{\"{section}\":"))) {
            let line = line.replacen("\"form\":3", "\"form\":1", 1);
            writer.write(format!("{line}\n").as_bytes()).unwrap();
        }
    }
    let file = writer.finish().unwrap().leak();
    let (there, operator) = elsewhere();
    let checked = checked(file, passphrase()).unwrap();
    let report = operator.import(&checked, false).await.unwrap();
    for (section, number) in EVERYTHING {
        let is_old = Section::Key == section
            || matches!(section, Section::Login | Section::Account)
            || matches!(section, Section::Counter | Section::Record);
        let added = if is_old { number } else { 0 };
        assert_eq!(report.tally(section), Tally { added, kept: 0 }, "{section:?}");
    }
    assert_eq!(there.stores.keys.list().await.unwrap().len(), 2);
}

/// Whatever a store has, it is not taken for an empty one.
#[tokio::test]
async fn a_store_with_anything_in_it_is_not_empty() {
    let (there, operator) = elsewhere();
    assert!(operator.holds_nothing().await.unwrap());
    there.stores.groups.create(&group("team-one")).await.unwrap();
    assert!(!operator.holds_nothing().await.unwrap());
    let (there, operator) = elsewhere();
    there.stores.account_groups.create(&account_group("pool-one", &[])).await.unwrap();
    assert!(!operator.holds_nothing().await.unwrap());
    for name in SettingsName::ALL {
        let (there, operator) = elsewhere();
        let change = SettingsChange { name, expected: None, next: "{}".to_owned() };
        assert!(there.stores.settings.replace(&change).await.unwrap());
        assert!(!operator.holds_nothing().await.unwrap());
    }
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
    assert_eq!(contents.unopened, [account_id("foreign")]);
    let (there, operator) = elsewhere();
    operator.import(&checked(file, passphrase()).unwrap(), false).await.unwrap();
    let kept = there.stores.accounts.get(&contents.unopened[0]).await.unwrap().unwrap();
    assert_eq!(kept.secret.as_stored(), "v1.aead:00");
}
